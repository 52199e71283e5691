"""Where the imaginary town lies: UTM zone 31N, on the Dogger Bank, where there is nothing but sea."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64
from pyproj import Transformer

EPSG = 32631
CENTRE_EASTING, CENTRE_NORTHING = 500_000.0, 6_094_800.0  # 3 E is the zone's central meridian: grid North is true North


class Frame(NamedTuple):
    """Town metres (x East, y South of the top-left corner) against UTM metres and degrees."""

    west: float
    north: float

    @classmethod
    def of(cls, width_m: float, height_m: float) -> "Frame":
        """The frame that puts the town's middle at the anchor point."""
        return cls(CENTRE_EASTING - round(width_m / 2), CENTRE_NORTHING + round(height_m / 2))

    def latlon(self, xy: Float64[np.ndarray, "n 2"]) -> Float64[np.ndarray, "n 2"]:
        """WGS84 latitude and longitude, in degrees, of points in town metres."""
        to_wgs84 = Transformer.from_crs(EPSG, 4326, always_xy=True)
        lon, lat = to_wgs84.transform(self.west + xy[:, 0], self.north - xy[:, 1])
        return np.stack([lat, lon], axis=1)
