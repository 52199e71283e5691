"""Where and in which direction a photo says it was taken: EXIF GPS and the panorama's heading (GPano)."""

import math
import re
from dataclasses import dataclass
from typing import Any

from aenet.images import read_gps

_XMP_SEARCHED = 1 << 18  # XMP is among a JPEG's first segments, 64 KB each
_HEADING = re.compile(rb"GPano:PoseHeadingDegrees\s*(?:=\s*[\"']|>)\s*([-+]?[0-9]*\.?[0-9]+)")


@dataclass(frozen=True)
class Pose:
    """Position in WGS84 degrees (NaN where the photo has none) and heading of its centre column."""

    latitude: float = math.nan
    longitude: float = math.nan
    heading_deg: float = 0.0


def read_pose(content: bytes) -> Pose:
    """Return what an image file says of its pose; a file without, or with nonsense, has none.

    EXIF's GPSImgDirection is left aside: cameras write it magnetic, true or unsaid, and rarely for panoramas.
    """
    match = _HEADING.search(content[:_XMP_SEARCHED])
    heading = float(match[1]) % 360 if match else 0.0
    latitude, longitude = _position(content)
    return Pose(latitude, longitude, heading)


def _position(content: bytes) -> tuple[float, float]:
    nowhere = (math.nan, math.nan)
    try:
        gps = read_gps(content)
        latitude = _degrees(gps[2], str(gps[1]).upper().startswith("S"))
        longitude = _degrees(gps[4], str(gps[3]).upper().startswith("W"))
    except Exception:  # noqa: BLE001  Pillow raises eight kinds; a damaged EXIF block only costs the known truth
        return nowhere
    possible = abs(latitude) <= 90 and abs(longitude) <= 180  # false for NaN
    null_island = latitude == 0 and longitude == 0  # what receivers write before their first fix
    return (latitude, longitude) if possible and not null_island else nowhere


def _degrees(parts: Any, negative: bool) -> float:
    """Degrees, minutes, seconds -> degrees; a zero denominator gives NaN."""
    degrees, minutes, seconds = (float(part) for part in parts)
    value = degrees + minutes / 60 + seconds / 3600
    return -value if negative else value
