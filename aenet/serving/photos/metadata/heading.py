"""Which way a photo's centre column looks: never taken for true north unless the photo says so."""

import math
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from aenet.io.errors import AenetError
from aenet.serving.photos.metadata.declination import declination_deg
from aenet.serving.photos.metadata.geotag import letter, number

_DATE = re.compile(r"\s*(\d{4})\s*([:/.-])\s*(\d{1,2})\s*\2\s*(\d{1,2})(?!\d)")
_COMPACT = re.compile(r"\s*(\d{4})()(\d\d)(\d\d)(?!\d)")
_YEAR_LAST = re.compile(r"\s*(\d{1,2})\s*([/.-])\s*(\d{1,2})\s*\2\s*(\d{4})(?!\d)")


class Stated(NamedTuple):
    """A compass heading in degrees clockwise from true north, where it is from, and what there is to say of it."""

    heading_deg: float | None
    source: str | None = None
    note: str | None = None


def panorama_heading(properties: Mapping[str, str]) -> Stated | None:
    """Return GPano's PoseHeadingDegrees (true north, of the panorama's centre); None where it is not there.

    Photo Sphere XMP Metadata, https://developers.google.com/streetview/spherical-metadata: cropping leaves it as it
    is, so it counts for the centre of the whole panorama.
    """
    text = properties.get("GPano:PoseHeadingDegrees")
    if text is None:
        return None
    value = number(text)
    if value is None:
        return Stated(None, None, f"GPano heading {text!r} is no number: unknown")
    return Stated(value % 360, "gpano")


def image_direction(
    value: Any, reference: Any, position: tuple[float, float], year: float | None, source: str
) -> Stated | None:
    """Return GPSImgDirection as a true heading; None where it is not there.

    A magnetic one is corrected by the declination at the place; without place or year it stays unknown, as does
    one whose reference is not said: of twelve photos with a direction, four did not say.
    """
    if value is None:
        return None
    degrees, said = number(_ratio(value)), letter(reference)
    if degrees is None or not 0 <= degrees <= 360:
        return Stated(None, None, f"{source} heading {value} is no heading: unknown")
    if said == "T":
        return Stated(degrees % 360, f"{source} true")
    if said == "M":
        return _corrected(degrees, position, year, source)
    return Stated(None, None, f"{source} heading {degrees:g} says neither true nor magnetic: unknown")


def camera_yaw(properties: Mapping[str, str]) -> Stated | None:
    """Return where a DJI drone's camera looks, None where that is not there.

    `GimbalYawDegree` is the camera's (north, east, down; turned about z, then y, then x: DJI Mavic 3M user manual,
    https://www.easymanua.ls/dji/mavic-3m/manual?p=89), `FlightYawDegree` the nose's of the aircraft; both are 0 at
    true north and grow clockwise, from -180 to 180:
    https://developer.dji.com/api-reference/android-api/Components/FlightController/DJIFlightController_DJIAttitude.html
    """
    for name, whose in (
        ("GimbalYawDegree", "camera"),
        ("FlightYawDegree", "aircraft, whose camera may look elsewhere"),
    ):
        text = properties.get(f"drone-dji:{name}")
        if text is None:
            continue
        value = number(text)
        if value is None or abs(value) > 360:
            return Stated(None, None, f"DJI {name} {text!r} is no heading: unknown")
        return Stated(value % 360, "dji", f"heading {value % 360:g} is the yaw of the {whose} ({name})")
    return None


def _corrected(degrees: float, position: tuple[float, float], year: float | None, source: str) -> Stated:
    try:
        if math.isnan(position[0]) or math.isnan(position[1]):
            raise AenetError("there is no position")
        if year is None:
            raise AenetError("there is no date")
        declination = declination_deg(*position, year)
    except AenetError as error:
        return Stated(None, None, f"magnetic heading {degrees:g}: not corrected, treated as unknown ({error})")
    note = f"magnetic heading {degrees:g} corrected by a declination of {declination:+.1f} degrees"
    return Stated((degrees + declination) % 360, f"{source} magnetic", note)


def year_taken(*dates: Any) -> float | None:
    """Return the decimal year of the first usable date, None without one.

    Year, month and day in this order, with the colons of EXIF (`2026:05:01 ...`), the dashes, slashes or points that
    other programs write, or nothing between them. With the year last, the other two may mean either: the middle of that
    year is taken, half a year from which the declination is another by 0.1 degrees.
    """
    for date in dates:
        text = date.decode("ascii", "replace") if isinstance(date, bytes) else str(date)
        if (match := _YEAR_LAST.match(text)) and _is_day(int(match[1]), int(match[3])) and int(match[4]) >= 1970:
            return int(match[4]) + 0.5
        if match := _DATE.match(text) or _COMPACT.match(text):
            year, month, day = (int(match[part]) for part in (1, 3, 4))
            if year >= 1970 and 1 <= month <= 12 and 1 <= day <= 31:
                return year + (month - 1 + (day - 1) / 31) / 12
    return None


def _is_day(one: int, other: int) -> bool:
    """True for a day and a month, in either order."""
    return 1 <= min(one, other) <= 12 and max(one, other) <= 31


def _ratio(value: Any) -> Any:
    """XMP writes rationals as text, `12345/100`."""
    if isinstance(value, str) and value.count("/") == 1:
        above, below = (number(part) for part in value.split("/"))
        return above / below if above is not None and below else math.nan
    return value
