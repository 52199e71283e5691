"""THE training loop: one for the town and for the paper, in one process or in many.

Batch order and augmentation are a pure function of (seed, epoch, step), and a checkpoint holds all the rest, so a run
that is killed goes on from its last checkpoint to the same weights, bit by bit, on the same machine, thread count and
number of processes.

Started as many processes (`accelerate launch -m stages.train`, `torchrun -m stages.train`), each computes its share of
every batch, the loss compares all pairs of all processes, and batch normalisation spans them: the result is that of
one process, but for rounding.
"""

from collections.abc import Callable
from pathlib import Path

from aenet.data.views import Views
from aenet.engine.best import Best, copied
from aenet.engine.config import TrainConfig
from aenet.engine.engine import Engine
from aenet.engine.epoch import finish_epoch, ignored_rows, run_epoch
from aenet.engine.keeper import Keeper
from aenet.engine.memory import keep_freed_memory
from aenet.engine.position import Position
from aenet.engine.processes import wait_for_all
from aenet.engine.records import Epoch, Step, Trained
from aenet.engine.stopping import Stop, Stopped
from aenet.errors import AenetError

__all__ = ["Epoch", "Step", "Stop", "Stopped", "TrainConfig", "Trained", "train", "wait_for_all"]


def train(
    config: TrainConfig,
    train_views: Views,
    val_views: Views,
    checkpoints: Path,
    on_step: Callable[[Step], None] | None = None,
    on_epoch: Callable[[Epoch], None] | None = None,
    stop: Stop | None = None,
) -> Trained:
    """Train from scratch, or from the checkpoint in `checkpoints` if an earlier run left one.

    Args:
        checkpoints: a folder of this very training; every process must see the same.
        on_step, on_epoch: told of progress; `on_epoch` also of the epochs an earlier run finished.
        stop: may be asked, from a signal handler, to stop.

    Raises:
        AenetError: too few pairs for one batch, a batch that cannot be shared by the processes, a precision the
            machine has not, no room for a checkpoint, or a loss or gradient that stays not finite.
        Stopped: it was asked to, and has written a checkpoint.
    """
    if len(train_views) < 2 or len(val_views) < 2:
        raise AenetError(f"{len(train_views)} training and {len(val_views)} validation pairs: too few to train")
    keep_freed_memory()
    stop = stop or Stop()
    engine = Engine(config, len(train_views), train_views.spec)
    position = Position(best=Best(annealed=config.optimizer.annealed))
    keeper = Keeper(checkpoints, engine, position, stop)
    keeper.load()
    for past in position.history:
        if on_epoch is not None:
            on_epoch(Epoch(**past))
    with stop.saving(keeper.save_late):
        while position.epoch < config.epochs:
            run_epoch(engine, train_views, position, keeper, stop, on_step)
            now = finish_epoch(engine, val_views, position, stop)
            keeper.save()
            if on_epoch is not None:
                on_epoch(now)
            keeper.stop_if_asked()
    ema = None if engine.ema is None else copied(engine.ema.network)
    best = position.best
    return Trained(
        best=best.weights,
        last=copied(engine.plain),
        best_epoch=best.epoch,
        best_values=best.values,
        history=[Epoch(**past) for past in position.history],
        ema=ema,
        negatives=ignored_rows(config, train_views).counts(),
    )
