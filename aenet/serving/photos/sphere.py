"""Which part of the sphere a panorama shows, as its GPano metadata says."""

from collections.abc import Mapping
from dataclasses import dataclass

from aenet.serving.photos.geotag import number

_FIELDS = (
    "FullPanoWidthPixels", "FullPanoHeightPixels", "CroppedAreaImageWidthPixels", "CroppedAreaImageHeightPixels",
    "CroppedAreaLeftPixels", "CroppedAreaTopPixels",
)  # fmt: skip
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


def read_sphere(properties: Mapping[str, str], width: int, height: int) -> tuple[Sphere | None, str | None]:
    """Return (part of the sphere or None, why not); (None, None) where the photo does not say it is a panorama.

    Photo Sphere XMP Metadata, https://developers.google.com/streetview/spherical-metadata. Without pixel counts an
    equirectangular picture of shape 2:1 is whole. Sizes count in the picture as it was made: it may have been
    resized since, so that only its shape is compared.
    """
    projection = properties.get("GPano:ProjectionType")
    if projection is None or properties.get("GPano:UsePanoramaViewer", "true").lower() == "false":
        return None, None
    if projection.lower() != "equirectangular":
        return None, f"GPano projection {projection!r}: only equirectangular is read"
    given = [number(properties.get(f"GPano:{name}")) for name in _FIELDS]
    if all(value is None for value in given):
        whole = _near(float(width), 2.0 * height)
        return (Sphere(0.0, 360.0, 90.0, -90.0), None) if whole else (None, "GPano without sizes")
    full_width, full_height, crop_width, crop_height, left, top = given
    # What is not said is whole, as the format has it.
    full_width = full_width or crop_width or float(width)
    full_height = full_height or full_width / 2
    crop_width, crop_height = crop_width or full_width, crop_height or full_height
    left, top = left or 0.0, top or 0.0
    inside = (
        0 < crop_width <= full_width + _ROUNDING
        and crop_height > 0 and top >= -_ROUNDING and top + crop_height <= full_height + _ROUNDING
    )  # fmt: skip
    if not inside:
        return None, f"GPano crop {crop_width:g} x {crop_height:g} lies outside {full_width:g} x {full_height:g}"
    if not _near(width * crop_height, height * crop_width):
        return None, f"GPano crop {crop_width:g} x {crop_height:g} is another shape than {width} x {height} px"
    per_row = 180.0 / full_height
    span = min(360.0, 360.0 * crop_width / full_width)
    return Sphere(360.0 * left / full_width % 360, span, 90 - top * per_row, 90 - (top + crop_height) * per_row), None


def _near(one: float, other: float) -> bool:
    return other > 0 and abs(one / other - 1) < 0.02
