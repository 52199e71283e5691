"""The height map and its companions: the one source both views are rendered from."""

from enum import IntEnum
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, UInt8, UInt16


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

    surface: top of everything solid, metres above the datum. terrain: bare ground on a grid `TERRAIN_STEP`
    times coarser. ident: index + 1 of the building, 0 elsewhere. canopy: tree crown top and base above the
    terrain in decimetres, and species * 32 + tone, one plane each. albedo: colour in flat light. shadow: 255 where the sun
    reaches, one layer for each of the suns in `light.SUNS`, at half the resolution.
    """

    surface: Float32[np.ndarray, "h w"]
    kind: UInt8[np.ndarray, "h w"]
    ident: UInt16[np.ndarray, "h w"]
    albedo: UInt8[np.ndarray, "h w 3"]
    canopy: UInt8[np.ndarray, "3 h w"]
    shadow: UInt8[np.ndarray, "s h2 w2"]
    terrain: Float32[np.ndarray, "ht wt"]

    def save(self, folder: Path) -> None:
        """Write every layer as a .npy file."""
        for name, layer in self._asdict().items():
            np.save(folder / f"{name}.npy", layer)

    @classmethod
    def load(cls, folder: Path) -> "Layers":
        """Memory-map the layers saved in a folder, so that any number of processes share them."""
        # Viewed as plain arrays, because indexing a np.memmap costs more than the look-up itself.
        return cls(**{name: np.load(folder / f"{name}.npy", mmap_mode="r").view(np.ndarray) for name in cls._fields})


TERRAIN_STEP = 8
