"""Where a training stands: what a checkpoint holds beside the weights."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from aenet.data.sampling import Mined
from aenet.engine.best import Best
from aenet.engine.records import Epoch
from aenet.engine.step import Gradient, Taken

_RUNNING = ("step", "losses", "several", "skipped")


@dataclass
class Position:
    """The finished epochs, and how far the running one has come.

    Attributes:
        order: in which the running epoch takes the pairs; kept, because it may come from weights that are gone.
        mined: the look-alikes it was made of, for the epochs that make another order of them.
        step: steps of the running epoch that are done, of any kind.
        losses, several: of its good steps, one by one, so that a mean has the same bits after a kill.
        skipped: its bad steps.
    """

    history: list[dict[str, Any]] = field(default_factory=list)
    best: Best = field(default_factory=Best)
    order: Int[np.ndarray, " n"] | None = None
    mined: Mined = field(default_factory=Mined)
    step: int = 0
    losses: list[float] = field(default_factory=list)
    several: list[float] = field(default_factory=list)
    skipped: int = 0

    @property
    def epoch(self) -> int:
        """The running epoch, from 0."""
        return len(self.history)

    def add(self, taken: Taken, gradient: Gradient) -> None:
        """Count one step."""
        self.step += 1
        self.skipped += taken == "bad"
        if taken != "bad":
            self.losses.append(gradient.loss)
            self.several.append(gradient.several)

    def finish(self, epoch: Epoch) -> None:
        """Begin the next epoch."""
        self.history.append(epoch.numbers())
        self.order, self.step, self.losses, self.several, self.skipped = None, 0, [], [], 0

    def state_dict(self) -> dict[str, Any]:
        """Return what `load_state_dict` takes."""
        rows = {"order": _stored(self.order), "neighbours": _stored(self.mined.neighbours)}
        running = {name: getattr(self, name) for name in _RUNNING}
        return {"history": self.history, "best": self.best.state_dict(), **rows, **running}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore."""
        self.history, self.order = state["history"], _loaded(state["order"])
        self.mined.neighbours = _loaded(state["neighbours"])
        self.best.load_state_dict(state["best"])
        for name in _RUNNING:
            setattr(self, name, state[name])


def _stored(rows: np.ndarray | None) -> Tensor | None:
    return None if rows is None else torch.from_numpy(rows)


def _loaded(rows: Tensor | None) -> np.ndarray | None:
    return None if rows is None else rows.numpy()
