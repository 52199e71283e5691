"""What is known of where photos were taken before they are looked at: a circle, a box, or each photo's own GPS."""

import math
import re
from typing import Annotated, Literal

import numpy as np
from jaxtyping import Bool, Float
from pydantic import Field, model_validator

from aenet.data.distance import distance_m
from aenet.io.errors import AenetError
from aenet.io.params import Config
from aenet.serving.maps.coordinates import in_box

_DISTANCE = re.compile(r"([0-9]+(?:\.[0-9]+)?|\.[0-9]+)\s*(m|km)")
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


def parse_distance(text: str) -> float:
    """Return metres of `500m`, `0.5 km`; the unit must be said.

    Raises:
        AenetError: another unit or none, or a length that is not between 0 and half the Earth's girth.
    """
    match = _DISTANCE.fullmatch(text.strip())
    if match is None:
        raise AenetError(f"{text!r} is no distance: write a number and m or km, as in 500m or 5km")
    metres = float(match[1]) * (1000 if match[2] == "km" else 1)
    if not 0 < metres <= _HALF_EARTH_M:
        raise AenetError(
            f"{text!r} is no distance on Earth: give more than 0 and at most {_HALF_EARTH_M / 1000:,.0f} km"
        )
    return metres


def parse_near(place: str, within: str) -> Near:
    """Return the circle of `--near LAT,LON --within 5km`.

    Raises:
        AenetError: not two numbers, no place on Earth, or no distance.
    """
    latitude, longitude = _numbers(place, "LAT,LON", "47.66,9.17")
    if abs(latitude) > 90 or abs(longitude) > 180:
        raise AenetError(f"{place!r} is no place on Earth: latitude first (+-90), then longitude (+-180)")
    return Near(latitude=latitude, longitude=longitude, radius_m=parse_distance(within))


def parse_box(text: str) -> Box:
    """Return the box of `WEST,SOUTH,EAST,NORTH`, the order of GeoJSON and GDAL.

    Raises:
        AenetError: not four numbers, or no box on Earth.
    """
    west, south, east, north = _numbers(text, "WEST,SOUTH,EAST,NORTH", "9.1,47.6,9.2,47.7")
    if max(abs(west), abs(east)) > 180 or max(abs(south), abs(north)) > 90 or south >= north:
        raise AenetError(
            f"{text!r} is no box on Earth: give WEST,SOUTH,EAST,NORTH in degrees, south below north "
            f"(found {south:g} and {north:g})"
        )
    return Box(west=west, south=south, east=east, north=north)


def of_photo(prior: Near | Box | OwnGps, latitude: float, longitude: float) -> Near | Box:
    """Return a prior with a photo's own position (NaN where it says none) filled in.

    Raises:
        AenetError: the prior is each photo's own position, and this one has none.
    """
    if not isinstance(prior, OwnGps):
        return prior
    if math.isnan(latitude) or math.isnan(longitude):
        raise AenetError("no GPS position to search around: give --near or a table with latitude and longitude")
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


def _numbers(text: str, form: str, example: str) -> list[float]:
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    if len(values) != form.count(",") + 1 or not all(map(math.isfinite, values)):
        raise AenetError(f"{text!r} is not {form}: write for example {example}")
    return values
