"""Augmentation of a batch of packed views, on their device; geometry moves both views alike.

What is drawn for a batch is drawn for all of its pairs, always in one order and on the CPU, and a process that
holds a part of the batch applies its part: two processes see what one would have seen.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Int64, UInt8
from pydantic import Field
from torch import Tensor

from aenet.io.params import Config
from aenet.training import augmentcpu, augmentdevice
from aenet.view.spec import NEUTRAL, Unseen

# Ground views turned away from their tiles, as a camera of unknown heading is; the search turns them back.

PHASES = 4  # turns within one column of the map at which the search describes a photo of unknown heading


def draw_turns(
    n: int, width: int, columns: int, generator: torch.Generator
) -> tuple[Int64[Tensor, " n"], Int64[Tensor, " n"]]:
    """Return by how many columns of the map, and of the view, n ground views are turned: counterclockwise.

    Any number of the map's columns, and a rest as large as the nearest of the search's phases leaves: up to
    1 / (2 PHASES) of one to either side. A larger rest would ask of the network what no search asks of it.

    Args:
        width: columns of a view.
        columns: of its map.
    """
    shift = torch.randint(columns, (n,), generator=generator)
    rest = (torch.rand(n, generator=generator) - 0.5) / PHASES
    return shift, torch.round((shift + rest) * width / columns).long() % width


def turn(
    views: UInt8[Tensor, "n h w c"] | Float[Tensor, "n h w c"], turns: Int64[Tensor, " n"]
) -> UInt8[Tensor, "n h w c"] | Float[Tensor, "n h w c"]:
    """Return each view with what stood `turns` columns to the right moved to column 0."""
    return torch.stack([view.roll(-k, 1) for view, k in zip(views, turns.tolist(), strict=True)])


Pixels = UInt8[Tensor, "p h w 3"] | Float[Tensor, "p h w 3"]
AerialPixels = UInt8[Tensor, "p h2 w2 3"] | Float[Tensor, "p h2 w2 3"]
_CPU = torch.device("cpu")


class AugmentConfig(Config):
    """What may vary in training.

    Attributes:
        roll: turn both views of a pair by one random azimuth.
        flip: mirror both views of a pair, East for West, half of the time.
        colour: largest relative change of brightness, contrast and channel gains, per image and view.
        erase: probability that a rectangle of the ground view is painted over (up to a quarter of its width).
        fov_deg: smallest field of view of the ground view, in degrees: each keeps an arc of a width drawn evenly
            from here to 360, about an azimuth of its own, and is painted elsewhere as `train.unseen` says. 360 keeps
            all.
    """

    roll: bool = False
    flip: bool = False
    colour: float = Field(default=0.0, ge=0, lt=1)
    erase: float = Field(default=0.0, ge=0, le=1)
    fov_deg: float = Field(default=360.0, ge=10, le=360)


@dataclass(frozen=True)
class _Drawn:
    """What was drawn for each pair of a batch, or of a part; None where the configuration asks for nothing."""

    mirrored: Bool[Tensor, " n"] | None
    turn: Int64[Tensor, " n"] | None  # column that comes first
    colour: list[tuple[Float[Tensor, "n 1 1 1"], Float[Tensor, "n 1 1 3"]]] | None  # contrast and gain, by view
    erased: Float[Tensor, "5 n 1 1"] | None  # chance, top, left, height, width, each in 0..1
    arc: Float[Tensor, "2 n 1 1"] | None  # azimuth and width, each in 0..1

    def moved(self, n: int) -> tuple[Tensor, Tensor]:
        """Return which of n images are mirrored, and which column of each comes first."""
        mirrored = torch.zeros(n, dtype=torch.bool) if self.mirrored is None else self.mirrored
        return mirrored, torch.zeros(n, dtype=torch.int64) if self.turn is None else self.turn


def augment(
    ground: UInt8[np.ndarray, "n h w 3"],
    aerial: UInt8[np.ndarray, "n h2 w2 3"],
    rows: Int[np.ndarray, " b"],
    config: AugmentConfig,
    generator: torch.Generator,
    part: slice = slice(None),
    device: torch.device = _CPU,
    unseen: Unseen = NEUTRAL,
    around_horizon: bool = True,
) -> tuple[Pixels, AerialPixels]:
    """Return `rows[part]` of both views on the device, augmented; a pure function of the generator's state.

    They stay uint8 where nothing but their geometry changes: the network makes the floats, four times as large.

    Args:
        ground, aerial: packed views, or any others.
        rows: of the whole batch, of all processes.
        generator: on the CPU, whatever the device.
        part: which of the rows this process holds.
        unseen: how `config.fov_deg` paints.
        around_horizon: whether the columns of the aerial view are azimuths; those of a square tile are not: it turns by
            quarters, and `config.roll` draws only those.
    """
    quarters = 4 if not around_horizon else None
    drawn = _draw(len(rows), ground.shape[2], config, generator, part, quarters)
    apply = _in_cache if device.type == "cpu" else _on_device
    views = [apply(ground, rows[part], drawn, 0, device)]
    if around_horizon:
        views.append(apply(aerial, rows[part], drawn, 1, device))
    else:
        views.append(_tiles(aerial, rows[part], drawn, ground.shape[2], device))
    if drawn.erased is not None:
        views[0] = augmentdevice.erase(views[0].float(), config.erase, drawn.erased)
    if drawn.arc is not None:
        views[0] = augmentdevice.narrow(views[0].float(), config.fov_deg / 360, drawn.arc, unseen)
    return views[0], views[1]


def _draw(
    n: int, width: int, config: AugmentConfig, generator: torch.Generator, part: slice, quarters: int | None = None
) -> _Drawn:
    """Draw for n pairs and return a part; one kind of augmentation changes no number of those before it."""

    def even(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator)

    def factor(channels: int) -> Tensor:
        return 1 + config.colour * (2 * even(n, 1, 1, channels) - 1)

    mirrored = even(n)[part] < 0.5 if config.flip else None
    steps = quarters or width
    turn = torch.randint(steps, (n,), generator=generator)[part] * width // steps if config.roll else None
    # Ground first; of each view contrast, brightness, channels.
    colour = [(factor(1)[part], (factor(1) * factor(3))[part]) for _ in range(2)] if config.colour > 0 else None
    erased = torch.stack([even(n, 1, 1)[part] for _ in range(5)]) if config.erase > 0 else None
    arc = torch.stack([even(n, 1, 1)[part] for _ in range(2)]) if config.fov_deg < 360 else None
    return _Drawn(mirrored, turn, colour, erased, arc)


def _in_cache(view: np.ndarray, rows: np.ndarray, drawn: _Drawn, number: int, device: torch.device) -> Tensor:
    """Read, turn and colour on the CPU."""
    if drawn.mirrored is None and drawn.turn is None and drawn.colour is None:
        return _gather(view, rows, device)
    mirrored, turn = (values.numpy() for values in drawn.moved(len(rows)))
    if drawn.colour is None:
        return augmentcpu.turn_rows(view, rows, mirrored, turn)
    contrast, gain = (values.flatten(1).numpy() for values in drawn.colour[number])
    return augmentcpu.turn_and_colour(view, rows, mirrored, turn, contrast, gain)


def _on_device(view: np.ndarray, rows: np.ndarray, drawn: _Drawn, number: int, device: torch.device) -> Tensor:
    """Read, copy to the device, and turn and colour there."""
    pixels = _gather(view, rows, device)
    if drawn.mirrored is not None or drawn.turn is not None:
        pixels = augmentdevice.turn_batch(pixels, *drawn.moved(len(rows)))
    return pixels if drawn.colour is None else augmentdevice.colour(pixels, *drawn.colour[number])


def _tiles(view: np.ndarray, rows: np.ndarray, drawn: _Drawn, width: int, device: torch.device) -> Tensor:
    """Read square tiles; mirror and turn them as their panoramas are, and colour them.

    A panorama whose first column is now the `width / 4`-th, the west, has its west in the south: the tile turns
    counterclockwise. A mirrored one has its columns counted the other way.
    """
    mirrored, first = drawn.moved(len(rows))
    pixels = _gather(view, rows, _CPU)
    moved = [
        torch.rot90(tile.flip(1), -4 * start // width, (0, 1))
        if flip
        else torch.rot90(tile, 4 * start // width, (0, 1))
        for tile, flip, start in zip(pixels, mirrored.tolist(), first.tolist(), strict=True)
    ]
    pixels = torch.stack(moved).to(device)
    return pixels if drawn.colour is None else augmentdevice.colour(pixels, *drawn.colour[1])


def _gather(view: UInt8[np.ndarray, "n h w 3"], rows: Int[np.ndarray, " p"], device: torch.device) -> Tensor:
    """Copy rows of a memory map to the device; page-locked where that lets the copy run beside the computing."""
    # PyTorch keeps page-locked memory until the copies out of it are done, and then hands it out again.
    host = torch.empty((len(rows), *view.shape[1:]), dtype=torch.uint8, pin_memory=device.type == "cuda")
    np.take(view, rows, axis=0, out=host.numpy(), mode="clip")  # any other mode copies twice; rows are in range
    return host.to(device, non_blocking=True)
