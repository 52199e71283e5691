"""THE training loop: one for the town and for the paper. One process; several are refused, not half supported.

Batch order and augmentation are a pure function of (seed, epoch, step), so a run that is killed goes on from its
last epoch's checkpoint to the same weights, bit by bit, on the same machine and thread count.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from accelerate import Accelerator
from pydantic import Field
from torch import Tensor

from aenet import metrics
from aenet.checkpoints import State, load_checkpoint, save_checkpoint
from aenet.data.augment import AugmentConfig, augment
from aenet.data.sampling import SamplingConfig, epoch_order
from aenet.data.views import Views
from aenet.embed import embed_pairs
from aenet.errors import AenetError
from aenet.nn.branches import ModelConfig, TwoBranch
from aenet.nn.losses import LossConfig, build_loss, hard_negatives, pairwise_distance
from aenet.optimization import OptimizerConfig, build_optimizer
from aenet.params import Config


class TrainConfig(Config):
    """All that decides the outcome of a training.

    Attributes:
        threads: CPU threads of torch; part of the outcome, because sums in another order round differently.
        precision: autocast of the forward pass.
        sampling: which pairs meet in a batch.
    """

    seed: int
    epochs: int = Field(ge=1)
    batch_size: int = Field(ge=2)
    threads: int = Field(ge=1)
    precision: Literal["no", "bf16"] = "no"
    model: ModelConfig
    loss: LossConfig
    optimizer: OptimizerConfig
    augment: AugmentConfig
    sampling: SamplingConfig


@dataclass(frozen=True)
class Epoch:
    """What one epoch came to; recalls are of the validation split, in percent.

    `several_hard` is the share of anchors with more than one hard negative: where MHNW differs from WSMR.
    """

    epoch: int
    loss: float
    lr: float
    several_hard: float
    val_recall_at_1: float
    val_recall_at_5: float
    val_recall_at_10: float


@dataclass(frozen=True)
class Trained:
    """The finished training: weights of the best epoch (on validation) and of the last."""

    best: dict[str, Tensor]
    last: dict[str, Tensor]
    best_epoch: int
    history: list[Epoch]


@dataclass(frozen=True)
class Step:
    """Progress of a running epoch, for display."""

    epoch: int
    step: int
    steps: int
    loss: float
    pairs_per_second: float


def train(
    config: TrainConfig,
    train_views: Views,
    val_views: Views,
    checkpoints: Path,
    on_step: Callable[[Step], None] | None = None,
    on_epoch: Callable[[Epoch], None] | None = None,
) -> Trained:
    """Train from scratch, or from the checkpoint in `checkpoints` if an earlier run left one.

    Raises:
        AenetError: too few pairs for one batch, several processes, or a loss that is not finite.
    """
    if len(train_views) < 2 or len(val_views) < 1:
        raise AenetError(f"{len(train_views)} training and {len(val_views)} validation pairs: too few to train")
    torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)
    accelerator = Accelerator(mixed_precision=config.precision)
    if accelerator.num_processes > 1:
        raise AenetError(f"started as {accelerator.num_processes} processes: training runs in one for now")
    network = TwoBranch(config.model)
    steps = config.epochs * _steps(config, len(train_views))
    optimizer, scheduler = build_optimizer(config.optimizer, network, steps)
    network, optimizer = accelerator.prepare(network, optimizer)
    plain: TwoBranch = accelerator.unwrap_model(network)
    state = load_checkpoint(checkpoints, plain, optimizer, scheduler) or State()
    for past in state.history:
        if on_epoch is not None:
            on_epoch(Epoch(**past))
    for epoch in range(len(state.history), config.epochs):
        mean_loss, several = _one_epoch(config, epoch, network, optimizer, scheduler, accelerator, train_views, on_step)
        now = Epoch(epoch, mean_loss, float(scheduler.get_last_lr()[0]), several, **_validate(config, plain, val_views))
        state = state.after(now, plain)
        save_checkpoint(checkpoints, state, plain, optimizer, scheduler)
        if on_epoch is not None:
            on_epoch(now)
    last = {name: tensor.cpu() for name, tensor in plain.state_dict().items()}
    return Trained(state.best, last, state.best_epoch, [Epoch(**past) for past in state.history])


def _one_epoch(
    config: TrainConfig,
    epoch: int,
    network: Any,
    optimizer: Any,
    scheduler: Any,
    accelerator: Accelerator,
    views: Views,
    on_step: Callable[[Step], None] | None,
) -> tuple[float, float]:
    """Return (mean loss, share of anchors with more than one hard negative) of one pass over the pairs."""
    network.train()
    loss = build_loss(config.loss).to(accelerator.device)
    losses, several = [], []
    batches = _batches(config, epoch, views, accelerator.unwrap_model(network))
    began, seen, steps = time.monotonic(), 0, len(batches)
    for step, rows in enumerate(batches):
        generator = torch.Generator().manual_seed(_seed(config.seed, epoch, step))
        raw_ground = torch.from_numpy(views.ground[rows]).to(accelerator.device)
        raw_aerial = torch.from_numpy(views.aerial[rows]).to(accelerator.device)
        ground, aerial = network(*augment(raw_ground, raw_aerial, config.augment, generator))
        value = loss(ground, aerial)
        if not torch.isfinite(value):
            raise AenetError(
                f"the loss is {value.item()} at epoch {epoch}, step {step}: lower optimizer.lr or loss.alpha"
            )
        optimizer.zero_grad()
        accelerator.backward(value)
        if config.optimizer.clip_norm is not None:
            accelerator.clip_grad_norm_(network.parameters(), config.optimizer.clip_norm)
        optimizer.step()
        scheduler.step()
        losses.append(value.item())
        several.append(_several_hard(ground.detach(), aerial.detach()))
        seen += len(rows)
        if on_step is not None:
            on_step(Step(epoch, step + 1, steps, losses[-1], seen / (time.monotonic() - began)))
    return float(np.mean(losses)), float(np.mean(several))


def _several_hard(ground: Tensor, aerial: Tensor) -> float:
    distances = pairwise_distance(ground, aerial, "squared")
    return float((hard_negatives(distances).sum(1) > 1).float().mean())


def _validate(config: TrainConfig, network: TwoBranch, views: Views) -> dict[str, float]:
    ground, aerial = embed_pairs(network, views, config.batch_size)
    values = metrics.summary(metrics.ranks(ground, aerial, np.arange(len(views))), len(views))
    return {f"val_recall_at_{k}": values[f"recall_at_{k}"] for k in (1, 5, 10)}


def _batches(config: TrainConfig, epoch: int, views: Views, network: TwoBranch) -> list[np.ndarray]:
    """Rows of each batch: the epoch's order of all pairs, cut up; a last lone pair has no negative and waits."""
    order = epoch_order(
        config.sampling,
        views.pairs,
        epoch,
        _seed(config.seed, epoch),
        lambda: embed_pairs(network, views, config.batch_size),
    )
    starts = range(0, len(views) - 1, config.batch_size)
    return [np.sort(order[start : start + config.batch_size]) for start in starts]


def _steps(config: TrainConfig, pairs: int) -> int:
    return len(range(0, pairs - 1, config.batch_size))


def _seed(*parts: int) -> int:
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> 1)
