"""From degrees to the pixels of a report's map."""

import numpy as np
from pyproj import CRS, Transformer

from aenet.geodesy import distance_m
from aenet.serving.galleries.gallery import Gallery
from aenet.serving.maps.longitudes import onto, turn_of

_PLAIN_PX = 1600  # width of the map where there is no backdrop


class Projection:
    """WGS84 degrees -> pixels of the backdrop (or of a plain sheet over the gallery where there is none)."""

    def __init__(self, gallery: Gallery) -> None:
        backdrop = gallery.manifest.backdrop
        west, south, east, north = gallery.manifest.coverage
        if backdrop is not None:
            self._crs = CRS.from_wkt(backdrop.crs)
            self._left, self._top = backdrop.left, backdrop.top
            self.width, self.height = float(backdrop.width_px), float(backdrop.height_px)
            self._unit = (backdrop.right - backdrop.left) / self.width
            self._unit_y = (backdrop.top - backdrop.bottom) / self.height
        else:
            across = 360 if west > east else 0
            middle = (south + north) / 2, (west + east + across) / 2
            self._crs = CRS.from_proj4(f"+proj=aeqd +lat_0={middle[0]} +lon_0={middle[1]} +datum=WGS84")
            to_sheet = Transformer.from_crs("EPSG:4326", self._crs, always_xy=True)
            xs, ys = to_sheet.transform([west, west, east, east], [south, north, south, north])
            edge = gallery.manifest.tile_size_m
            self._left, self._top = min(xs) - edge, max(ys) + edge
            self._unit = self._unit_y = (max(xs) - min(xs) + 2 * edge) / _PLAIN_PX
            self.width, self.height = float(_PLAIN_PX), (max(ys) - min(ys) + 2 * edge) / self._unit
        self._turn = turn_of(self._crs.to_wkt())
        self._transform = Transformer.from_crs("EPSG:4326", self._crs, always_xy=True)
        self._back = Transformer.from_crs(self._crs, "EPSG:4326", always_xy=True)

    def __call__(self, latitude: np.ndarray, longitude: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return columns and rows; NaN for NaN, and for places the system cannot show."""
        x, y = (np.asarray(v) for v in self._transform.transform(longitude, latitude))
        # A map across 180 degrees goes on beyond its system's end.
        x = onto(x, self._left + self.width * self._unit / 2, self._turn)
        column, row = (x - self._left) / self._unit, (self._top - y) / self._unit_y
        shown = np.isfinite(column) & np.isfinite(row)
        return np.where(shown, column, np.nan), np.where(shown, row, np.nan)

    def metres_per_pixel(self) -> float:
        """Ground metres along one pixel of the middle row."""
        x, y = self._left + self.width * self._unit / 2, self._top - self.height * self._unit_y / 2
        longitude, latitude = self._back.transform([x, x + 10 * self._unit], [y, y])
        latitude, longitude = np.asarray(latitude), np.asarray(longitude)
        return float(distance_m(latitude[:1], longitude[:1], latitude[1:], longitude[1:])[0]) / 10
