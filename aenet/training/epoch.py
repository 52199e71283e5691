"""One pass over the pairs, from wherever it was left."""

import math
import time
from collections.abc import Callable, Sequence
from contextlib import closing, nullcontext
from functools import lru_cache
from itertools import islice

import numpy as np
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from aenet.data.pairs import Ignored, ignored
from aenet.data.views import Views
from aenet.evaluation.embed import embed
from aenet.io.errors import AenetError
from aenet.nn.branches import TwoBranch, View
from aenet.nn.distances import pairwise_distance, turned_back
from aenet.nn.losses import BatchLoss, hard_negatives
from aenet.training.batches import Batch, batches, derive_seed
from aenet.training.checkpoints import Keeper
from aenet.training.engine import Engine, one_after_the_other
from aenet.training.sampling import Descriptors, Mined, epoch_order
from aenet.training.state import Epoch, Position, Step
from aenet.training.step import Gradient
from aenet.training.stopping import Stop
from aenet.training.trainconfig import TrainConfig
from aenet.training.validation import Validation, validate

# What the training pairs look like to the network now, small enough to compare all of them with all.
#
# The paper's descriptor has 81,920 dimensions: for CVUSA's 35,532 pairs that is 23 GB, and 1e14 multiplications to
# compare. A sketch of 4,096 dimensions takes 1.2 GB and a twentieth of the work.

Sketches = Float[np.ndarray, "n d"]
SKETCH = 4096  # descriptors of as many dimensions, or fewer, are compared as they are
_ROWS = 256  # described before they are sketched: 84 MB of the paper's descriptors


def describe_pairs(
    network: TwoBranch,
    views: Views,
    batch_size: int,
    each: Callable[[Callable[[View], Sketches]], tuple[Sketches, Sketches]] = one_after_the_other,
) -> Descriptors:
    """Return the ground and aerial descriptors of all pairs, of at most `SKETCH` dimensions.

    Args:
        each: does the same for both views, one after the other or at the same time.
    """
    rows = -(-_ROWS // batch_size) * batch_size
    packed: dict[View, np.ndarray] = {"ground": views.ground, "aerial": views.aerial}

    def describe(view: View) -> Sketches:
        branch, pixels = network.branch(view), packed[view]
        device = next(branch.parameters()).device
        starts = range(0, len(pixels), rows)
        return np.concatenate(
            [sketch(embed(branch, pixels[start : start + rows], batch_size, device), SKETCH) for start in starts]
        )

    return each(describe)


def sketch(descriptors: Float[np.ndarray, "n d"], dims: int) -> Float[np.ndarray, "n k"]:
    """Return at most `dims` numbers for each descriptor whose products are those of the descriptors, nearly.

    Each dimension is added, with a random sign, to one of `dims` sums of equal length (count sketch: Charikar, Chen
    and Farach-Colton, ICALP 2002). A product of unit vectors keeps its mean and gets a standard deviation of at most
    sqrt(2 / dims), 0.022 at 4,096. Signs and places are always the same.
    """
    n, d = descriptors.shape
    if d <= dims:
        return descriptors
    order, sign = _places(d, dims)
    padded = np.zeros((n, len(order)), descriptors.dtype)
    np.multiply(descriptors, sign, out=padded[:, :d])
    return np.asarray(padded[:, order].reshape(n, -1, dims).sum(1))


@lru_cache(maxsize=2)
def _places(d: int, dims: int) -> tuple[Int[np.ndarray, " m"], Float[np.ndarray, " d"]]:
    """Order in which dimensions (and the zeros that fill the last sums) are dealt to the sums, and their signs."""
    generator = np.random.default_rng(0)
    sign = (2 * generator.integers(0, 2, d) - 1).astype(np.float32)
    return generator.permutation(-(-d // dims) * dims), sign


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


def compute_gradient(engine: Engine, parts: Sequence[Batch]) -> Gradient:
    """Leave the mean of the parts' gradients in the parameters: forward, loss over all processes, backward."""
    values, several = [], []
    engine.optimizer.zero_grad()
    for number, part in enumerate(parts, 1):
        # Gradients are averaged over the processes once, in the last part's backward pass.
        with nullcontext() if number == len(parts) else engine.accelerator.no_sync(engine.network):
            describe = engine.network if engine.side_by_side is None else engine.side_by_side.forward
            ground, aerial = describe(part.ground, part.aerial, engine.loss.unit)
            if part.shift is not None:  # back in line with its tile, which is where a pair that matches is compared
                ground = turned_back(ground, part.shift.to(ground.device), engine.loss.columns)
            ground, aerial = (engine.processes.gather(side, len(part.rows)) for side in (ground, aerial))
            ignore = None if part.ignore is None else part.ignore.to(ground.device)
            value = engine.loss(ground, aerial, ignore)
            engine.accelerator.backward(value / len(parts))
            if engine.side_by_side is not None:
                engine.side_by_side.backward()
        values.append(value.item())
        several.append(_several_hard(ground.detach(), aerial.detach(), engine.loss, ignore))
    rows = [int(row) for part in parts for row in part.rows]
    return Gradient(float(np.mean(values)), float(np.mean(several)), rows)


def _several_hard(ground: Tensor, aerial: Tensor, loss: BatchLoss, ignore: Tensor | None) -> float:
    if not loss.unit:
        ground, aerial = functional.normalize(ground, dim=1), functional.normalize(aerial, dim=1)
    distances = pairwise_distance(ground, aerial, "squared", columns=loss.columns)
    return float((hard_negatives(distances, ignore).sum(1) > 1).float().mean())


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
