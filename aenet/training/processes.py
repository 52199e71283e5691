"""One process or many: who this one is, what they tell each other, and batch normalisation over all of them.

A batch's loss compares every pair with every other, so each process needs the descriptors of all. Every process
computes the whole loss from the gathered descriptors, and its backward pass fills in the gradient of its own rows.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from accelerate import Accelerator, PartialState
from accelerate.utils import broadcast_object_list
from timm.layers import convert_sync_batchnorm
from torch import Tensor, nn
from torch import distributed as dist
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from aenet.training.batches import share

# Batch normalisation over the batch of all processes, so that two of 12 pairs compute what one of 24 does.
#
# On GPUs it is torch's own; that one refuses tensors of a CPU, for which there is `SharedBatchNorm`.


def synchronise(network: nn.Module, device: torch.device) -> nn.Module:
    """Return the network with every batch normalisation synchronised; names and values of its state stay."""
    if device.type == "cuda":
        # timm's: torch's own would drop the activations that timm keeps inside its layers.
        converted: nn.Module = convert_sync_batchnorm(network)
        return converted
    for name, child in network.named_children():
        network.add_module(
            name, SharedBatchNorm(child) if isinstance(child, _BatchNorm) else synchronise(child, device)
        )
    return network


class _Sum(torch.autograd.Function):
    """Sum over processes; the gradient of a sum that all of them use is the sum of their gradients."""

    @staticmethod
    def forward(ctx: Any, local: Tensor) -> Tensor:
        total = local.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].clone()
        dist.all_reduce(total)
        return total


class SharedBatchNorm(_BatchNorm):
    """`torch.nn.BatchNorm*`, or timm's with an activation, with mean and variance taken over all processes' rows.

    Mean first, then the squared differences from it: the mean of squares minus the squared mean would lose digits.
    """

    def __init__(self, origin: _BatchNorm) -> None:
        super().__init__(origin.num_features, origin.eps, origin.momentum, origin.affine, origin.track_running_stats)
        self.weight, self.bias = origin.weight, origin.bias
        self.running_mean, self.running_var = origin.running_mean, origin.running_var
        self.num_batches_tracked = origin.num_batches_tracked
        self.drop: nn.Module = getattr(origin, "drop", nn.Identity())
        self.act: nn.Module = getattr(origin, "act", nn.Identity())
        self.training = origin.training

    def forward(self, x: Tensor) -> Tensor:
        if not self.training and self.running_mean is not None:
            out = functional.batch_norm(
                x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps
            )
            return torch.as_tensor(self.act(self.drop(out)))
        shape = (1, -1, *([1] * (x.ndim - 2)))
        axes = [axis for axis in range(x.ndim) if axis != 1]
        values = x.float()
        count = values.new_full((1,), x.numel() // x.shape[1])
        total = _Sum.apply(torch.cat([values.sum(axes), count]))
        n = total[-1].detach()
        mean = total[:-1] / n
        centred = values - mean.view(shape)
        variance = _Sum.apply(centred.square().sum(axes)) / n
        self._remember(mean.detach(), variance.detach(), n)
        out = centred * torch.rsqrt(variance + self.eps).view(shape)
        if self.affine:
            out = out * self.weight.view(shape) + self.bias.view(shape)
        return torch.as_tensor(self.act(self.drop(out.to(x.dtype))))

    def _remember(self, mean: Tensor, variance: Tensor, n: Tensor) -> None:
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked += 1
        share = self.momentum if self.momentum is not None else 1 / float(self.num_batches_tracked)
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(variance * n / (n - 1), share)


T = TypeVar("T")


class Processes:
    """The processes of one run; with a single one every method is the identity."""

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
