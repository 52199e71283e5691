"""Optimiser, learning-rate schedule, and a moving average of the weights."""

import math
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR

from aenet.io.params import Config
from aenet.nn.branches import ModelConfig, TwoBranch


class OptimizerConfig(Config):
    """AdamW; the paper's values are lr 1e-5, weight_decay 5e-5 and a constant schedule.

    Attributes:
        schedule: `constant`; `one_cycle` rises for a fifth of the steps and falls to nothing; `cosine` falls to
            nothing in half a wave.
        warmup: share of the steps in which a constant or cosine schedule rises to `lr` in a straight line.
        clip_norm: largest norm of the gradient; None leaves it as it is.
    """

    lr: float = Field(gt=0)
    weight_decay: float = Field(default=5e-5, ge=0)
    schedule: Literal["constant", "one_cycle", "cosine"] = "constant"
    warmup: float = Field(default=0.0, ge=0, lt=1)
    clip_norm: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _one_warmup(self) -> "OptimizerConfig":
        if self.schedule == "one_cycle" and self.warmup:
            raise ValueError("schedule one_cycle has a warm-up of its own: leave `warmup` out, or use cosine")
        return self

    @property
    def annealed(self) -> bool:
        """Whether the rate falls to nothing at the end."""
        return self.schedule != "constant"


def build_optimizer(
    config: OptimizerConfig, network: nn.Module, steps: int, undecayed: Iterable[Tensor] = ()
) -> tuple[torch.optim.Optimizer, LRScheduler]:
    """Return the optimiser and its schedule over `steps` steps.

    A network's scalars, such as GeM's exponent, are learnt without weight decay: nought is not their natural value.

    Args:
        undecayed: further parameters to learn, without weight decay: a loss's own, say.
    """
    learnt = list(network.parameters())
    groups: list[dict[str, Any]] = [{"params": [parameter for parameter in learnt if parameter.ndim > 0]}]
    if further := [*(parameter for parameter in learnt if parameter.ndim == 0), *undecayed]:
        groups.append({"params": further, "weight_decay": 0.0})
    optimizer = torch.optim.AdamW(groups, lr=config.lr, weight_decay=config.weight_decay)
    if config.schedule == "one_cycle":
        # One step more than are taken: the very last would have a rate of nothing.
        return optimizer, OneCycleLR(optimizer, config.lr, total_steps=steps + 1, pct_start=0.2, cycle_momentum=False)
    return optimizer, LambdaLR(optimizer, _factor(config, steps))


def _factor(config: OptimizerConfig, steps: int) -> Callable[[int], float]:
    """Return the learning rate of each step, from 0, as a share of `lr`."""
    rising = math.ceil(config.warmup * steps)
    return partial(_share, rising=rising, falling=steps - rising, cosine=config.schedule == "cosine")


def _share(step: int, rising: int, falling: int, cosine: bool) -> float:
    if step < rising:
        return (step + 1) / (rising + 1)
    if not cosine:
        return 1.0
    return (1 + math.cos(math.pi * min(1.0, (step - rising) / falling))) / 2


# A moving average of the weights.


class Ema:
    """A second network whose state follows the first: a <- decay a + (1 - decay) w, after every step.

    Running statistics are averaged like weights, counters are copied.
    """

    def __init__(self, config: ModelConfig, network: TwoBranch, decay: float) -> None:
        random = config.backbone.model_copy(update={"weights": "random"})
        with torch.random.fork_rng():  # having an average changes no number of the training
            self.network = TwoBranch(config.model_copy(update={"backbone": random}))
        self.network.to(next(network.parameters()).device).eval().requires_grad_(False)
        self.network.load_state_dict(network.state_dict())
        self._decay = decay

    @torch.no_grad()
    def update(self, network: TwoBranch) -> None:
        """Move a little towards the weights as they are now."""
        live = network.state_dict()
        followed = {tensor.data_ptr(): name for name, tensor in self.network.state_dict().items()}
        for name, average in self.network.state_dict().items():
            if followed[average.data_ptr()] != name:
                continue  # a shared branch has two names for one tensor: follow once
            if average.is_floating_point():
                average.lerp_(live[name], 1 - self._decay)
            else:
                average.copy_(live[name])
