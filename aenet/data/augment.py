"""Augmentation of a batch of packed views, on their device; geometry moves both views alike.

What is drawn for a batch is drawn for all of its pairs, always in one order and on the CPU, and a process that
holds a part of the batch applies its part: two processes see what one would have seen.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64, UInt8
from pydantic import Field
from torch import Tensor

from aenet.params import Config

Pixels = UInt8[Tensor, "n h w 3"] | Float[Tensor, "n h w 3"]


class AugmentConfig(Config):
    """What may vary in training.

    Attributes:
        roll: turn both views of a pair by one random azimuth.
        flip: mirror both views of a pair, East for West, half of the time.
        colour: largest relative change of brightness, contrast and channel gains, per image and view.
        erase: probability that a rectangle of the ground view is painted over (up to a quarter of its width).
        fov_deg: smallest field of view of the ground view, in degrees: each keeps an arc of a width drawn evenly
            from here to 360, about an azimuth of its own, and is painted over elsewhere. 360 keeps all.
    """

    roll: bool = False
    flip: bool = False
    colour: float = Field(default=0.0, ge=0, lt=1)
    erase: float = Field(default=0.0, ge=0, le=1)
    fov_deg: float = Field(default=360.0, ge=10, le=360)


@dataclass(frozen=True)
class _Drawn:
    """What was drawn for each pair of a batch; None where the configuration asks for nothing."""

    mirrored: Bool[Tensor, " n"] | None
    turn: Int64[Tensor, " n"] | None  # column that comes first
    colour: list[tuple[Float[Tensor, "n 1 1 1"], Float[Tensor, "n 1 1 3"]]]  # contrast and gain, by view
    erased: Float[Tensor, "5 n 1 1"] | None  # chance, top, left, height, width, each in 0..1
    arc: Float[Tensor, "2 n 1 1"] | None  # azimuth and width, each in 0..1


def augment(
    ground: UInt8[Tensor, "n h w 3"],
    aerial: UInt8[Tensor, "n h w 3"],
    config: AugmentConfig,
    generator: torch.Generator,
    total: int | None = None,
    first: int = 0,
) -> tuple[Pixels, Pixels]:
    """Return both views, augmented; a pure function of the generator's state.

    They stay uint8 where nothing but their geometry changes: the network makes the floats, four times as large.

    Args:
        generator: on the CPU, whatever the views' device.
        total: pairs of the whole batch; by default these are all of them.
        first: place in the whole batch of the first of these pairs.
    """
    part = slice(first, first + len(ground))
    drawn = _draw(len(ground) if total is None else total, ground.shape[2], config, generator)
    views: list[Tensor] = [_turn(view, drawn, part) for view in (ground, aerial)]
    if drawn.colour:
        views = [
            _colour(view, contrast[part].to(view.device), gain[part].to(view.device))
            for view, (contrast, gain) in zip(views, drawn.colour, strict=True)
        ]
    if drawn.erased is not None:
        views[0] = _erase(views[0].float(), config.erase, drawn.erased[:, part].to(ground.device))
    if drawn.arc is not None:
        views[0] = _narrow(views[0].float(), config.fov_deg / 360, drawn.arc[:, part].to(ground.device))
    return views[0], views[1]


def _draw(n: int, width: int, config: AugmentConfig, generator: torch.Generator) -> _Drawn:
    """Draw for n pairs; one kind of augmentation changes no number of those before it."""

    def even(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator)

    def factor(channels: int) -> Tensor:
        return 1 + config.colour * (2 * even(n, 1, 1, channels) - 1)

    mirrored = even(n) < 0.5 if config.flip else None
    turn = torch.randint(width, (n,), generator=generator) if config.roll else None
    # Ground first; of each view contrast, brightness, channels.
    colour = [(factor(1), factor(1) * factor(3)) for _ in range(2)] if config.colour > 0 else []
    erased = torch.stack([even(n, 1, 1) for _ in range(5)]) if config.erase > 0 else None
    arc = torch.stack([even(n, 1, 1) for _ in range(2)]) if config.fov_deg < 360 else None
    return _Drawn(mirrored, turn, colour, erased, arc)


def _turn(view: Tensor, drawn: _Drawn, part: slice) -> Tensor:
    """Mirror and turn each image; column 0 looks South, so a mirror maps j to -j."""
    n, _, width, _ = view.shape
    if drawn.mirrored is None and drawn.turn is None:
        return view
    mirrored = torch.zeros(n, dtype=torch.bool) if drawn.mirrored is None else drawn.mirrored[part]
    turn = torch.zeros(n, dtype=torch.int64) if drawn.turn is None else drawn.turn[part]
    if view.is_cuda:  # one kernel for all images; the index is a view of [n, w], not eight times the images' bytes
        signs, starts = (values.to(view.device)[:, None] for values in (torch.where(mirrored, -1, 1), turn))
        columns = (starts + signs * torch.arange(width, device=view.device)) % width
        return view.gather(2, columns[:, None, :, None].expand(view.shape))
    # On a CPU runs of bytes: eight times as fast as pixel by pixel.
    turns = zip(view, mirrored.tolist(), turn.tolist(), strict=True)
    return torch.stack([image.flip(1).roll(k + 1, 1) if flip else image.roll(-k, 1) for image, flip, k in turns])


def _colour(view: Tensor, contrast: Tensor, gain: Tensor) -> Tensor:
    """Scale contrast about the image's mean, then brightness and channels: one multiplication and one addition."""
    n, height, width, channels = view.shape
    pixels = view.float()
    mean = pixels.mean((1, 2, 3), keepdim=True)
    # Written out over a row of pixels, because a CPU's inner loop over three channels is five times slower.
    offset, scale = (
        value.expand(n, 1, width, channels).reshape(n, 1, width * channels)
        for value in (mean * (1 - contrast) * gain, contrast * gain)
    )
    pixels = pixels.reshape(n, height, width * channels)
    return torch.addcmul(offset, pixels, scale, out=pixels).clamp_(0, 255).reshape(view.shape)


def _erase(view: Tensor, probability: float, drawn: Tensor) -> Tensor:
    """Paint a rectangle with the image's mean, as if a lorry stood there."""
    _, height, width, _ = view.shape
    chance, top, left, tall, wide = drawn
    rows = torch.arange(height, device=view.device)[None, :, None] / height
    columns = torch.arange(width, device=view.device)[None, None, :] / width
    inside = (rows >= top) & (rows < top + tall / 2) & (columns >= left) & (columns < left + wide / 4)
    mask = (inside & (chance < probability))[..., None]
    return torch.where(mask, view.mean((1, 2), keepdim=True), view)


def _narrow(view: Tensor, smallest: float, drawn: Tensor) -> Tensor:
    """Keep one arc of the panorama and paint the rest with the mean of what is kept, as a camera's view would be."""
    width = view.shape[2]
    azimuth, share = drawn
    kept = ((smallest + (1 - smallest) * share) * width).round()
    columns = torch.arange(width, device=view.device)[None, None, :]
    seen = ((columns - (azimuth * width).floor()) % width < kept)[..., None]
    mean = (view * seen).mean((1, 2), keepdim=True) * (width / kept)[..., None]
    return torch.where(seen, view, mean)
