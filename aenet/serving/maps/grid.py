"""A regular grid of tile centres over a map, in real metres.

The scale of the coordinate system is measured on the ellipsoid at every grid row, so that degrees, feet and
Web Mercator (whose metre is 0.6 m on the ground at 52 degrees north) give the same grid.

Views are cut by a linear map from metres to pixels. In degrees that fails within a few kilometres of a pole, where one
edge of a tile is another number of degrees wide than its middle: such rows are left out and counted.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float
from pyproj import CRS, Geod, Transformer

from aenet.io.errors import AenetError
from aenet.serving.maps.canvas import Frame
from aenet.serving.maps.coordinates import turn_of, wrap

# (row_px, columns_px, half_height_px, half_width_px) of a row of tiles -> which of them are candidates.
Covered = Callable[[float, Float[np.ndarray, " n"], float, float], Bool[np.ndarray, " n"]]


_LEAST_PX = 4  # of a tile's side: with less nothing can be told apart, and a map of the world never ends
_BENT = 0.01  # by which a tile's edge may be wider in the map's units than its middle


class Grid:
    """Lays centres so that every tile is wholly on the map; rows from north to south, tiles from west to east.

    `bent` counts the rows that were left out near a pole.
    """

    def __init__(self, frame: Frame, tile_size_m: float, spacing_m: float, path: Path) -> None:
        self._bounds, self._tile, self._spacing, self._path = frame, tile_size_m, spacing_m, path
        self.bent = 0
        crs = CRS.from_wkt(frame.crs)
        turn = turn_of(frame.crs) if crs.is_geographic else None
        self._pole = turn / 4 if turn else np.inf
        self._to_wgs84 = Transformer.from_crs(crs, CRS.from_epsg(4326), always_xy=True)
        self._geod = Geod(ellps="WGS84")
        # About 100 m in the system's units: short enough to be straight, long enough to be exact.
        self._step = 0.001 if crs.is_geographic else 100.0
        self._x_middle = (frame.left + frame.right) / 2

    def lay(self, covered: Covered | None = None) -> pd.DataFrame:
        """Return the centres; empty where the map is smaller than a tile.

        Columns: tile_id, latitude, longitude, easting, northing (the map's system), row_px, column_px,
        half_height_px, half_width_px.

        Args:
            covered: tells the candidates of a map that does not fill its frame; None takes all.

        Raises:
            AenetError: a tile has too few pixels, or the system has no scale somewhere on the map.
        """
        self._check_pixels()
        rows: list[pd.DataFrame] = []
        y, move = self._bounds.top, self._tile / 2
        while True:
            y -= move / self._metres_per_unit(y)[1]
            scale = self._metres_per_unit(y)
            # A millimetre of grace: a map of exactly one tile holds one.
            if y - (self._tile / 2 - 1e-3) / scale[1] < self._bounds.bottom:
                break
            if self._is_bent(y, *scale):
                self.bent += 1
            else:
                rows.append(self._row(len(rows), y, *scale, covered))
            move = self._spacing
        return pd.concat(rows, ignore_index=True) if rows else pd.DataFrame()

    def size_m(self) -> tuple[float, float]:
        """Return width and height of the map on the ground, through its middle, in metres."""
        bounds = self._bounds
        scale_x, scale_y = self._metres_per_unit((bounds.bottom + bounds.top) / 2)
        return (bounds.right - bounds.left) * scale_x, (bounds.top - bounds.bottom) * scale_y

    def _check_pixels(self) -> None:
        bounds = self._bounds
        scale_x, scale_y = self._metres_per_unit((bounds.bottom + bounds.top) / 2)
        across, down = bounds.pixel_width * scale_x, bounds.pixel_height * scale_y
        if max(across, down) * _LEAST_PX > self._tile:
            size = " x ".join(f"{side:,.{0 if side >= 100 else 1}f}" for side in (across, down))
            raise AenetError(
                f"a pixel of {self._path} is {size} m on the ground, a tile {self._tile:g} m: "
                f"at least {_LEAST_PX} pixels to a tile's side are needed; give a finer map"
            )

    def _is_bent(self, y: float, scale_x: float, scale_y: float) -> bool:
        edge = y + np.copysign(self._tile / 2 / scale_y, y)
        return bool(self._pole < np.inf and self._metres_per_unit(edge)[0] <= (1 - _BENT) * scale_x)

    def _row(self, number: int, y: float, scale_x: float, scale_y: float, covered: Covered | None) -> pd.DataFrame:
        bounds = self._bounds
        room = (bounds.right - bounds.left) * scale_x - self._tile + 1e-3
        count = int(room // self._spacing) + 1 if room >= 0 else 0
        # What the spacing leaves over is shared by both edges.
        first = bounds.left + (self._tile + room - max(count - 1, 0) * self._spacing) / 2 / scale_x
        x = first + np.arange(count) * (self._spacing / scale_x)
        columns = np.arange(count)
        row_px, column_px = (bounds.top - y) / bounds.pixel_height, (x - bounds.left) / bounds.pixel_width
        half_height, half_width = (
            self._tile / 2 / scale_y / bounds.pixel_height,
            self._tile / 2 / scale_x / bounds.pixel_width,
        )
        if covered is not None:
            kept = covered(float(row_px), column_px, float(half_height), float(half_width))
            x, columns, column_px = x[kept], columns[kept], column_px[kept]
        longitude, latitude = self._to_wgs84.transform(x, np.full(len(x), y))
        return pd.DataFrame(
            {
                "tile_id": [f"r{number:05d}c{column:05d}" for column in columns],
                "latitude": latitude,
                "longitude": wrap(np.asarray(longitude)),
                "easting": x,
                "northing": y,
                "row_px": row_px,
                "column_px": column_px,
                "half_height_px": half_height,
                "half_width_px": half_width,
            }
        )

    def _metres_per_unit(self, y: float) -> tuple[float, float]:
        """Ground metres per unit eastwards and northwards, at the map's middle and height `y`.

        Raises:
            AenetError: there is no such scale.
        """
        x, half = self._x_middle, self._step / 2
        y = min(max(y, -self._pole), self._pole)
        south, north = max(y - half, -self._pole), min(y + half, self._pole)  # there is nothing beyond a pole
        longitude, latitude = self._to_wgs84.transform([x - half, x + half, x, x], [y, y, south, north])
        places = np.array([longitude, latitude])
        _, _, metres = self._geod.inv(*places[:, ::2], *places[:, 1::2])
        if not (np.isfinite(places).all() and metres[1] > 0):
            raise AenetError(
                f"{self._path}: its coordinate system has no place at ({x:g}, {y:g}), in the middle of the map: "
                "cut the map to where the system holds, or warp it with `gdalwarp -t_srs EPSG:...`"
            )
        return metres[0] / self._step, metres[1] / (north - south)
