"""The height map and its companions: the one source both views are rendered from."""

from enum import IntEnum
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, UInt, UInt8

from aenet.data.city.config import CityConfig

TERRAIN_STEP = 8  # the bare terrain is this many times coarser than the map


class Kind(IntEnum):
    """What the solid surface is made of."""

    BARE = 0
    GRASS = 1
    CROP = 2
    PAVED = 3
    ROAD = 4
    WATER = 5
    BUILDING = 6
    TRUNK = 7
    HEDGE = 8
    FENCE = 9
    PARAPET = 10


class Layers(NamedTuple):
    """Rasters of the whole town, row 0 in the North.

    surface: top of everything solid, metres above the datum.
    kind: what it is made of, a `Kind`.
    ident: index + 1 of the building, 0 elsewhere; 16 bits, or 32 where there are more than 65,535 buildings.
    albedo: colour in flat light.
    canopy: tree crown top and base above the terrain in decimetres, and species * 32 + tone, a plane each.
    shadow: 255 where the sun reaches, one layer for each of `light.SUNS`, at half the resolution.
    terrain: bare ground, metres above the datum, on a grid `TERRAIN_STEP` times coarser.
    """

    surface: Float32[np.ndarray, "h w"]
    kind: UInt8[np.ndarray, "h w"]
    ident: UInt[np.ndarray, "h w"]
    albedo: UInt8[np.ndarray, "h w 3"]
    canopy: UInt8[np.ndarray, "3 h w"]
    shadow: UInt8[np.ndarray, "s h2 w2"]
    terrain: Float32[np.ndarray, "ht wt"]

    @classmethod
    def load(cls, folder: Path) -> "Layers":
        """Map the layers raised in a folder (`rasters.Rasters`), so that any number of processes share them."""
        # Viewed as plain arrays, because indexing a np.memmap costs more than the look-up itself.
        return cls(**{name: np.load(folder / f"{name}.npy", mmap_mode="r").view(np.ndarray) for name in cls._fields})


def window(config: CityConfig, x: float, y: float, reach: float) -> tuple[slice, slice]:
    """Rows and columns of the map within `reach` metres of a point in x and in y."""
    rows, cols = config.shape
    res = config.resolution_m
    return (
        slice(max(0, int((y - reach) / res)), max(0, min(rows, int((y + reach) / res) + 2))),
        slice(max(0, int((x - reach) / res)), max(0, min(cols, int((x + reach) / res) + 2))),
    )
