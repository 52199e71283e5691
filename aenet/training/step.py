"""What a step starts from and gives: random numbers, its gradient, and what is done where that is not finite."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from aenet.data.views import Views
from aenet.io.atomic import write_json
from aenet.io.errors import AenetError

# The state of every library's random numbers in this process.


def capture() -> dict[str, Any]:
    """Return the generators' states as plain numbers and tensors."""
    kind, keys, position, has_gauss, gauss = np.random.get_state(legacy=True)
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state() if torch.cuda.is_available() else None,
        "numpy": [str(kind), torch.from_numpy(np.asarray(keys).astype(np.int64)), position, has_gauss, gauss],
        "python": random.getstate(),
    }


def restore(state: dict[str, Any]) -> None:
    """Set the generators to captured states."""
    torch.set_rng_state(state["torch"])
    if state["cuda"] is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])
    kind, keys, position, has_gauss, gauss = state["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), position, has_gauss, gauss))
    version, internal, gauss_next = state["python"]
    random.setstate((version, tuple(internal), gauss_next))


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


def gradient_norm(parameters: Sequence[Tensor]) -> float:
    """Return the norm of all gradients; not finite if one of them is not."""
    return float(torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None]))


# Bad steps: forgotten, counted, and written down when there are too many in a row.

BAD_BATCHES = "not_finite.json"


class Guard:
    """Remembers what a step's forward pass changes, and keeps the streak of steps that were not finite.

    A batch with one NaN spoils the running statistics of every batch normalisation although no weight has moved.

    Attributes:
        streak: the bad steps since the last good one, with their pairs' ids.
        under_way: whether the forward pass may have changed the buffers.
    """

    def __init__(self, network: nn.Module) -> None:
        self.streak: list[dict[str, Any]] = []
        self.under_way = False
        self.rng = capture()
        self._live = dict(network.named_buffers())
        # A shared branch has two names for one tensor: it is copied once, and known by both.
        first = {id(buffer): name for name, buffer in self._live.items()}
        every = network.named_buffers(remove_duplicate=False)
        self._copied_as = {name: first[id(buffer)] for name, buffer in every}
        self._before = {name: buffer.clone() for name, buffer in self._live.items()}
        kinds = {buffer.dtype for buffer in self._live.values()}
        self._kinds = [[name for name, buffer in self._live.items() if buffer.dtype == kind] for kind in kinds]

    @torch.no_grad()
    def remember(self) -> None:
        """Take note of the state before a step."""
        self._copy(self._live, self._before)
        self.rng = capture()
        self.under_way = True

    @torch.no_grad()
    def forget(self) -> None:
        """Undo what a bad step's forward pass did."""
        self._copy(self._before, self._live)

    def _copy(self, source: dict[str, Tensor], target: dict[str, Tensor]) -> None:
        for names in self._kinds:  # hundreds of small buffers: on a GPU, a few kernels in place of hundreds
            torch._foreach_copy_([target[name] for name in names], [source[name] for name in names])

    def before(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return a network's state with the buffers as they were before the step under way."""
        if not self.under_way:
            return weights
        own = self._copied_as
        return {name: self._before[own[name]] if name in own else tensor for name, tensor in weights.items()}

    def judge(
        self, taken: Taken, gradient: Gradient, where: tuple[int, int], views: Views, most: int, report: Path | None
    ) -> None:
        """Count a step; stop the training after `most` bad ones in a row.

        Args:
            where: epoch and step.
            report: folder for the list of the pairs; None where another process writes it.

        Raises:
            AenetError: names the last step, the file with the pairs' ids, and what to lower.
        """
        if taken != "bad":
            self.streak.clear()
            return
        pairs = [str(views.pairs["pair_id"].iloc[row]) for row in gradient.rows]
        self.streak.append({"epoch": where[0], "step": where[1], "loss": str(gradient.loss), "pair_ids": pairs})
        if len(self.streak) < most:
            return
        if report is not None:
            write_json(report / BAD_BATCHES, self.streak)
        raise AenetError(
            f"the loss or its gradient was not finite {len(self.streak)} times in a row, last at epoch {where[0]}, "
            f"step {where[1]}: lower optimizer.lr or loss.alpha, or look at the pairs listed in "
            f"{report / BAD_BATCHES if report else BAD_BATCHES}; the last good checkpoint is kept"
        )
