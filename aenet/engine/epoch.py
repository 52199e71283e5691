"""One pass over the pairs, from wherever it was left."""

import math
import time
from collections.abc import Callable
from contextlib import closing
from itertools import islice

import numpy as np

from aenet.data.batches import batches, derive_seed
from aenet.data.sampling import Mined, epoch_order
from aenet.data.sharing import Ignored, ignored
from aenet.data.views import Views
from aenet.engine.config import TrainConfig
from aenet.engine.engine import Engine
from aenet.engine.keeper import Keeper
from aenet.engine.mining import describe_pairs
from aenet.engine.position import Position
from aenet.engine.records import Epoch, Step
from aenet.engine.sidebyside import one_after_the_other
from aenet.engine.step import compute_gradient
from aenet.engine.stopping import Stop
from aenet.engine.validation import Validation, validate
from aenet.errors import AenetError


def run_epoch(
    engine: Engine, views: Views, position: Position, keeper: Keeper, stop: Stop, on_step: Callable[[Step], None] | None
) -> None:
    """Take the running epoch's remaining steps.

    Raises:
        AenetError: too many steps in a row were not finite.
        Stopped: it was asked to.
    """
    config, epoch, processes = engine.config, position.epoch, engine.processes
    engine.network.train()
    if position.order is None:
        order = processes.from_main(lambda: _order(engine, views, epoch, position.mined))
        with stop.lock:
            position.order = order
    ahead = batches(
        views, position.order, config.part_size, config.augment, config.seed, epoch,
        ignored=ignored_rows(config, views),
        start_step=position.step * config.accumulate, device=engine.accelerator.device, columns=engine.loss.columns,
        unseen=engine.unseen, rank=processes.rank, world=processes.world,
    )  # fmt: skip
    began, seen = time.monotonic(), 0
    report = keeper.folder if processes.main else None
    with closing(ahead):
        while parts := list(islice(ahead, config.accumulate)):
            engine.guard.remember()
            gradient = compute_gradient(engine, parts)
            with stop.lock:
                taken = engine.update(math.isfinite(gradient.loss))
                where = epoch, position.step
                position.add(taken, gradient)
                engine.guard.judge(taken, gradient, where, views, config.max_bad_steps, report)
                engine.guard.under_way = False
            seen += len(gradient.rows)
            if on_step is not None:
                on_step(_progress(engine, position, gradient.loss, seen / (time.monotonic() - began)))
            keeper.stop_if_asked()
            done = epoch * engine.steps + position.step
            if config.checkpoint_every and done % config.checkpoint_every == 0 and position.step < engine.steps:
                keeper.save()


def finish_epoch(engine: Engine, views: Views, position: Position, stop: Stop) -> Epoch:
    """Validate, keep the best weights and begin the next epoch.

    Raises:
        AenetError: not one step of the epoch was finite.
    """
    if not position.losses:
        raise AenetError(
            f"not one of the {position.step} steps of epoch {position.epoch} had a finite loss and gradient: "
            "lower optimizer.lr or loss.alpha"
        )
    candidates = [("val", engine.plain)] + ([] if engine.ema is None else [("ema", engine.ema.network)])
    measured: dict[str, Validation] = {}
    if engine.config.validates(position.epoch):
        measured = engine.processes.from_main(
            lambda: {name: validate(network, views, engine.config) for name, network in candidates}
        )
    now = Epoch(
        epoch=position.epoch,
        loss=float(np.mean(position.losses)),
        lr=float(engine.scheduler.get_last_lr()[0]),
        several_hard=float(np.mean(position.several)),
        skipped=position.skipped,
        **{key: number for name, one in measured.items() for key, number in one.numbers(name).items()},
    )
    with stop.lock:
        if (
            measured and engine.processes.main
        ):  # of an epoch's weights and their average the better, the first of equals
            name, network = max(candidates, key=lambda candidate: measured[candidate[0]].criterion.mean())
            position.best.consider(now.epoch, measured[name].criterion, network)
        position.finish(now)
    return now


def _progress(engine: Engine, position: Position, loss: float, speed: float) -> Step:
    several = float(np.mean(position.several or [0.0]))
    return Step(position.epoch, position.step, engine.steps, loss, speed, several, engine.memory_bytes())


def ignored_rows(config: TrainConfig, views: Views) -> Ignored:
    """Return which rows of the training split are no negatives of each other."""
    return ignored(views.pairs, config.sampling.ignore_within_m, views.spec.tile_size_m)


def _order(engine: Engine, views: Views, epoch: int, mined: Mined) -> np.ndarray:
    config = engine.config
    each = one_after_the_other if engine.side_by_side is None else engine.side_by_side.each
    return epoch_order(
        config.sampling,
        views.pairs,
        epoch,
        derive_seed(config.seed, epoch),
        lambda: describe_pairs(engine.plain, views, config.batch_size, each),
        mined,
        ignored_rows(config, views).between,
    )
