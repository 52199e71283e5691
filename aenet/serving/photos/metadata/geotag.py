"""Where a photo says it was taken: EXIF GPS, else XMP; nonsense is no position, and says why."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from aenet.io.errors import AenetError

NOWHERE = (math.nan, math.nan)
_WHOLE = 1e-6  # of a degree or a minute: how far from a whole number one may be that is meant to be whole
_DJI = (("gpslatitude", "latitude"), ("gpslongitude", "gpslongtitude", "longitude"))  # one is DJI's own misspelling


class _Angle(NamedTuple):
    """Degrees from 0 on, whether they were written negative, and what there is to say of them."""

    degrees: float
    negative: bool = False
    note: str | None = None


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
    """Return (latitude, longitude, what there is to say) in WGS84 degrees; NaN and a reason where they are unusable.

    A photo without any position has NaN and no reason. Degrees, minutes and seconds (Exif 2.32, tags 2 and 4) are
    at most 60 minutes and seconds, and only the last of them that is not zero has a fraction. Negative ones count
    where their letter (S or W) says the same.
    """
    if 2 not in gps and 4 not in gps:
        return *NOWHERE, None
    return _position("EXIF GPS", [(gps.get(tag), letter(gps.get(tag - 1))) for tag in (2, 4)])


def xmp_position(properties: Mapping[str, str]) -> tuple[float, float, str | None]:
    """As `exif_position`, from XMP's `exif:GPSLatitude` and `exif:GPSLongitude` (`47,30.5N` or `47,30,30N`)."""
    texts = [properties.get(f"exif:GPS{name}") for name in ("Latitude", "Longitude")]
    if None in texts:
        return *NOWHERE, None
    return _position("XMP GPS", [((text or "")[:-1].split(","), letter((text or "")[-1:])) for text in texts])


def dji_position(properties: Mapping[str, str]) -> tuple[float, float, str | None]:
    """As `exif_position`, from the signed degrees that DJI's drones write (`drone-dji:GpsLatitude`).

    Names differ between models: with and without `Gps`, and `GpsLongtitude` on the older ones
    (https://exiftool.sourceforge.net/TagNames/DJI.html, table XMP).
    """
    named = {name.lower(): text for name, text in properties.items() if name.startswith("drone-dji:")}
    texts = [
        next((named[f"drone-dji:{name}"] for name in names if f"drone-dji:{name}" in named), None) for names in _DJI
    ]
    if texts[0] is None or texts[1] is None:
        return *NOWHERE, None
    latitude, longitude = number(texts[0]), number(texts[1])
    if latitude is None or longitude is None:
        return *NOWHERE, f"DJI GPS {texts[0]!r}, {texts[1]!r} is no position"
    return _possible(latitude, longitude, "DJI GPS", None)


def _position(source: str, pair: list[tuple[Any, str]]) -> tuple[float, float, str | None]:
    """A latitude and a longitude, each in parts and with its letter."""
    values, notes = [], []
    for name, signs, (parts, sign) in zip(("latitude", "longitude"), ("NS", "EW"), pair, strict=True):
        try:
            angle = _angle(parts)
            values.append(_signed(angle, sign, signs))
        except AenetError as error:
            return *NOWHERE, f"{source} {name} {error}"
        notes += [f"{source} {name} {angle.note}"] if angle.note else []
    return _possible(values[0], values[1], source, "; ".join(notes) or None)


def _signed(angle: _Angle, sign: str, signs: str) -> float:
    """Degrees as north and east count, `sign` being one of the two letters `signs`."""
    if sign not in tuple(signs):
        raise AenetError(f"names no hemisphere ({signs[0]} or {signs[1]})")
    if angle.negative and sign == signs[0]:
        raise AenetError(f"is negative, and {sign}: one of them is wrong")
    return -angle.degrees if sign == signs[1] else angle.degrees


def _angle(parts: Any) -> _Angle:
    """Read degrees, and minutes and seconds where given.

    Raises:
        AenetError: no such angle; the sentence goes on from the name of what it should be.
    """
    if isinstance(parts, str | bytes) or not hasattr(parts, "__len__"):
        parts = (parts,)
    note = None
    if len(parts) == 3 and _is_unknown(parts[1]) and _is_unknown(parts[2]) and _fraction(number(parts[0]) or 0.0):
        parts = tuple(parts)[:1]
    if len(parts) == 3 and _is_unknown(parts[2]):
        note = None if _fraction(number(parts[1]) or 0.0) else "has seconds of 0/0: to the minute (1.9 km) only"
        parts = (*tuple(parts)[:2], 0.0)
    numbers = [number(part) for part in parts]
    read = [value for value in numbers if value is not None]
    if len(read) < len(numbers) or not 1 <= len(read) <= 3:
        raise AenetError("is no number")
    negative = any(value < 0 for value in read)
    if negative and (read[0] > 0 or (any(value > 0 for value in read[1:]) and any(value < 0 for value in read[1:]))):
        raise AenetError(f"is {_said(read)}: of two signs")
    read = [abs(value) for value in read]
    _check_parts(read)
    return _Angle(sum(part / share for part, share in zip(read, (1, 60, 3600), strict=False)), negative, note)


def _check_parts(parts: list[float]) -> None:
    for name, value in zip(("minutes", "seconds"), parts[1:], strict=False):
        if value > 60:  # 60 itself is what rounding makes of 59.9999
            raise AenetError(f"has {value:g} {name}, of which there are 60 at most")
    for finer in range(1, len(parts)):
        if any(parts[finer:]) and _fraction(parts[finer - 1]):
            raise AenetError(f"is {_said(parts)}: fractions in two places, one of which is counted twice")


def _fraction(value: float) -> bool:
    return abs(value - round(value)) > _WHOLE


def _said(parts: list[float]) -> str:
    return " ".join(f"{part:g}{unit}" for part, unit in zip(parts, ("°", "'", '"'), strict=False))


def _is_unknown(value: Any) -> bool:
    """True for a rational 0/0, with which cameras say that they do not know."""
    return (getattr(value, "numerator", 1), getattr(value, "denominator", 1)) == (0, 0)


def _possible(latitude: float, longitude: float, source: str, note: str | None) -> tuple[float, float, str | None]:
    if abs(latitude) > 90 or abs(longitude) > 180:
        return *NOWHERE, f"{source} {latitude:g}, {longitude:g} is no place on Earth"
    if latitude == 0 and longitude == 0:
        return *NOWHERE, f"{source} 0, 0 is what receivers write before their first fix"
    return latitude, longitude, note
