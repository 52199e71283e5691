"""The best weights so far, by recall on the validation split."""

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn


@dataclass
class Best:
    """Weights, their epoch and their recalls at 1, 5 and 10, by which one is better than another."""

    weights: dict[str, Tensor] = field(default_factory=dict)
    epoch: int = -1
    recalls: list[float] = field(default_factory=list)

    def consider(self, epoch: int, recalls: list[float], network: nn.Module) -> None:
        """Take a copy of the network's weights if they are better; a tie keeps the earlier."""
        if self.epoch < 0 or recalls > self.recalls:
            self.weights = copied(network)
            self.epoch, self.recalls = epoch, recalls

    def state_dict(self) -> dict[str, Any]:
        """Return what `load_state_dict` takes."""
        return {"weights": self.weights, "epoch": self.epoch, "recalls": self.recalls}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore."""
        self.weights, self.epoch, self.recalls = state["weights"], state["epoch"], state["recalls"]


def copied(network: nn.Module) -> dict[str, Tensor]:
    """Return a copy of a network's state on the CPU."""
    return {name: tensor.detach().cpu().clone() for name, tensor in network.state_dict().items()}
