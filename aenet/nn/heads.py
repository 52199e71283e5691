"""Heads: a feature map [B, C, H, W] becomes one descriptor [B, D], not yet normalised."""

from typing import Annotated, Literal, assert_never

import torch
from jaxtyping import Float
from pydantic import Field, model_validator
from torch import Tensor, nn

from aenet.io.errors import AenetError
from aenet.io.params import Config


class Flatten(Config):
    """The map itself, D = C H W: the paper's descriptor (81,920 for 1280 x 4 x 16)."""

    kind: Literal["flatten"]


class Gap(Config):
    """Global average pooling, D = C: small enough to serve at scale, blind to layout."""

    kind: Literal["gap"]


class Gem(Config):
    """Generalised mean pooling, D = C (Radenovic, Tolias, Chum, TPAMI 2019, arXiv:1711.02512).

    Attributes:
        p: the power at the start: 1 is the average, infinity the maximum.
        learn: let training move it; one value for all channels.
    """

    kind: Literal["gem"]
    p: float = Field(default=3.0, gt=0)
    learn: bool = True


class Projection(Config):
    """A linear layer with bias to `dim` values, learned with the network; D = dim.

    Behind `flatten` it weighs every cell of the map: 81,920 x 512 + 512 = 41.9 M parameters a branch for the paper's
    map and 512 values, twice those of the backbone. Behind `gap` or `gem` it is 1280 x 512 + 512 = 0.66 M.

    Attributes:
        of: what it projects.
        dim: values of the descriptor.
        map_size: rows and columns of the feature map, for `of: flatten` alone: (4, 16) for V2-S at 128 x 512.
    """

    kind: Literal["projection"]
    of: Literal["flatten", "gap", "gem"] = "gap"
    dim: int = Field(ge=1)
    map_size: tuple[int, int] | None = None

    @model_validator(mode="after")
    def _map_size_goes_with_flatten(self) -> "Projection":
        if (self.of == "flatten") != (self.map_size is not None):
            raise ValueError("map_size (rows and columns of the feature map) goes with `of: flatten`, and with it only")
        if self.map_size is not None and min(self.map_size) < 1:
            raise ValueError(f"map_size {self.map_size[0]} x {self.map_size[1]} is no size")
        return self


HeadConfig = Annotated[Flatten | Gap | Gem | Projection, Field(discriminator="kind")]


def build_head(config: HeadConfig, channels: int) -> nn.Module:
    """Return the head for feature maps of `channels` channels."""
    match config:
        case Flatten():
            return nn.Flatten()
        case Gap():
            return GlobalAveragePool()
        case Gem():
            return GeneralizedMeanPool(config.p, config.learn)
        case Projection(map_size=None):
            pool = GlobalAveragePool() if config.of == "gap" else GeneralizedMeanPool()
            return nn.Sequential(pool, nn.Linear(channels, config.dim))
        case Projection(map_size=(rows, columns)):
            return nn.Sequential(FlattenOf(rows, columns), nn.Linear(channels * rows * columns, config.dim))
    assert_never(config)  # type: ignore[arg-type]  # mypy does not add up the two cases of map_size


class GlobalAveragePool(nn.Module):
    """Mean over rows and columns."""

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c"]:
        return x.mean((2, 3))


class GeneralizedMeanPool(nn.Module):
    """(mean x^p)^(1/p) over rows and columns, of what is positive: activations below 1e-6 count as 1e-6."""

    def __init__(self, p: float = 3.0, learn: bool = True) -> None:
        super().__init__()
        self.p = nn.Parameter(torch.tensor(p), requires_grad=learn)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c"]:
        # In the precision of p, float32 under autocast too: half precision has no room for powers.
        return x.to(self.p.dtype).clamp_min(1e-6).pow(self.p).mean((2, 3)).pow(1 / self.p)


class FlattenOf(nn.Module):
    """Flatten a map of one known size, the only one the layer behind it has weights for."""

    def __init__(self, rows: int, columns: int) -> None:
        super().__init__()
        self.rows, self.columns = rows, columns

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d"]:
        if x.shape[2:] != (self.rows, self.columns):
            rows, columns = x.shape[2:]
            raise AenetError(
                f"head.map_size is {self.rows} x {self.columns}, the feature map {rows} x {columns}: set it to "
                f"[{rows}, {columns}], or give the view the size it was trained on"
            )
        return x.flatten(1)
