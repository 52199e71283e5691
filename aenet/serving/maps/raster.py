"""A map as a source of tiles on a regular grid: views are cut from it window by window, without tile files."""

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import cv2
import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Float64, UInt8

from aenet.io.errors import AenetError
from aenet.io.machine import usable_cores
from aenet.serving.maps.canvas import Factors, PixelBox
from aenet.serving.maps.grid import Grid
from aenet.serving.maps.mosaic import Canvas, Overview, overview
from aenet.serving.maps.polarcut import THUMBNAIL_PX, Cut, cut_view, ground_to_grid
from aenet.view.images import resize
from aenet.view.spec import ViewSpec

# A strip of a map in memory, and cutting the tiles that lie in it.

MARGIN_PX = 2  # around a tile, for its edge to be sampled


@dataclass(frozen=True, eq=False)
class MapStrip:
    """Pixels of a map, and where among them a map is at all.

    Attributes:
        corner: row and column of the map at which they begin.
        factors: pixels of the map to one of these.
        units_to_px: what one unit of the map's system to the right and up is in these pixels, right and down.
        tile_size_m: side of a tile on the ground.
        tile_px: its height and width in pixels of the map.
        min_valid: share of a tile that must be map.
        spec: the model's view.
    """

    pixels: UInt8[np.ndarray, "h w 3"]
    valid: Bool[np.ndarray, "h w"]
    corner: tuple[int, int]
    factors: Factors
    units_to_px: tuple[float, float]
    tile_size_m: float
    tile_px: tuple[int, int]
    min_valid: float
    spec: ViewSpec

    def cut(self, row: int, place: tuple[float, float, float, float], matrix: Float64[np.ndarray, "2 2"]) -> Cut | None:
        """Cut one tile; None where it is mostly without map.

        Args:
            row: its number.
            place: row and column of its centre, and half its height and width, in pixels of the map.
            matrix: as from `polarcut.ground_to_grid`.
        """
        y, x, half_height, half_width = place
        down, across = self.factors
        centre = (y - self.corner[0]) / down, (x - self.corner[1]) / across
        top, height = _extent(centre[0], half_height / down, self.valid.shape[0])
        left, width = _extent(centre[1], half_width / across, self.valid.shape[1])
        box = (slice(top, top + height), slice(left, left + width))
        if self.valid[box].mean() < self.min_valid:
            return None
        first = max(top - MARGIN_PX, 0), max(left - MARGIN_PX, 0)
        around = self.pixels[first[0] : top + height + MARGIN_PX, first[1] : left + width + MARGIN_PX]
        view = cut_view(
            np.ascontiguousarray(around),
            (centre[0] - first[0], centre[1] - first[1]),
            matrix * np.array(self.units_to_px)[:, None],
            self.spec,
            self.tile_size_m,
            self.tile_px,
            self.factors,
        )
        return Cut(row, view, resize(np.ascontiguousarray(self.pixels[box]), THUMBNAIL_PX, THUMBNAIL_PX))


def _extent(centre: float, half: float, size: int) -> tuple[int, int]:
    """Return first pixel and count of a tile's side, in whole pixels inside `size`."""
    count = min(max(1, round(2 * half)), size)
    return min(max(round(centre - half), 0), size - count), count


MIN_VALID = 0.5  # a tile with less map than this is left out
# Only where a row of the view (half a tile over its height) has more pixels than this are they averaged as they are
# read, to save memory: in blocks counted from the map's corner, which a tile's own file does not know of.
_PX_PER_ROW = 32
_STRIP_BYTES = 256 << 20  # of raster in memory at once
_PLACE = ["row_px", "column_px", "half_height_px", "half_width_px"]


