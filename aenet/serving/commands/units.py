"""Lengths as people write them: `70m`, `70 m`, `0.07km`, `70`."""

import math
import re

from aenet.errors import AenetError

_METRES = {"": 1.0, "m": 1.0, "km": 1000.0, "ft": 0.3048}
_PATTERN = re.compile(r"\s*([0-9]*\.?[0-9]+)\s*([a-zA-Z]*)\s*")


def parse_area(text: str | None, option: str) -> tuple[float, float, float, float] | None:
    """Return west, south, east, north in degrees from `W,S,E,N`; None for None.

    An area from the eastern to the western hemisphere goes across 180 degrees; other areas whose west is above their
    east are a mistake.

    Raises:
        AenetError: not four numbers, or they enclose nothing.
    """
    if text is None:
        return None
    try:
        west, south, east, north = (float(part) for part in text.split(","))
    except ValueError as error:
        raise AenetError(f"{option} {text!r} is not west,south,east,north in degrees") from error
    onwards = west < east or west > 0 > east
    if not (-180 <= west <= 180 and -180 <= east <= 180 and onwards and -90 <= south < north <= 90):
        raise AenetError(f"{option} {text!r} encloses nothing: west < east and south < north, in degrees")
    return west, south, east, north


def parse_metres(text: str, option: str) -> float:
    """Return the metres in `text`; `option` names where it was given.

    Raises:
        AenetError: not a positive length in m, km or ft.
    """
    match = _PATTERN.fullmatch(text)
    factor = _METRES.get(match[2].lower()) if match else None
    metres = float(match[1]) * factor if match and factor else math.nan
    if not metres > 0:
        raise AenetError(f"{option} {text!r} is not a length: write for example 70m, 0.07km or 230ft")
    return metres
