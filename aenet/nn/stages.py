"""Maps from inside a timm network: of one of its stages, or of several on one grid.

timm counts stages from 0 in the order pixels pass them; -1 is the last, as in `features_only` and
`forward_intermediates`. A convolutional network has one for each stride (EfficientNets five: 2, 4, 8, 16, 32; VGG six,
each before its pooling, and the last pooling's), a transformer one for each block, all of the same stride. Layers
behind the last stage taken are cut off: neither computed, trained, counted nor exported.
"""

from collections.abc import Sequence

import timm
import torch
from jaxtyping import Float
from timm.layers import resample_abs_pos_embed
from torch import Tensor, nn
from torch.nn import functional

from aenet.io.errors import AenetError

# What torch says where positions were laid out for another size; on the meta device in other words.
_OTHER_SHAPE = ("must match the size of tensor", "Attempting to broadcast a dimension")


class Stages(nn.Module):
    """A network cut behind the last of some stages; answers their maps, channels side by side.

    The first stage's map says how many rows and columns there are: finer ones are averaged onto it, coarser ones
    interpolated (bilinear).

    Attributes:
        taken: timm's indices, in the order their channels stand.
        channels: of all maps together.
    """

    def __init__(self, network: nn.Module, name: str, stages: Sequence[int]) -> None:
        super().__init__()
        known = stage_channels(network, name)
        for stage in stages:
            if not -len(known) <= stage < len(known):
                raise AenetError(f"backbone.stages: '{name}' has no stage {stage}; it has {_listed(known)}")
        self.taken = tuple(stage % len(known) for stage in stages)
        if len(set(self.taken)) < len(self.taken):
            raise AenetError(f"backbone.stages: {list(stages)} names a stage of '{name}' twice")
        network.prune_intermediate_layers(sorted(self.taken), prune_norm=True, prune_head=True)  # type: ignore[operator]
        self.network = network
        self.channels = sum(known[stage][1] for stage in self.taken)

    def maps(self, x: Float[Tensor, "b 3 h w"]) -> list[Tensor]:
        """Return [B, C, H, W] of each stage, in the order they were named."""
        order = sorted(self.taken)
        maps: list[Tensor] = self.network.forward_intermediates(  # type: ignore[operator]  # timm's own method
            x, indices=order, output_fmt="NCHW", intermediates_only=True
        )
        return [maps[order.index(stage)] for stage in self.taken]

    def forward(self, x: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b c rows columns"]:
        first, *others = self.maps(x)
        return torch.cat([first, *(on_grid(other, *first.shape[2:]) for other in others)], dim=1) if others else first


def on_grid(x: Float[Tensor, "b c h w"], rows: int, columns: int) -> Float[Tensor, "b c rows columns"]:
    """Return a map with so many rows and columns: means of cells where they divide its own, else interpolated."""
    high, wide = x.shape[2:]
    if (high, wide) == (rows, columns):
        return x
    if high % rows == 0 and wide % columns == 0:
        return functional.avg_pool2d(x, (high // rows, wide // columns))
    return functional.interpolate(x, size=(rows, columns), mode="bilinear", align_corners=False)


def stage_channels(network: nn.Module, name: str) -> list[tuple[int, int]]:
    """Return (stride in pixels, channels) of each stage that timm can give of a network.

    Raises:
        AenetError: it can give none.
    """
    if not hasattr(network, "forward_intermediates"):
        raise AenetError(
            f"backbone.stages: timm {timm.__version__} gives no maps from inside '{name}': leave out stages, or take "
            "another backbone.name"
        )
    info = network.feature_info
    return [(stage["reduction"], stage["num_chs"]) for stage in getattr(info, "info", info)]  # type: ignore[union-attr]


def _listed(known: list[tuple[int, int]]) -> str:
    """Say which stages there are; the blocks of a transformer are alike."""
    if len(known) > 1 and len(set(known)) == 1:
        stride, channels = known[0]
        return f"0 to {len(known) - 1}, each of stride {stride} and {channels} channels (-1 is the last)"
    each = "; ".join(f"{stage}: stride {stride}, {channels} channels" for stage, (stride, channels) in enumerate(known))
    return f"{each} (-1 is the last)"


def check_input_size(network: nn.Module, name: str, height: int, width: int) -> None:
    """Refuse images of a size that a transformer's positions were not laid out for.

    Raises:
        AenetError: that says how to lay them out for this size, or which sizes are possible.
    """
    size, patch = fixed_size(network), patch_size(network)
    if size is None or size == (height, width):
        return
    fitting = tuple(max(1, side // step) * step for side, step in zip((height, width), patch, strict=True))
    way = f"set backbone.image_size: [{height}, {width}]"
    if fitting != (height, width):
        way = f"its patches are {patch[0]} x {patch[1]} pixels: {_cropped(fitting)}"
    raise AenetError(
        f"'{name}' takes images of {size[0]} x {size[1]} pixels, the view has {height} x {width}: {way} (trained "
        "positions are resampled), or take a convolutional backbone"
    )


def check_laid_out(network: nn.Module, name: str, asked: tuple[int, int]) -> None:
    """Refuse a size that a network does not cut into whole patches: it would leave out what is over.

    Raises:
        AenetError: the size is no multiple of a patch, or the network ignored it.
    """
    patch = patch_size(network)
    fitting = tuple(max(1, side // step) * step for side, step in zip(asked, patch, strict=True))
    if fitting != asked:
        raise AenetError(
            f"backbone.image_size: {asked[0]} x {asked[1]} pixels are no whole patches of '{name}', which are "
            f"{patch[0]} x {patch[1]}: {_cropped(fitting)}"
        )


def on_its_grid(weights: dict[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """Return weights with a transformer's positions resampled to the grid that the network is laid out for."""
    here, grid = getattr(network, "pos_embed", None), getattr(getattr(network, "patch_embed", None), "grid_size", None)
    given = weights.get("pos_embed")
    if grid is None or given is None or not isinstance(here, Tensor) or given.ndim != 3 or given.shape == here.shape:
        return weights
    prefix = here.shape[1] - grid[0] * grid[1]  # class and other tokens that have a position
    return weights | {"pos_embed": resample_abs_pos_embed(given, list(grid), num_prefix_tokens=prefix)}


def refused_size(error: Exception, name: str, height: int, width: int) -> Exception:
    """Return a sentence for what a network raises of images whose size it cannot take; any other error as it is."""
    said = " ".join(str(error).split())
    if not isinstance(error, AssertionError) and not any(words in said for words in _OTHER_SHAPE):
        return error
    return AenetError(
        f"'{name}' cannot take images of {height} x {width} pixels ({said}): set backbone.image_size: [{height}, "
        f"{width}], give the view sides that its patches and windows divide, or take a convolutional backbone"
    )


def fixed_size(network: nn.Module) -> tuple[int, int] | None:
    """Return the one size (height, width) of images that a transformer takes; None for networks that take many."""
    embed = getattr(network, "patch_embed", None)
    size = getattr(embed, "img_size", None)
    return None if size is None or not getattr(embed, "strict_img_size", True) else (int(size[0]), int(size[1]))


def patch_size(network: nn.Module) -> tuple[int, int]:
    """Return rows and columns of pixels of a transformer's patch, with those of the network that may stand before."""
    embed = getattr(network, "patch_embed", None)
    patch, ratio = getattr(embed, "patch_size", (1, 1)), getattr(embed, "feature_ratio", (1, 1))
    high, wide = (patch, patch) if isinstance(patch, int) else patch
    return int(high * ratio[0]), int(wide * ratio[1])


def _cropped(fitting: tuple[int, ...]) -> str:
    return f"give the view {fitting[0]} x {fitting[1]} and set backbone.image_size: [{fitting[0]}, {fitting[1]}]"
