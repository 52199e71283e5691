"""What a convolution reads beyond the left and the right edge of a panorama: nothing, or the columns of the other edge.

Views are panoramas: the column left of column 0 is the last one. Networks made for photos pad with zeros there, and
so does the paper's, so that a turned view does not give a turned feature map. With `circular` it does, for turns by a
multiple of the network's stride and views whose width is one. Rows end at the zenith and the ground, and keep their
zeros.

What is padded stays the module that it was, with the same names and shapes of weights and the same arithmetic: only
its input comes to it wider, by a hook, and its own padding of the width is taken away.
"""

from collections.abc import Mapping
from typing import Any, Literal

import torch
from timm.layers import Conv2dSame, ScaledStdConv2d, ScaledStdConv2dSame, StdConv2d, StdConv2dSame
from timm.layers.pool2d_same import AvgPool2dSame, MaxPool2dSame
from torch import Tensor, nn

from aenet.errors import AenetError
from aenet.nn.wrapping import PadColumns, PadSame, pair

Padding = Literal["zeros", "circular"]

# Modules that pad as their attribute `padding` says, and those that pad by TensorFlow's rule besides.
_OWN: tuple[type[nn.Module], ...] = (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d, StdConv2d, ScaledStdConv2d)
_SAME_IF_ASKED: tuple[type[nn.Module], ...] = (StdConv2dSame, ScaledStdConv2dSame)
# Layers that do nothing but pad.
_CONSTANT = (nn.ConstantPad2d, nn.ZeroPad2d)
_PADDINGS = (*_CONSTANT, nn.ReflectionPad2d, nn.ReplicationPad2d)


class _PaddedConv2d(Conv2dSame):  # type: ignore[misc]  # timm is not typed; so below
    """A `Conv2dSame` whose input was padded before; not counted as a plain Conv2d by hooks, as it never was."""

    def forward(self, x: Tensor) -> Tensor:
        return nn.Conv2d.forward(self, x)


class _PaddedMaxPool2d(MaxPool2dSame):  # type: ignore[misc]  # timm
    def forward(self, x: Tensor) -> Tensor:
        return torch.as_tensor(nn.MaxPool2d.forward(self, x))


class _PaddedAvgPool2d(AvgPool2dSame):  # type: ignore[misc]  # timm
    def forward(self, x: Tensor) -> Tensor:
        return nn.AvgPool2d.forward(self, x)


# TensorFlow's rule, always: the class without it, and what stands above and below the rows.
_ALWAYS_SAME: Mapping[type[nn.Module], tuple[type[nn.Module], float]] = {
    Conv2dSame: (_PaddedConv2d, 0.0),
    MaxPool2dSame: (_PaddedMaxPool2d, -torch.inf),
    AvgPool2dSame: (_PaddedAvgPool2d, 0.0),
}


def pad_circularly(module: nn.Module) -> None:
    """Let every convolution and pooling in `module` continue the last axis of its input around the circle, in place.

    Layers one column wide, and those that do not pad the width, stay as they are. Padding that a network does inside
    its own `forward`, by a call and not by a layer, is not seen here, but by `check_turns`.

    Raises:
        AenetError: a layer that reads neighbouring columns is of a kind not known here.
    """
    for name, layer in module.named_modules():
        kernel = getattr(layer, "kernel_size", None) or getattr(layer, "filt_size", None)
        if isinstance(layer, _PADDINGS):
            _pad_layer(layer, name)
        elif kernel is not None and not isinstance(layer, nn.Conv1d) and pair(kernel)[1] > 1:
            _pad_layer(layer, name)  # a Conv1d runs along the channels


@torch.inference_mode()
def check_turns(module: nn.Module, channels_last: bool) -> None:
    """Turn a small panorama of noise by one column of the map and see that the map turns.

    Args:
        module: from [B, 3, H, W] to a map.
        channels_last: the map is [B, h, w, C].

    Raises:
        AenetError: it does not, because the network pads or tells columns apart in a way that layers do not show.
    """
    weight = next(module.parameters())
    if weight.is_meta:  # a network that is only counted
        return
    noise = torch.randn(1, 3, 64, 256, generator=torch.Generator().manual_seed(0)).to(weight.device)
    was, axis = module.training, 2 if channels_last else 3
    plain = module.eval()(noise)
    if plain.ndim == 4:  # what is no map is refused where it is used
        turned = module(noise.roll(noise.shape[3] // plain.shape[axis], 3))
        error, scale = (float(x.abs().amax()) for x in (turned - plain.roll(1, axis), plain))
        if error > 1e-3 * scale:
            raise AenetError(
                f"padding: circular leaves {type(module).__name__}'s map of a turned view {error / scale:.1%} away "
                "from the turned map: it pads inside itself; use `padding: zeros`, or another backbone"
            )
    module.train(was)


def _pad_layer(layer: Any, name: str) -> None:
    kind = type(layer)
    if kind in _ALWAYS_SAME:
        layer.__class__, value = _ALWAYS_SAME[kind]
        layer.register_forward_pre_hook(PadSame.of(layer, value))
    elif kind in _SAME_IF_ASKED and layer.same_pad:
        layer.same_pad = False
        layer.register_forward_pre_hook(PadSame.of(layer, 0.0))
    elif kind in (*_OWN, *_SAME_IF_ASKED):
        _pad_own(layer, name)
    elif kind in _CONSTANT and min(layer.padding) >= 0:  # less than nought cuts away
        left, right, top, bottom = layer.padding
        layer.padding = (0, 0, top, bottom)
        layer.register_forward_pre_hook(PadColumns(left, right))
    elif kind not in (padded for padded, _ in _ALWAYS_SAME.values()):
        raise AenetError(
            f"padding: circular does not know how {kind.__name__} ('{name}') pads the width: use `padding: zeros`, "
            "or another backbone"
        )


def _pad_own(layer: Any, name: str) -> None:
    if getattr(layer, "padding_mode", "zeros") != "zeros":
        raise AenetError(
            f"padding: circular finds '{name}' padded by its own mode '{layer.padding_mode}': use `padding: zeros`, or "
            "another backbone"
        )
    if layer.padding == "same":  # torch's own, of stride 1: there TensorFlow's rule is the same
        layer.padding = (0, 0)
        layer.register_forward_pre_hook(PadSame.of(layer, 0.0))
        return
    rows, columns = (0, 0) if layer.padding == "valid" else pair(layer.padding)
    if columns:
        layer.padding = (rows, 0)
        layer.register_forward_pre_hook(PadColumns(columns, columns))
