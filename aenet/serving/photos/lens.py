"""How wide a photo looks: its horizontal field of view from what the camera wrote of its lens."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from aenet.serving.photos.geotag import number

FILM_DIAGONAL_MM = math.hypot(36.0, 24.0)
NARROWEST_DEG = 3.0  # a lens of 690 mm on film; what is narrower has been misread
RECTILINEAR_DEG = 120.0  # wider lenses bend lines, or are half of a 360-degree camera
# Sensors of cameras and phones measure 4 to 70 mm from corner to corner; what is far from that is a resized picture.
_SENSOR_MM = (2.5, 100.0)
_UNIT_MM = {2: 25.4, 3: 10.0, 4: 1.0, 5: 0.001}
_SAME_SHAPE = 0.02


class LensField(NamedTuple):
    """What EXIF says of a lens.

    Attributes:
        degrees: its horizontal field of view, in [NARROWEST_DEG, RECTILINEAR_DEG]; None where EXIF tells of no lens.
        cropped: True if that is no longer the picture's.
        note: what there is to say of it.
    """

    degrees: float | None = None
    cropped: bool = False
    note: str | None = None


def lens_field(exif: Mapping[int, Any], width: int, height: int) -> LensField:
    """Return the field of view of the lens.

    From FocalLengthIn35mmFilm, which equates diagonals (CIPA DCG-001) and outlives resizing; where that is missing or
    no lens, from FocalLength and the focal plane's resolution, which counts in the pixels of the sensor: programs that
    make a picture smaller write its new size, and leave the resolution. Rectilinear: tan(field / 2) = half the width
    over the focal length, both in pixels.

    Args:
        exif: tags by number.
        width, height: pixels of the upright picture.
    """
    if not (width and height):
        return LensField()
    notes: list[str] = []
    for source, (focal_px, why) in (
        ("FocalLengthIn35mmFilm", (_from_film(exif, width, height), None)),
        ("FocalPlaneXResolution", _from_plane(exif, width, height)),
    ):
        if focal_px is None:
            continue
        field = math.degrees(2 * math.atan(width / 2 / focal_px))
        if fault := why or _no_lens(field):
            notes.append(f"EXIF {source} left aside: {fault}")
            continue
        if crop := _cropped(exif, width, height):
            return LensField(field, True, crop)
        if notes or source != "FocalLengthIn35mmFilm":
            notes.append(f"field of view {field:.3g} degrees from EXIF {source}")
        return LensField(field, False, "; ".join(notes) or None)
    return LensField(note="; ".join(notes) or None)


def _no_lens(field_deg: float) -> str | None:
    if NARROWEST_DEG <= field_deg <= RECTILINEAR_DEG:
        return None
    return f"a lens of {field_deg:.3g} degrees is no ordinary one"


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


def _from_plane(exif: Mapping[int, Any], width: int, height: int) -> tuple[float | None, str | None]:
    """Focal length in the picture's pixels, and why it cannot be right."""
    focal, density = number(exif.get(0x920A)), number(exif.get(0xA20E))
    unit = _UNIT_MM.get(int(number(exif.get(0xA210)) or 2))
    if not focal or not density or focal <= 0 or density <= 0 or unit is None:
        return None, None
    taken = [side for side in (number(exif.get(0xA002)), number(exif.get(0xA003))) if side and side > 0]
    resized = max(width, height) / max(taken) if taken else 1.0  # the density counts in the sensor's pixels
    sensor_mm = math.hypot(width, height) / resized / density * unit
    fault = None
    if not _SENSOR_MM[0] <= sensor_mm <= _SENSOR_MM[1]:
        fault = f"it makes a sensor of {sensor_mm:.2g} mm, as where a photo was resized"
    return focal * density / unit * resized, fault
