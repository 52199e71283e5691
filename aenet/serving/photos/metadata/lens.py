"""How wide a photo looks, from what was written of its lens, and which part of the sphere a panorama shows."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from aenet.serving.photos.metadata.geotag import number

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


# Which part of the sphere a panorama shows, as its GPano metadata says.

_FIELDS = (
    "FullPanoWidthPixels", "FullPanoHeightPixels", "CroppedAreaImageWidthPixels", "CroppedAreaImageHeightPixels",
    "CroppedAreaLeftPixels", "CroppedAreaTopPixels",
)  # fmt: skip
_SIZES = _FIELDS[:4]
_ROUNDING = 2.0  # pixels


@dataclass(frozen=True)
class Sphere:
    """An equirectangular picture's part of the whole sphere, degrees.

    Attributes:
        left_deg: azimuth of its left edge, clockwise from the left edge of the whole panorama, in [0, 360).
        width_deg: in (0, 360].
        top_deg, bottom_deg: elevation of its upper and lower edge, in [-90, 90].
    """

    left_deg: float
    width_deg: float
    top_deg: float
    bottom_deg: float


@dataclass(frozen=True)
class GPano:
    """What GPano says of a picture that it calls a panorama.

    Attributes:
        sphere: the part of the sphere it shows; None where that cannot be taken from GPano.
        fault: why it cannot.
        note: what was guessed.
        pitch_deg: elevation of the whole panorama's centre, in [-90, 90]; 0 where nothing is said.
        roll_deg: by how much the camera was turned clockwise about the axis through that centre, in (-180, 180].
    """

    sphere: Sphere | None = None
    fault: str | None = None
    note: str | None = None
    pitch_deg: float = 0.0
    roll_deg: float = 0.0


def read_panorama(properties: Mapping[str, str], width: int, height: int) -> GPano | None:
    """Return what GPano says; None where the photo does not say it is a panorama.

    Photo Sphere XMP Metadata, https://developers.google.com/streetview/spherical-metadata: PosePitchDegrees count
    above the horizon, for the centre of the image; as PoseRollDegrees increase, the horizon rotates counterclockwise
    in the image. Cropping leaves both as they are, so that they count for the whole panorama's centre. Without pixel
    counts an equirectangular picture of shape 2:1 is taken to be whole. Sizes count in the picture as it was made: it
    may have been resized since, so that only its shape is compared.
    """
    sized = any(f"GPano:{name}" in properties for name in _FIELDS)
    projection = properties.get("GPano:ProjectionType", "equirectangular" if sized else None)  # the format's default
    if projection is None or properties.get("GPano:UsePanoramaViewer", "true").lower() == "false":
        return None
    if projection.lower() != "equirectangular":
        return GPano(fault=f"GPano projection {projection!r}: only equirectangular is read")
    fault = _no_number(properties)
    sphere, why = (None, fault) if fault else _part(properties, width, height)
    pitch, roll, nonsense = _pose(properties)
    if sphere is None:
        return GPano(None, why, nonsense, pitch, roll)
    return GPano(sphere, None, "; ".join(note for note in (why, nonsense) if note) or None, pitch, roll)


def _pose(properties: Mapping[str, str]) -> tuple[float, float, str | None]:
    """Pitch, roll and what was left aside of them."""
    texts = [properties.get(f"GPano:Pose{name}Degrees", "0") for name in ("Pitch", "Roll")]
    pitch, roll = number(texts[0]), number(texts[1])
    if pitch is None or roll is None or abs(pitch) > 90 or abs(roll) > 360:
        return 0.0, 0.0, f"GPano pitch {texts[0]}, roll {texts[1]}: no angles, taken to be level"
    return pitch, 180 - (180 - roll) % 360, None


def _part(properties: Mapping[str, str], width: int, height: int) -> tuple[Sphere | None, str | None]:
    """Return (part of the sphere, what was guessed), or (None, why there is none)."""
    given = [number(properties.get(f"GPano:{name}")) for name in _FIELDS]
    if all(value is None for value in given):
        if not _near(float(width), 2.0 * height):
            return None, "GPano without sizes"
        return Sphere(0.0, 360.0, 90.0, -90.0), "GPano without sizes: taken for a whole sphere by its shape, 2:1"
    full_width, full_height, crop_width, crop_height, left, top = given
    # What is not said is whole, as the format has it.
    full_width = full_width or crop_width or float(width)
    full_height = full_height or full_width / 2
    crop_width, crop_height = crop_width or full_width, crop_height or full_height
    left, top = left or 0.0, top or 0.0
    full, crop = f"{full_width:g} x {full_height:g}", f"{crop_width:g} x {crop_height:g}"
    if not _near(full_width, 2 * full_height):
        return None, f"GPano whole of {full} px is not 2:1, as a sphere is"
    if not (_lies(left, crop_width, full_width) and _lies(top, crop_height, full_height)):
        return None, f"GPano crop {crop} at {left:g}, {top:g} lies outside {full}"
    if not _near(width * crop_height, height * crop_width):
        return None, f"GPano crop {crop} is another shape than {width} x {height} px"
    per_row = 180.0 / full_height
    span = min(360.0, 360.0 * crop_width / full_width)
    return Sphere(360.0 * left / full_width % 360, span, 90 - top * per_row, 90 - (top + crop_height) * per_row), None


def _no_number(properties: Mapping[str, str]) -> str | None:
    """What is said in pixels and cannot be; what is not said at all may be whole."""
    for name in _FIELDS:
        text = properties.get(f"GPano:{name}", "1")
        value = number(text)
        if value is None or (value <= 0 and name in _SIZES):
            return f"GPano {name} {text[:40]!r} is no number of pixels"
    return None


def _lies(start: float, length: float, whole: float) -> bool:
    return length > 0 and start >= -_ROUNDING and start + length <= whole + _ROUNDING


def _near(one: float, other: float) -> bool:
    return other > 0 and abs(one / other - 1) < 0.02
