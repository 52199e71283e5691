"""Both branches at the same time, each in a thread of its own.

The branches of a network that shares no weights meet in the loss alone, so each can go forward and backward beside the
other. A small network's operations are too short for two threads to share one: two cores do better with a branch each.
What a branch computes, and with how many threads, does not depend on the other one: the numbers are bit by bit those
of one branch after the other.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager

import torch
from timm.layers import DropPath
from torch import Tensor, nn

from aenet.nn.branches import TwoBranch


def can_stand_alone(network: TwoBranch) -> bool:
    """Return whether the branches share nothing: no weights, and no random numbers such as dropout draws."""
    random = (nn.modules.dropout._DropoutNd, DropPath)
    draws = any(isinstance(m, random) and (getattr(m, "p", 0) or getattr(m, "drop_prob", 0)) for m in network.modules())
    return network.ground is not network.aerial and not draws


class SideBySide:
    """The forward and backward passes of two branches, the loss between them."""

    def __init__(self, network: TwoBranch, autocast: Callable[[], AbstractContextManager[None]]) -> None:
        self._network, self._autocast = network, autocast
        self._other = ThreadPoolExecutor(1, thread_name_prefix="aerial-branch")
        self._roots: list[tuple[Tensor, Tensor]] = []

    def forward(self, ground: Tensor, aerial: Tensor, unit: bool) -> tuple[Tensor, Tensor]:
        """Return the descriptors of both views as leaves: a loss's backward pass ends there, until `backward`."""
        theirs = self._other.submit(self._describe, self._network.aerial, aerial, unit)
        ours = self._describe(self._network.ground, ground, unit)
        roots = [ours, theirs.result()]
        self._roots = [(root, root.detach().requires_grad_()) for root in roots]
        return self._roots[0][1], self._roots[1][1]

    def backward(self) -> None:
        """Take the loss's gradient on through both branches."""
        (ground, at_ground), (aerial, at_aerial) = self._roots
        theirs = self._other.submit(torch.autograd.backward, aerial, at_aerial.grad)
        torch.autograd.backward(ground, at_ground.grad)
        theirs.result()
        self._roots = []

    def _describe(self, branch: nn.Module, pixels: Tensor, unit: bool) -> Tensor:
        with self._autocast():  # of this thread alone
            return torch.as_tensor(branch(pixels, unit))
