"""Training checkpoints: the state of a run between two epochs, atomic, outside DVC's outs.

The caller keys the folder by a fingerprint of everything that decides the outcome; `persist`ed outs would survive a
change of code or parameters, and then training would do nothing.
"""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from aenet.artifacts import atomic_file
from aenet.errors import CorruptArtifact

if TYPE_CHECKING:
    from aenet.training import Epoch

_FILE = "checkpoint.pt"


@dataclass(frozen=True)
class State:
    """History so far and the best weights by validation recall."""

    history: list[dict[str, Any]] = field(default_factory=list)
    best: dict[str, Tensor] = field(default_factory=dict)
    best_epoch: int = -1

    def after(self, epoch: "Epoch", network: nn.Module) -> "State":
        """Return the state with one more epoch; an epoch is better when its R@1, then R@5, R@10 are."""
        history = [*self.history, asdict(epoch)]
        if self.best_epoch >= 0 and _score(history[-1]) <= _score(history[self.best_epoch]):
            return State(history, self.best, self.best_epoch)
        weights = {name: tensor.detach().cpu().clone() for name, tensor in network.state_dict().items()}
        return State(history, weights, epoch.epoch)


def _score(epoch: dict[str, Any]) -> tuple[float, ...]:
    return tuple(epoch[f"val_recall_at_{k}"] for k in (1, 5, 10))


def save_checkpoint(folder: Path, state: State, network: nn.Module, optimizer: Any, scheduler: Any) -> None:
    """Write everything the next epoch depends on, wholly or not at all."""
    content = {
        "state": asdict(state),
        "network": network.state_dict(),
        "optimizer": optimizer.state_dict(),
        "scheduler": scheduler.state_dict(),
    }
    with atomic_file(folder / _FILE) as temporary:
        torch.save(content, temporary)


def load_checkpoint(folder: Path, network: nn.Module, optimizer: Any, scheduler: Any) -> State | None:
    """Restore a run in place and return its state; None where there is no checkpoint."""
    path = folder / _FILE
    if not path.exists():
        return None
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged zip raises many kinds
        raise CorruptArtifact(f"{path} is damaged: delete it to train from the beginning") from error
    network.load_state_dict(content["network"])
    optimizer.load_state_dict(content["optimizer"])
    scheduler.load_state_dict(content["scheduler"])
    return State(**content["state"])
