"""Which part of the sphere a panorama shows, as its GPano metadata says."""

from collections.abc import Mapping
from dataclasses import dataclass

from aenet.serving.photos.geotag import number

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
class Panorama:
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


def read_panorama(properties: Mapping[str, str], width: int, height: int) -> Panorama | None:
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
        return Panorama(fault=f"GPano projection {projection!r}: only equirectangular is read")
    fault = _no_number(properties)
    sphere, why = (None, fault) if fault else _part(properties, width, height)
    pitch, roll, nonsense = _pose(properties)
    if sphere is None:
        return Panorama(None, why, nonsense, pitch, roll)
    return Panorama(sphere, None, "; ".join(note for note in (why, nonsense) if note) or None, pitch, roll)


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
