"""How wide a photo looks: its horizontal field of view from what the camera wrote of its lens."""

import math
from collections.abc import Mapping
from typing import Any

from aenet.serving.photos.geotag import number

FILM_DIAGONAL_MM = math.hypot(36.0, 24.0)
RECTILINEAR_DEG = 120.0  # wider lenses bend lines, or are half of a 360-degree camera
_UNIT_MM = {2: 25.4, 3: 10.0, 4: 1.0, 5: 0.001}
_SAME_SHAPE = 0.02


def lens_field(exif: Mapping[int, Any], width: int, height: int) -> tuple[float | None, str | None]:
    """Return (horizontal field of view in degrees or None, why not).

    From FocalLengthIn35mmFilm, which equates diagonals (CIPA DCG-001), or FocalLength and the focal plane's
    resolution. Rectilinear: tan(field / 2) = half the width over the focal length, both in pixels.

    Args:
        exif: tags by number.
        width, height: pixels of the upright picture.
    """
    if not (width and height):
        return None, None
    focal_px = _from_film(exif, width, height) or _from_plane(exif, width, height)
    if focal_px is None:
        return None, None
    if why := _cropped(exif, width, height):
        return None, why
    field = math.degrees(2 * math.atan(width / 2 / focal_px))
    if field > RECTILINEAR_DEG:
        return None, f"a lens of {field:.0f} degrees is no ordinary one"
    return field, None


def _cropped(exif: Mapping[int, Any], width: int, height: int) -> str | None:
    """Why the lens no longer says what the picture shows, if its shape has changed; resizing keeps it."""
    wide, high = number(exif.get(0xA002)), number(exif.get(0xA003))
    if not wide or not high or wide <= 0 or high <= 0:
        return None
    if abs(max(wide, high) / min(wide, high) * min(width, height) / max(width, height) - 1) <= _SAME_SHAPE:
        return None
    return f"cropped since it was taken: EXIF says {wide:g} x {high:g} px, it has {width} x {height}"


def _from_film(exif: Mapping[int, Any], width: int, height: int) -> float | None:
    focal = number(exif.get(0xA405))
    return focal / FILM_DIAGONAL_MM * math.hypot(width, height) if focal and focal > 0 else None


def _from_plane(exif: Mapping[int, Any], width: int, height: int) -> float | None:
    focal, density = number(exif.get(0x920A)), number(exif.get(0xA20E))
    unit = _UNIT_MM.get(int(number(exif.get(0xA210)) or 2))
    if not focal or not density or focal <= 0 or density <= 0 or unit is None:
        return None
    taken = [side for side in (number(exif.get(0xA002)), number(exif.get(0xA003))) if side and side > 0]
    resized = max(width, height) / max(taken) if taken else 1.0  # the density counts in the sensor's pixels
    return focal * density / unit * resized