class RasterSource:
    """Tiles of one size on a regular grid, wholly inside the map's frame.

    Attributes:
        path, kind, credit: the map's.
        gridded: True: the tiles lie on a regular grid.
        metres_known: True: the map says how much ground it shows; tables of tiles may not.
        crs: system (WKT) of the tiles' easting and northing.
        notes: what is to be said of the map: what was guessed, taken from beside it or left aside.
        tiles: the candidates in reading order; columns as in `Grid.lay`.
    """

    gridded: ClassVar[bool] = True
    metres_known: ClassVar[bool] = True

    def __init__(self, canvas: Canvas, tile_size_m: float, spacing_m: float, min_valid: float = MIN_VALID) -> None:
        """Lay the grid.

        Args:
            canvas: the map.
            tile_size_m: side of a tile on the ground, metres.
            spacing_m: distance between neighbouring centres, metres.
            min_valid: share of a tile that must be map.

        Raises:
            AenetError: the map is too small for one tile or coarser than tiles, or its system has no scale there.
        """
        self._canvas, self._tile_size_m, self._min_valid = canvas, tile_size_m, min_valid
        self.path, self.kind, self.crs, self.credit = canvas.path, canvas.kind, canvas.frame.crs, canvas.credit
        grid = Grid(canvas.frame, tile_size_m, spacing_m, canvas.path)
        self.tiles = grid.lay(self._covered)
        bent = [
            f"{self.path}: {grid.bent:,} rows of tiles so near a pole that degrees bend them are left out "
            "(warp the map with `gdalwarp -t_srs EPSG:3413`, or EPSG:3031 in the south, to have them)"
        ] * (grid.bent > 0)
        if self.tiles.empty:
            width, height = grid.size_m()
            small = f"{self.path} covers {width:.1f} x {height:.1f} m, too little for one tile of {tile_size_m:g} m"
            raise AenetError("; ".join([small, *bent]))
        self.notes = (*canvas.notes, *bent)
        self._tile_height, self._tile_width = (
            2 * float(self.tiles[f"half_{side}_px"].max()) for side in ("height", "width")
        )

    @cached_property
    def digest(self) -> str:
        """The canvas's."""
        return self._canvas.digest

    def tile_px(self, spec: ViewSpec) -> int:
        """Return the height in pixels of the tiles that views are cut from; `spec` does not matter."""
        return max(1, round(self._tile_height))

    def cut(self, start: int, stop: int, spec: ViewSpec) -> Iterator[Cut]:
        """Yield what is cut for the candidates `start` to `stop`, but for those that are mostly without map.

        Raises:
            AenetError: the map is damaged.
        """
        part = self.tiles.iloc[start:stop]
        matrices = ground_to_grid(
            self.crs, part["latitude"].to_numpy(), part["longitude"].to_numpy(), self._tile_size_m / 2
        )
        strip_px = max(self._tile_width / 2, _STRIP_BYTES / (4 * self._tile_height))
        strips: dict[tuple[float, float], list[int]] = {}
        for at, (y, x) in enumerate(zip(part["row_px"], part["column_px"], strict=True)):
            strips.setdefault((y, x // strip_px), []).append(at)
        places = list(part[_PLACE].itertuples(index=False, name=None))
        cv2.setNumThreads(1)  # two pools at once (OpenCV's and ours) are slower than one
        with ThreadPoolExecutor(usable_cores()) as pool:
            for rows in strips.values():
                strip = self._read(part.iloc[rows], spec)
                numbers = [start + at for at in rows]
                for cut in pool.map(strip.cut, numbers, [places[at] for at in rows], matrices[rows]):
                    if cut is not None:
                        yield cut

    def overview(self, max_px: int) -> Overview:
        """Return the whole map reduced to at most `max_px` a side."""
        return overview(self._canvas, max_px)

    def _factors(self, spec: ViewSpec) -> Factors:
        """How many pixels of the map make one that is read."""
        most = 2 * spec.aerial.height * _PX_PER_ROW
        return max(1, math.ceil(self._tile_height / most)), max(1, math.ceil(self._tile_width / most))

    def _read(self, tiles: pd.DataFrame, spec: ViewSpec) -> MapStrip:
        """Read the map around some tiles once."""
        factors, frame = self._factors(spec), self._canvas.frame
        box = self._window(tiles, factors)
        pixels, valid = self._canvas.read(box, factors)
        units_to_px = (1 / frame.pixel_width / factors[1], -1 / frame.pixel_height / factors[0])
        corner, tile_px = (box[0], box[1]), (self.tile_px(spec), max(1, round(self._tile_width)))
        return MapStrip(pixels, valid, corner, factors, units_to_px, self._tile_size_m, tile_px, self._min_valid, spec)

    def _window(self, tiles: pd.DataFrame, factors: Factors) -> PixelBox:
        """Return the part of the map that holds these tiles and a margin, on whole blocks of `factors` pixels."""
        frame, sides = self._canvas.frame, []
        for side, half, factor, size in (
            ("row_px", "half_height_px", factors[0], frame.height),
            ("column_px", "half_width_px", factors[1], frame.width),
        ):
            margin = MARGIN_PX * factor
            first = max(0, int((tiles[side] - tiles[half]).min() - margin) // factor * factor)
            last = min(size, -(-int((tiles[side] + tiles[half]).max() + margin + 1) // factor) * factor)
            sides.append((first, last - first))
        (top, height), (left, width) = sides
        return top, left, height, width

    def _covered(
        self, row: float, columns: Float[np.ndarray, " n"], half_height: float, half_width: float
    ) -> Bool[np.ndarray, " n"]:
        """Which tiles touch a file at all; between the files of a mosaic there may be nothing for miles."""
        spans = self._canvas.spans(row - half_height, row + half_height)
        if not spans:
            return np.zeros(len(columns), np.bool_)
        lefts, rights = np.array(spans).T
        after = np.searchsorted(rights, columns - half_width, side="right")
        touches = (after < len(spans)) & (lefts[np.minimum(after, len(spans) - 1)] < columns + half_width)
        return np.asarray(touches, np.bool_)
