"""Input widened around the circle, before a layer sees it: forward pre-hooks and what they are made of."""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from timm.layers import get_same_padding
from torch import Tensor, nn
from torch.nn import functional

_Input = tuple[Tensor]


def wrap(x: Float[Tensor, "b c h w"], left: int, right: int) -> Float[Tensor, "b c h v"]:
    """Return x with `left` columns of its right edge before it and `right` columns of its left edge behind it.

    More columns than there are go around more than once: v = left + w + right.
    """
    width = x.shape[-1]
    if max(left, right) <= width:
        return torch.cat([x[..., width - left :], x, x[..., :right]], -1)
    before, after = -(-left // width), -(-right // width)
    return torch.cat([x] * (before + 1 + after), -1).narrow(-1, before * width - left, left + width + right)


def pair(value: int | tuple[int, ...]) -> tuple[int, int]:
    """Return (rows, columns) of a size that may be given once for both."""
    return (value, value) if isinstance(value, int) else (value[0], value[-1])


@dataclass(frozen=True)
class PadColumns:
    """Widen the input on either side; the rows are the layer's own affair."""

    left: int
    right: int

    def __call__(self, module: nn.Module, inputs: _Input) -> _Input:
        return (wrap(inputs[0], self.left, self.right),)


@dataclass(frozen=True)
class PadSame:
    """Pad by TensorFlow's rule, ceil(size / stride) outputs and the odd one last; each pair is (rows, columns)."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    value: float

    @classmethod
    def of(cls, layer: Any, value: float) -> "PadSame":
        """Take the sizes from a convolution or a pooling."""
        dilation = getattr(layer, "dilation", 1)  # average pooling has none
        return cls(pair(layer.kernel_size), pair(layer.stride), pair(dilation), value)

    def __call__(self, module: nn.Module, inputs: _Input) -> _Input:
        (x,) = inputs
        rows, columns = (
            int(get_same_padding(*sizes))
            for sizes in zip(x.shape[-2:], self.kernel, self.stride, self.dilation, strict=True)
        )
        if rows:
            x = functional.pad(x, (0, 0, rows // 2, rows - rows // 2), value=self.value)
        return (wrap(x, columns // 2, columns - columns // 2),)
