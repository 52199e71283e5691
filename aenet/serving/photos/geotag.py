"""Where a photo says it was taken: EXIF GPS, else XMP; nonsense is no position, and says why."""

import math
from collections.abc import Mapping
from typing import Any

NOWHERE = (math.nan, math.nan)


def number(value: Any) -> float | None:
    """Return a tag or property as a finite number; None where it is none (a zero denominator, text, a tuple)."""
    try:
        found = float(value)
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def letter(value: Any) -> str:
    """Return the first letter of a reference tag in upper case, '' where there is none."""
    text = value.decode("ascii", "replace") if isinstance(value, bytes) else str(value if value is not None else "")
    return text.strip("\0 ")[:1].upper()


def exif_position(gps: Mapping[int, Any]) -> tuple[float, float, str | None]:
    """Return (latitude, longitude, reason) in WGS84 degrees; NaN and a reason where the tags are unusable.

    A photo without any position has NaN and no reason.
    """
    if 2 not in gps and 4 not in gps:
        return *NOWHERE, None
    values = []
    for name, tag, signs in (("latitude", 2, "NS"), ("longitude", 4, "EW")):
        sign, degrees = letter(gps.get(tag - 1)), _degrees(gps.get(tag))
        if degrees is None:
            return *NOWHERE, f"EXIF GPS {name} is no number"
        if sign not in tuple(signs):
            return *NOWHERE, f"EXIF GPS {name} names no hemisphere ({signs[0]} or {signs[1]})"
        values.append(-degrees if sign == signs[1] else degrees)
    return _possible(values[0], values[1], "EXIF GPS")


def xmp_position(properties: Mapping[str, str]) -> tuple[float, float, str | None]:
    """As `exif_position`, from XMP's `exif:GPSLatitude` and `exif:GPSLongitude` (`47,30.5N` or `47,30,30N`)."""
    texts = [properties.get(f"exif:GPS{name}") for name in ("Latitude", "Longitude")]
    if None in texts:
        return *NOWHERE, None
    values = []
    for text, signs in zip(texts, ("NS", "EW"), strict=True):
        sign = (text or "")[-1:].upper()
        degrees = _degrees((text or "")[:-1].split(","))
        if degrees is None or sign not in tuple(signs):
            return *NOWHERE, f"XMP GPS {text!r} is no position"
        values.append(-degrees if sign in "SW" else degrees)
    return _possible(values[0], values[1], "XMP GPS")


def _degrees(parts: Any) -> float | None:
    """Degrees, and minutes and seconds where given."""
    if isinstance(parts, str | bytes) or not hasattr(parts, "__len__"):
        parts = (parts,)
    numbers = [number(part) for part in parts]
    if not 1 <= len(numbers) <= 3:
        return None
    total = 0.0
    for part, share in zip(numbers, (1, 60, 3600), strict=False):
        if part is None or part < 0:
            return None
        total += part / share
    return total


def _possible(latitude: float, longitude: float, source: str) -> tuple[float, float, str | None]:
    if abs(latitude) > 90 or abs(longitude) > 180:
        return *NOWHERE, f"{source} {latitude:g}, {longitude:g} is no place on Earth"
    if latitude == 0 and longitude == 0:
        return *NOWHERE, f"{source} 0, 0 is what receivers write before their first fix"
    return latitude, longitude, None
