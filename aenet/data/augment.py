"""Augmentation of a batch of packed views, on tensors; geometry moves both views alike."""

import torch
from jaxtyping import Float, UInt8
from pydantic import Field
from torch import Tensor

from aenet.params import Config


class AugmentConfig(Config):
    """What may vary in training.

    Attributes:
        roll: turn both views of a pair by one random azimuth.
        flip: mirror both views of a pair, East for West, half of the time.
        colour: largest relative change of brightness, contrast and channel gains, per image and view.
        erase: probability that a rectangle of the ground view is painted over (up to a quarter of its width).
    """

    roll: bool = False
    flip: bool = False
    colour: float = Field(default=0.0, ge=0, lt=1)
    erase: float = Field(default=0.0, ge=0, le=1)


def augment(
    ground: UInt8[Tensor, "n h w 3"],
    aerial: UInt8[Tensor, "n h w 3"],
    config: AugmentConfig,
    generator: torch.Generator,
) -> tuple[Float[Tensor, "n h w 3"], Float[Tensor, "n h w 3"]]:
    """Return both views as floats in 0..255, augmented; a pure function of the generator's state."""
    columns = _columns(len(ground), ground.shape[2], config, generator).to(ground.device)
    views = [_take_columns(view, columns).float() for view in (ground, aerial)]
    if config.colour > 0:
        views = [_colour(view, config.colour, generator) for view in views]
    if config.erase > 0:
        views[0] = _erase(views[0], config.erase, generator)
    return views[0], views[1]


def _columns(n: int, width: int, config: AugmentConfig, generator: torch.Generator) -> Tensor:
    """Source column of each target column, [n, width]; column 0 looks South, so a mirror maps j to -j."""
    columns = torch.arange(width).expand(n, width)
    if config.flip:
        mirrored = torch.rand((n, 1), generator=generator) < 0.5
        columns = torch.where(mirrored, -columns, columns)
    if config.roll:
        columns = columns + torch.randint(width, (n, 1), generator=generator)
    return columns % width


def _take_columns(view: Tensor, columns: Tensor) -> Tensor:
    """Rearrange each image's columns by itself: an index of the images' full size would be eight times their bytes."""
    return torch.stack([image.index_select(1, order) for image, order in zip(view, columns, strict=True)])


def _colour(view: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """Scale contrast about the image's mean, then brightness and channels: one multiplication and one addition."""

    def draw(channels: int) -> Tensor:
        shape = (view.shape[0], 1, 1, channels)
        return (1 + strength * (2 * torch.rand(shape, generator=generator) - 1)).to(view.device)

    contrast, gain = draw(1), draw(1) * draw(3)
    mean = view.mean((1, 2, 3), keepdim=True)
    return torch.addcmul(mean * (1 - contrast) * gain, view, contrast * gain).clamp_(0, 255)


def _erase(view: Tensor, probability: float, generator: torch.Generator) -> Tensor:
    """Paint a rectangle with the image's mean, as if a lorry stood there."""
    n, height, width, _ = view.shape
    chosen = torch.rand((n, 1, 1), generator=generator) < probability
    top, left = (torch.rand((n, 1, 1), generator=generator) for _ in range(2))
    tall, wide = (torch.rand((n, 1, 1), generator=generator) for _ in range(2))
    rows = torch.arange(height)[None, :, None] / height
    columns = torch.arange(width)[None, None, :] / width
    inside = (rows >= top) & (rows < top + tall / 2) & (columns >= left) & (columns < left + wide / 4)
    mask = (inside & chosen)[..., None].to(view.device)
    return torch.where(mask, view.mean((1, 2), keepdim=True), view)
