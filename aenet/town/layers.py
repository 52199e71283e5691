"""The height map and its companions, the one source both views are rendered from: in bands, in memory or files."""

import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from enum import IntEnum
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from jaxtyping import Float32, Float64, Shaped, UInt, UInt8

from aenet.io.errors import AenetError
from aenet.io.machine import usable_cores
from aenet.town.config import TownConfig

# Work on a raster that goes band by band, on as many cores as there are.

THREADS = 8  # no more: each holds the temporaries of its band


def in_bands(work: Callable[[int], None], rows: int, band: int) -> None:
    """Call `work` with the first row of each band of `band` rows; bands must not depend on each other.

    NumPy and OpenCV leave the interpreter lock while they work.
    """
    with ThreadPoolExecutor(min(THREADS, usable_cores())) as pool:
        for future in [pool.submit(work, top) for top in range(0, rows, band)]:
            future.result()


# Where a town's rasters lie: in memory, or in files of a folder that any number of processes map.
#
# A mapped file is no burden on memory: where it is short, the system writes pages out and reads them again.


class Rasters:
    """Makes the arrays that a town is drawn into; with a folder, `name` is the file `name.npy` in it."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder

    def new(self, name: str, shape: tuple[int, ...], dtype: Any) -> Shaped[np.ndarray, "..."]:
        """An array of zeros.

        Raises:
            AenetError: its file does not fit on the disk.
        """
        if self.folder is None:
            return np.zeros(shape, dtype)
        return mapped_zeros(self.folder / f"{name}.npy", shape, dtype)

    def keep(self, name: str, values: Shaped[np.ndarray, "..."]) -> Shaped[np.ndarray, "..."]:
        """A copy of `values`; see `new`."""
        copy = self.new(name, values.shape, values.dtype)
        copy[...] = values
        return copy

    def drop(self, name: str) -> None:
        """Delete what nobody will map again; arrays that still refer to it stay good."""
        if self.folder is not None:
            (self.folder / f"{name}.npy").unlink()


def mapped_zeros(path: Path, shape: tuple[int, ...], dtype: Any) -> Shaped[np.ndarray, "..."]:
    """Write a .npy file of zeros and map it, to be written through.

    Raises:
        AenetError: it does not fit on the disk.
    """
    array = np.lib.format.open_memmap(path, "w+", dtype, shape)
    if hasattr(os, "posix_fallocate"):
        # Its blocks are claimed now: a write through a mapping to a full disk would kill the process without a word.
        with path.open("r+b") as file:
            try:
                os.posix_fallocate(file.fileno(), 0, max(path.stat().st_size, 1))
            except OSError as error:
                free = shutil.disk_usage(path.parent).free
                raise AenetError(
                    f"no room for {path}: it takes {array.nbytes / 1e9:.1f} GB, {free / 1e9:.1f} GB are free"
                    f" ({error.strerror}); make room, or the town smaller"
                ) from error
    # Viewed as a plain array, because indexing a np.memmap costs more than the look-up itself.
    return array.view(np.ndarray)


TERRAIN_STEP = 8  # the bare terrain is this many times coarser than the map


class Surface(IntEnum):
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
    kind: what it is made of, a `Surface`.
    ident: index + 1 of the building, 0 elsewhere; 16 bits, or 32 where there are more than 65,535 buildings.
    albedo: colour in flat light.
    canopy: tree crown top and base above the terrain in decimetres, and species * 32 + tone, a plane each.
    shadow: 255 where the sun reaches, one layer for each of `aerial.SUNS`, at half the resolution.
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
        """Map the layers raised in a folder (`Rasters`), so that any number of processes share them."""
        # Viewed as plain arrays, because indexing a np.memmap costs more than the look-up itself.
        return cls(**{name: np.load(folder / f"{name}.npy", mmap_mode="r").view(np.ndarray) for name in cls._fields})


def window(config: TownConfig, x: float, y: float, reach: float) -> tuple[slice, slice]:
    """Rows and columns of the map within `reach` metres of a point in x and in y."""
    rows, cols = config.shape
    res = config.resolution_m
    return (
        slice(max(0, int((y - reach) / res)), max(0, min(rows, int((y + reach) / res) + 2))),
        slice(max(0, int((x - reach) / res)), max(0, min(cols, int((x + reach) / res) + 2))),
    )


# Drawing shapes given in metres onto rasters.

_SHIFT = 4


class Painting:
    """A colour raster and a kind raster that are always painted together."""

    def __init__(self, albedo: UInt8[np.ndarray, "h w 3"], kind: UInt8[np.ndarray, "h w"], resolution_m: float) -> None:
        self.albedo, self.kind, self.scale = albedo, kind, 1.0 / resolution_m

    def _fixed(self, xy: Float64[np.ndarray, "n 2"]) -> np.ndarray:
        return np.round((xy * self.scale - 0.5) * (1 << _SHIFT)).astype(np.int32)

    def line(self, xy: Float64[np.ndarray, "n 2"], width_m: float, rgb: object, kind: int | None = None) -> None:
        """An open line of the given width."""
        px, points = max(1, round(width_m * self.scale)), [self._fixed(xy)]
        cv2.polylines(self.albedo, points, False, _bgr(rgb), px, cv2.LINE_AA, _SHIFT)
        if kind is not None:
            cv2.polylines(self.kind, points, False, int(kind), px, cv2.LINE_8, _SHIFT)

    def polygon(self, xy: Float64[np.ndarray, "n 2"], rgb: object, kind: int | None = None) -> None:
        """A filled polygon."""
        points = [self._fixed(xy)]
        cv2.fillPoly(self.albedo, points, _bgr(rgb), cv2.LINE_AA, _SHIFT)
        if kind is not None:
            cv2.fillPoly(self.kind, points, int(kind), cv2.LINE_8, _SHIFT)

    def disk(self, x: float, y: float, radius_m: float, rgb: object, kind: int | None = None) -> None:
        """A filled circle."""
        around = np.linspace(0, 2 * np.pi, 40, endpoint=False)
        ring = np.array([x, y]) + radius_m * np.stack([np.cos(around), np.sin(around)], axis=1)
        self.polygon(ring, rgb, kind)


def _bgr(rgb: object) -> tuple[float, ...]:
    """OpenCV's colour tuple; channel order stays as given, RGB throughout."""
    return tuple(float(v) for v in np.asarray(rgb, dtype=float))
