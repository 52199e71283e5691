"""One process or many: who this one is, and what the processes tell each other.

A batch's loss compares every pair with every other, so each process needs the descriptors of all. Every process
computes the whole loss from the gathered descriptors, and its backward pass fills in the gradient of its own rows.
"""

from collections.abc import Callable
from typing import TypeVar

import torch
from accelerate import Accelerator, PartialState
from accelerate.utils import broadcast_object_list
from torch import Tensor
from torch import distributed as dist

from aenet.data.batches import share

T = TypeVar("T")


class Processes:
    """The processes of one training; with a single one every method is the identity."""

    def __init__(self, accelerator: Accelerator) -> None:
        self.rank: int = accelerator.process_index
        self.world: int = accelerator.num_processes
        self._device: torch.device = accelerator.device

    @property
    def main(self) -> bool:
        """Whether this is the process that writes and reports."""
        return self.rank == 0

    def gather(self, local: Tensor, total: int) -> Tensor:
        """Return the `total` rows of all processes, in order; gradients flow into this process's own.

        They come `world` times too large, because averaging over the processes, as data-parallel training does,
        then makes them those of one process that had all rows. The values are exactly the senders'.
        """
        if self.world == 1:
            return local
        parts = [share(total, rank, self.world) for rank in range(self.world)]
        sizes = [part.stop - part.start for part in parts]
        padded = local.new_zeros((max(sizes), *local.shape[1:]))
        padded[: len(local)] = local.detach()
        received = [torch.empty_like(padded) for _ in sizes]
        dist.all_gather(received, padded)
        rows = [tensor[:size] for tensor, size in zip(received, sizes, strict=True)]
        rows[self.rank] = local.detach() + (local - local.detach()) * self.world
        return torch.cat(rows)

    def largest(self, number: int) -> int:
        """Return the largest of all processes' numbers."""
        if self.world == 1:
            return number
        held = torch.tensor(number, device=self._device)
        dist.all_reduce(held, dist.ReduceOp.MAX)
        return int(held.item())

    def average_gradients(self, parameters: list[Tensor]) -> None:
        """Average gradients of parameters that data-parallel training does not know of (a loss's own)."""
        for parameter in parameters if self.world > 1 else []:
            if parameter.grad is not None:
                dist.all_reduce(parameter.grad)
                parameter.grad /= self.world

    def from_main(self, make: Callable[[], T]) -> T:
        """Return what the main process makes; the others wait for it."""
        if self.world == 1:
            return make()
        held: list[T | None] = [make() if self.main else None]
        broadcast_object_list(held, from_process=0)
        value: T = held[0]  # type: ignore[assignment]  # filled by the broadcast
        return value

    def collect(self, value: T) -> list[T]:
        """Return every process's value, by rank."""
        if self.world == 1:
            return [value]
        held: list[T | None] = [None] * self.world
        dist.all_gather_object(held, value)
        return held  # type: ignore[return-value]  # filled by the gathering


def wait_for_all() -> None:
    """Return once every process of this job has come here; at once where there is one."""
    PartialState().wait_for_everyone()
