"""Lengths, boxes and places as people write them: the one reader of `70m`, `0.07 km`, `W,S,E,N` and `LAT,LON`.

Each takes the name of the argument it was given for, which stands in backquotes in what is said of it: the command line
shows it as its option.
"""

import math
import re
from collections.abc import Sequence

from aenet.io.errors import AenetError

Number = int | float  # people write 70 where 70.0 is meant
LatLon = tuple[float, float]
Edges = tuple[float, float, float, float]

_METRES = {"m": 1.0, "km": 1000.0, "ft": 0.3048}
_LENGTH = re.compile(r"\s*([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*([a-zA-Z]*)\s*")


def parse_metres(given: str | Number, argument: str, unit_needed: bool = False) -> float:
    """Return metres of a number, or of a text such as `70m`, `0.07 km` or `230ft`.

    Args:
        unit_needed: refuse a text without a unit: where metres and kilometres are both likely, it would be a guess.

    Raises:
        AenetError: not a positive length in m, km or ft, or a unit is needed and missing.
    """
    match = _LENGTH.fullmatch(given) if isinstance(given, str) else None
    if match is not None:
        unit = match[2].lower() or ("" if unit_needed else "m")
        metres = float(match[1]) * _METRES.get(unit, math.nan)
    else:
        metres = math.nan if isinstance(given, str | bool) else float(given)
    if not 0 < metres < math.inf:
        raise AenetError(
            f"`{argument}` {given!r} is not a length: write a number and its unit, as 70m, 0.07km or 230ft"
        )
    return metres


def parse_box(given: str | Sequence[Number], argument: str = "within_box") -> Edges:
    """Return west, south, east, north in degrees of `W,S,E,N` (the order of GeoJSON and GDAL) or of four numbers.

    A box from the eastern to the western hemisphere goes across 180 degrees; another whose west is above its east is a
    mistake.

    Raises:
        AenetError: not four numbers, or they enclose nothing on Earth.
    """
    values = _numbers(given, 4, f"`{argument}`", "WEST,SOUTH,EAST,NORTH in degrees", "9.1,47.6,9.2,47.7")
    west, south, east, north = values
    onwards = west < east or west > 0 > east
    if max(abs(west), abs(east)) > 180 or max(abs(south), abs(north)) > 90 or south >= north or not onwards:
        raise AenetError(
            f"`{argument}` {given!r} is no box on Earth: give WEST,SOUTH,EAST,NORTH in degrees, south below north "
            f"(found {south:g} and {north:g}), west before east (found {west:g} and {east:g})"
        )
    return west, south, east, north


def parse_place(given: str | Sequence[Number], argument: str = "near") -> LatLon:
    """Return latitude and longitude in degrees of `LAT,LON` or of two numbers.

    Raises:
        AenetError: not two numbers, or no place on Earth.
    """
    latitude, longitude = _numbers(given, 2, f"`{argument}`", "LAT,LON in degrees", "47.66,9.17")
    if abs(latitude) > 90 or abs(longitude) > 180:
        raise AenetError(f"`{argument}` {given!r} is no place on Earth: latitude first (+-90), then longitude (+-180)")
    return latitude, longitude


def _numbers(given: str | Sequence[Number], count: int, name: str, form: str, example: str) -> list[float]:
    try:
        values = [float(part) for part in (given.split(",") if isinstance(given, str) else given)]
    except (TypeError, ValueError):
        values = []
    if len(values) != count or not all(map(math.isfinite, values)):
        raise AenetError(f"{name} {given!r} is not {form}: write for example {example}")
    return values
