"""THE training loop: one for the town and for the paper, in one process or in many.

Batch order and augmentation are a pure function of (seed, epoch, step), and a checkpoint holds all the rest, so a run
that is killed goes on from its last checkpoint to the same weights, bit by bit, on the same machine, thread count and
number of processes.

Started as many processes (`accelerate launch -m stages.train`, `torchrun -m stages.train`), each computes its share of
every batch, the loss compares all pairs of all processes, and batch normalisation spans them: the result is that of
one process, but for rounding.
"""

import ctypes
import sys
from collections.abc import Callable
from pathlib import Path

from aenet.data.views import Views
from aenet.io.errors import AenetError
from aenet.training.checkpoints import Keeper
from aenet.training.engine import Engine
from aenet.training.epoch import finish_epoch, ignored_rows, run_epoch
from aenet.training.processes import wait_for_all
from aenet.training.state import Best, Epoch, Position, Step, Trained, copied
from aenet.training.stopping import Stop, Stopped
from aenet.training.trainconfig import TrainConfig

__all__ = ["Epoch", "Step", "Stop", "Stopped", "TrainConfig", "Trained", "train", "wait_for_all"]

# What the C library does with memory that a training step gives back.

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3  # <malloc.h>
_LARGEST_MMAP_THRESHOLD = 32 << 20  # glibc takes no more on 64 bits


def keep_freed_memory() -> bool:
    """Let glibc keep what a step frees for the next step instead of giving it back to the system; True if it will.

    Activations come and go by the gigabyte. By default glibc returns each time what is free at the top of its heap, and
    the next step has every page of it mapped and cleared again: on the town's network a quarter of a run's time
    (`python benchmarks/allocation.py`). Elsewhere than on glibc nothing happens.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:  # musl has none
        return False
    settings = {_MMAP_THRESHOLD: _LARGEST_MMAP_THRESHOLD, _TRIM_THRESHOLD: 2**31 - 1, _TOP_PAD: 64 << 20}
    done = [mallopt(option, value) for option, value in settings.items()]  # each, whatever the others answer
    return all(done)


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
        checkpoints: a folder of this very run; every process must see the same.
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
