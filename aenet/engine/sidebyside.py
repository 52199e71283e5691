"""Both branches at the same time, each in a thread of its own.

The branches of a network that shares no weights meet in the loss alone, so each can go forward and backward beside the
other. A small network's operations are too short for two threads to share one: two cores do better with a branch each.
What a branch computes, and with how many threads, does not depend on the other one: the numbers are bit by bit those
of one branch after the other.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import AbstractContextManager
from typing import TypeVar

import torch
from timm.layers import DropPath
from torch import Tensor, nn

from aenet.nn.branches import TwoBranch, View

T = TypeVar("T")


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
        self._roots: dict[View, Tensor] = {}
        self._leaves: dict[View, Tensor] = {}

    def each(self, work: Callable[[View], T]) -> tuple[T, T]:
        """Do the same for both views at the same time; what fails in one of them is raised here, after the other."""
        aerial = self._other.submit(work, "aerial")
        try:
            ground = work("ground")
        finally:
            wait([aerial])
        return ground, aerial.result()

    def forward(self, ground: Tensor, aerial: Tensor, unit: bool) -> tuple[Tensor, Tensor]:
        """Return the descriptors of both views as leaves: a loss's backward pass ends there, until `backward`."""
        pixels: dict[View, Tensor] = {"ground": ground, "aerial": aerial}

        def describe(view: View) -> Tensor:
            with self._autocast():  # of this thread alone
                return torch.as_tensor(self._network.branch(view)(pixels[view], unit))

        roots = self.each(describe)
        self._roots = {"ground": roots[0], "aerial": roots[1]}
        self._leaves = {view: root.detach().requires_grad_() for view, root in self._roots.items()}
        return self._leaves["ground"], self._leaves["aerial"]

    def backward(self) -> None:
        """Take the loss's gradient on through both branches."""
        self.each(lambda view: torch.autograd.backward(self._roots[view], self._leaves[view].grad))
        self._roots, self._leaves = {}, {}


def one_after_the_other(work: Callable[[View], T]) -> tuple[T, T]:
    """Do the same for both views, the ground first; stands in for `SideBySide.each`."""
    return work("ground"), work("aerial")
