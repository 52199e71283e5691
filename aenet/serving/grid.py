"""A regular grid of tile centres over a map, in real metres.

The scale of the coordinate system is measured on the ellipsoid at every grid row, so that degrees, feet and
Web Mercator (whose metre is 0.6 m on the ground at 52 degrees north) give the same grid.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from pyproj import CRS, Geod, Transformer


@dataclass(frozen=True)
class Bounds:
    """A map's edges in its coordinate system, and the size of a pixel in its units."""

    left: float
    bottom: float
    right: float
    top: float
    pixel_width: float
    pixel_height: float


class Grid:
    """Lays centres so that every tile is wholly on the map; rows from north to south, tiles from west to east."""

    def __init__(self, crs: CRS, bounds: Bounds, tile_size_m: float, spacing_m: float) -> None:
        self._bounds, self._tile, self._spacing = bounds, tile_size_m, spacing_m
        self._to_wgs84 = Transformer.from_crs(crs, CRS.from_epsg(4326), always_xy=True)
        self._geod = Geod(ellps="WGS84")
        # About 100 m in the system's units: short enough to be straight, long enough to be exact.
        self._step = 0.001 if crs.is_geographic else 100.0
        self._x_middle = (bounds.left + bounds.right) / 2

    def lay(self) -> pd.DataFrame:
        """Return the centres; empty where the map is smaller than a tile.

        Columns: tile_id, latitude, longitude, easting, northing (the map's system), convergence_deg (true azimuth of
        grid north), row_px, column_px, half_height_px, half_width_px.
        """
        rows: list[pd.DataFrame] = []
        y, move = self._bounds.top, self._tile / 2
        while True:
            y -= move / self._metres_per_unit(y)[1]
            scale = self._metres_per_unit(y)
            # A millimetre of grace: a map of exactly one tile holds one.
            if y - (self._tile / 2 - 1e-3) / scale[1] < self._bounds.bottom:
                break
            rows.append(self._row(len(rows), y, *scale))
            move = self._spacing
        return pd.concat(rows, ignore_index=True) if rows else pd.DataFrame()

    def size_m(self) -> tuple[float, float]:
        """Return width and height of the map on the ground, through its middle, in metres."""
        bounds = self._bounds
        scale_x, scale_y = self._metres_per_unit((bounds.bottom + bounds.top) / 2)
        return (bounds.right - bounds.left) * scale_x, (bounds.top - bounds.bottom) * scale_y

    def _row(self, number: int, y: float, scale_x: float, scale_y: float) -> pd.DataFrame:
        bounds = self._bounds
        room = (bounds.right - bounds.left) * scale_x - self._tile + 1e-3
        count = int(room // self._spacing) + 1 if room >= 0 else 0
        # What the spacing leaves over is shared by both edges.
        first = bounds.left + (self._tile + room - max(count - 1, 0) * self._spacing) / 2 / scale_x
        x = first + np.arange(count) * (self._spacing / scale_x)
        longitude, latitude = self._to_wgs84.transform(x, np.full(count, y))
        return pd.DataFrame(
            {
                "tile_id": [f"r{number:05d}c{column:05d}" for column in range(count)],
                "latitude": latitude,
                "longitude": longitude,
                "easting": x,
                "northing": y,
                "convergence_deg": self._convergence(x, np.full(count, y), longitude, latitude),
                "row_px": (bounds.top - y) / bounds.pixel_height,
                "column_px": (x - bounds.left) / bounds.pixel_width,
                "half_height_px": self._tile / 2 / scale_y / bounds.pixel_height,
                "half_width_px": self._tile / 2 / scale_x / bounds.pixel_width,
            }
        )

    def _metres_per_unit(self, y: float) -> tuple[float, float]:
        """Ground metres per unit eastwards and northwards, at the map's middle and height `y`."""
        x, half = self._x_middle, self._step / 2
        longitude, latitude = self._to_wgs84.transform([x - half, x + half, x, x], [y, y, y - half, y + half])
        _, _, metres = self._geod.inv(longitude[::2], latitude[::2], longitude[1::2], latitude[1::2])
        return metres[0] / self._step, metres[1] / self._step

    def _convergence(self, x: np.ndarray, y: np.ndarray, longitude: np.ndarray, latitude: np.ndarray) -> np.ndarray:
        longitude_up, latitude_up = self._to_wgs84.transform(x, y + self._step)
        azimuth, _, _ = self._geod.inv(longitude, latitude, longitude_up, latitude_up)
        return np.asarray(azimuth, dtype=np.float64)
