"""A regular grid of tile centres over a map, in real metres.

The scale of the coordinate system is measured on the ellipsoid at every grid row, so that degrees, feet and
Web Mercator (whose metre is 0.6 m on the ground at 52 degrees north) give the same grid.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float
from pyproj import CRS, Geod, Transformer

from aenet.serving.maps.canvas import Frame

# (row_px, columns_px, half_height_px, half_width_px) of a row of tiles -> which of them are candidates.
Covered = Callable[[float, Float[np.ndarray, " n"], float, float], Bool[np.ndarray, " n"]]


class Grid:
    """Lays centres so that every tile is wholly on the map; rows from north to south, tiles from west to east."""

    def __init__(self, frame: Frame, tile_size_m: float, spacing_m: float) -> None:
        self._bounds, self._tile, self._spacing = frame, tile_size_m, spacing_m
        crs = CRS.from_wkt(frame.crs)
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
        """
        rows: list[pd.DataFrame] = []
        y, move = self._bounds.top, self._tile / 2
        while True:
            y -= move / self._metres_per_unit(y)[1]
            scale = self._metres_per_unit(y)
            # A millimetre of grace: a map of exactly one tile holds one.
            if y - (self._tile / 2 - 1e-3) / scale[1] < self._bounds.bottom:
                break
            rows.append(self._row(len(rows), y, *scale, covered))
            move = self._spacing
        return pd.concat(rows, ignore_index=True) if rows else pd.DataFrame()

    def size_m(self) -> tuple[float, float]:
        """Return width and height of the map on the ground, through its middle, in metres."""
        bounds = self._bounds
        scale_x, scale_y = self._metres_per_unit((bounds.bottom + bounds.top) / 2)
        return (bounds.right - bounds.left) * scale_x, (bounds.top - bounds.bottom) * scale_y

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
                "longitude": longitude,
                "easting": x,
                "northing": y,
                "row_px": row_px,
                "column_px": column_px,
                "half_height_px": half_height,
                "half_width_px": half_width,
            }
        )

    def _metres_per_unit(self, y: float) -> tuple[float, float]:
        """Ground metres per unit eastwards and northwards, at the map's middle and height `y`."""
        x, half = self._x_middle, self._step / 2
        longitude, latitude = self._to_wgs84.transform([x - half, x + half, x, x], [y, y, y - half, y + half])
        _, _, metres = self._geod.inv(longitude[::2], latitude[::2], longitude[1::2], latitude[1::2])
        return metres[0] / self._step, metres[1] / self._step
