"""One step's gradient: forward, loss over all processes, backward."""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from aenet.data.batches import Batch
from aenet.nn.distances import pairwise_distance, turned_back
from aenet.nn.losses import BatchLoss, hard_negatives

if TYPE_CHECKING:
    from aenet.engine.engine import Engine

Taken = Literal["good", "bad", "overflow"]
"""What became of a step: `bad` if its loss or gradient was not finite, and nothing was changed; `overflow` if fp16's
scaler left it out to try a smaller scale."""


@dataclass(frozen=True)
class Gradient:
    """What the parameters' gradients were computed from.

    Attributes:
        loss: mean over the step's parts.
        several: share of anchors with more than one hard negative.
        rows: the step's rows in the views, of all processes.
    """

    loss: float
    several: float
    rows: list[int]


def compute_gradient(engine: "Engine", parts: Sequence[Batch]) -> Gradient:
    """Leave the mean of the parts' gradients in the parameters."""
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


def gradient_norm(parameters: Sequence[Tensor]) -> float:
    """Return the norm of all gradients; not finite if one of them is not."""
    return float(torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None]))
