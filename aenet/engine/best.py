"""The weights a training keeps: those that do best on the validation split, as far as its places can tell."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from aenet.engine.validation import standard_error

_LATEST = "the last epoch that no other beats by more than a standard error of their difference"
_HIGHEST = "the highest, of equals the first"


@dataclass
class Best:
    """The chosen weights so far, their epoch, and what the validation places said of them.

    Every epoch is compared with the one whose criterion (`validation`) has the highest mean, `top`. A better one is
    chosen. Where the schedule anneals, so is a later one that is worse by no more than the standard error of the
    difference, which is taken place by place: both were measured on the same places, so most of their luck is shared.
    What a falling rate ends in is better than what it came by unless the places say otherwise, and without this rule
    the best of many epochs is mostly the luckiest. So an annealed training ends with the last epoch that no other
    beats by more than a standard error, and comparing with the top alone keeps many small losses from adding up.

    Attributes:
        annealed: whether the schedule falls to nothing; at a constant rate the highest mean wins, the first of equals.
        values, top: the criterion of each place, in percent, at the chosen epoch and at that of the highest mean.
    """

    annealed: bool = False
    weights: dict[str, Tensor] = field(default_factory=dict)
    epoch: int = -1
    values: Float[np.ndarray, " n"] = field(default_factory=lambda: np.empty(0))
    top: Float[np.ndarray, " n"] = field(default_factory=lambda: np.empty(0))

    def consider(self, epoch: int, values: Float[np.ndarray, " n"], network: nn.Module) -> None:
        """Take a copy of the network's weights if they are to be preferred to those kept."""
        better = self.epoch < 0 or values.mean() > self.top.mean()
        if better or (self.annealed and (self.top - values).mean() <= standard_error(self.top - values)):
            self.weights = copied(network)
            self.epoch, self.values = epoch, values
        if better:
            self.top = values

    @property
    def rule(self) -> str:
        """Say in words which epoch is chosen."""
        return _LATEST if self.annealed else _HIGHEST

    def state_dict(self) -> dict[str, Any]:
        """Return what `load_state_dict` takes."""
        places = {"values": torch.from_numpy(self.values), "top": torch.from_numpy(self.top)}
        return {"weights": self.weights, "epoch": self.epoch, **places}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore."""
        self.weights, self.epoch = state["weights"], state["epoch"]
        self.values, self.top = state["values"].numpy(), state["top"].numpy()


def copied(network: nn.Module) -> dict[str, Tensor]:
    """Return a copy of a network's state on the CPU."""
    return {name: tensor.detach().cpu().clone() for name, tensor in network.state_dict().items()}
