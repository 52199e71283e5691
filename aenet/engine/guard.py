"""Steps that came to nothing: forgotten, counted, and written down when there are too many in a row."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from aenet.atomic import write_json
from aenet.data.views import Views
from aenet.engine import rng
from aenet.engine.step import Gradient, Taken
from aenet.errors import AenetError

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
        self.rng = rng.capture()
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
        self.rng = rng.capture()
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
