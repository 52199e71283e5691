"""A strip of a map in memory, and cutting the tiles that lie in it."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, UInt8

from aenet.card import ViewSpec
from aenet.images import resize
from aenet.serving.maps.canvas import Factors
from aenet.serving.maps.polarcut import THUMBNAIL_PX, Cut, cut_view

MARGIN_PX = 2  # around a tile, for its edge to be sampled


@dataclass(frozen=True, eq=False)
class Strip:
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
