"""What is known of where photos were taken before they are looked at: a circle, a box, or each photo's own GPS."""

import math
from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
from jaxtyping import Bool, Float
from pydantic import Field, model_validator

from aenet.data.distance import distance_m
from aenet.io.errors import AenetError
from aenet.io.params import Config
from aenet.serving.maps.coordinates import in_box
from aenet.serving.maps.quantities import Number, parse_box, parse_metres, parse_place

_RADIUS = "5km"  # around a place, where nobody says another
_MERIDIAN_M = 110_574.0  # metres of a degree of latitude where it is shortest, at the equator
_HALF_EARTH_M = 20_004_000.0


class Near(Config):
    """Within `radius_m` geodesic metres of a place in WGS84 degrees."""

    kind: Literal["near"] = "near"
    latitude: float = Field(ge=-90, le=90)
    longitude: float = Field(ge=-180, le=180)
    radius_m: float = Field(gt=0)


class Box(Config):
    """Between two parallels and two meridians, WGS84 degrees; `west` above `east` goes across 180 degrees."""

    kind: Literal["box"] = "box"
    west: float = Field(ge=-180, le=180)
    south: float = Field(ge=-90, le=90)
    east: float = Field(ge=-180, le=180)
    north: float = Field(ge=-90, le=90)

    @model_validator(mode="after")
    def _upright(self) -> "Box":
        if self.south >= self.north:
            raise ValueError(f"south {self.south:g} is not below north {self.north:g}")
        return self


class OwnGps(Config):
    """Within `radius_m` of where each photo says it was taken."""

    kind: Literal["own_gps"] = "own_gps"
    radius_m: float = Field(gt=0)


Prior = Annotated[Near | Box | OwnGps, Field(discriminator="kind")]


def parse_radius(given: str | Number, argument: str) -> float:
    """Return metres of `500m` or `0.5 km`; a text must say its unit.

    Raises:
        AenetError: another unit or none, or a length that is not between 0 and half the Earth's girth.
    """
    metres = parse_metres(given, argument, unit_needed=True)
    if metres > _HALF_EARTH_M:
        raise AenetError(f"`{argument}` {given!r} is no distance on Earth: give at most {_HALF_EARTH_M / 1000:,.0f} km")
    return metres


def parse_prior(
    near: str | Sequence[Number] | None = None,
    within: str | Number | None = None,
    within_box: str | Sequence[Number] | None = None,
    own_gps: str | Number | None = None,
) -> Near | Box | OwnGps | None:
    """Return where to search of what was said of it; None: everywhere.

    Args:
        near: latitude and longitude, degrees; `LAT,LON`.
        within: radius around `near`, 5 km where it is not said.
        within_box: west, south, east, north, degrees; `W,S,E,N`.
        own_gps: radius around each photo's own position.

    Raises:
        AenetError: two of them, or one that cannot be read.
    """
    given = {"near": near, "within_box": within_box, "own_gps": own_gps}
    named = [f"`{name}`" for name, value in given.items() if value is not None]
    if len(named) > 1:
        raise AenetError(f"{' and '.join(named)} exclude each other: give one of them")
    if within is not None and near is None:
        raise AenetError("`within` is the radius around `near`: give both, or `within_box` or `own_gps` instead")
    if near is not None:
        latitude, longitude = parse_place(near)
        return Near(latitude=latitude, longitude=longitude, radius_m=parse_radius(within or _RADIUS, "within"))
    if within_box is not None:
        west, south, east, north = parse_box(within_box)
        return Box(west=west, south=south, east=east, north=north)
    return None if own_gps is None else OwnGps(radius_m=parse_radius(own_gps, "own_gps"))


def of_photo(prior: Near | Box | OwnGps, latitude: float, longitude: float) -> Near | Box:
    """Return a prior with a photo's own position (NaN where it says none) filled in.

    Raises:
        AenetError: the prior is each photo's own position, and this one has none.
    """
    if not isinstance(prior, OwnGps):
        return prior
    if math.isnan(latitude) or math.isnan(longitude):
        raise AenetError("no GPS position to search around: give `near` or a table with latitude and longitude")
    return Near(latitude=latitude, longitude=longitude, radius_m=prior.radius_m)


def allowed(
    prior: Near | Box, latitudes: Float[np.ndarray, " n"], longitudes: Float[np.ndarray, " n"]
) -> Bool[np.ndarray, " n"]:
    """Return which positions (WGS84 degrees) the prior allows; its border counts as inside."""
    if isinstance(prior, Box):
        return in_box((prior.west, prior.south, prior.east, prior.north), latitudes, longitudes)
    mask = np.abs(latitudes - prior.latitude) * _MERIDIAN_M <= prior.radius_m  # cheap, and never too strict
    rows = np.flatnonzero(mask)
    here = np.full(len(rows), prior.latitude), np.full(len(rows), prior.longitude)
    near = latitudes[rows].astype(np.float64), longitudes[rows].astype(np.float64)
    mask[rows] = distance_m(*here, *near) <= prior.radius_m
    return np.asarray(mask)
