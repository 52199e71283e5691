"""Distances on the Earth: always geodesic, always degrees in and metres out."""

from functools import lru_cache

import numpy as np
from jaxtyping import Float
from pyproj import Geod


@lru_cache(maxsize=1)
def _wgs84() -> Geod:
    return Geod(ellps="WGS84")


def distance_m(
    latitude: Float[np.ndarray, " n"],
    longitude: Float[np.ndarray, " n"],
    other_latitude: Float[np.ndarray, " n"],
    other_longitude: Float[np.ndarray, " n"],
) -> Float[np.ndarray, " n"]:
    """Return the WGS84 geodesic distance in metres between positions in degrees, pair by pair."""
    _, _, metres = _wgs84().inv(longitude, latitude, other_longitude, other_latitude)
    return np.asarray(metres, dtype=np.float64)
