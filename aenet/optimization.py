"""Optimiser and learning-rate schedule."""

from typing import Literal

import torch
from pydantic import Field
from torch import nn
from torch.optim.lr_scheduler import ConstantLR, LRScheduler, OneCycleLR

from aenet.params import Config


class OptimizerConfig(Config):
    """AdamW; the paper's values are lr 1e-5, weight_decay 5e-5 and a constant schedule.

    Attributes:
        clip_norm: largest norm of the gradient; None leaves it as it is.
    """

    lr: float = Field(gt=0)
    weight_decay: float = Field(default=5e-5, ge=0)
    schedule: Literal["constant", "one_cycle"] = "constant"
    clip_norm: float | None = Field(default=None, gt=0)


def build_optimizer(
    config: OptimizerConfig, network: nn.Module, steps: int
) -> tuple[torch.optim.Optimizer, LRScheduler]:
    """Return the optimiser and its schedule over `steps` steps."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=config.lr, weight_decay=config.weight_decay)
    if config.schedule == "constant":
        return optimizer, ConstantLR(optimizer, factor=1.0)
    # One step more than are taken: the very last would have a rate of nothing.
    return optimizer, OneCycleLR(optimizer, config.lr, total_steps=steps + 1, pct_start=0.2, cycle_momentum=False)
