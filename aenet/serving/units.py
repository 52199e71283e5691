"""Lengths as people write them: `70m`, `70 m`, `0.07km`, `70`."""

import math
import re

from aenet.errors import AenetError

_METRES = {"": 1.0, "m": 1.0, "km": 1000.0, "ft": 0.3048}
_PATTERN = re.compile(r"\s*([0-9]*\.?[0-9]+)\s*([a-zA-Z]*)\s*")


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
