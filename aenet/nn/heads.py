"""Heads: a feature map [B, C, H, W] becomes one descriptor [B, D], not yet normalised."""

from typing import Annotated, Literal, assert_never

from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from aenet.params import Config


class Flatten(Config):
    """The map itself, D = C H W: the paper's descriptor (81,920 for 1280 x 4 x 16)."""

    kind: Literal["flatten"]


class Gap(Config):
    """Global average pooling, D = C: small enough to serve at scale, blind to layout."""

    kind: Literal["gap"]


HeadConfig = Annotated[Flatten | Gap, Field(discriminator="kind")]


def build_head(config: HeadConfig) -> nn.Module:
    """Return the head as a module."""
    match config:
        case Flatten():
            return nn.Flatten()
        case Gap():
            return GlobalAveragePool()
    assert_never(config)


class GlobalAveragePool(nn.Module):
    """Mean over rows and columns."""

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c"]:
        return x.mean((2, 3))
