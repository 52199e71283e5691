"""What part of the horizon a photo covers: all of it, a strip of a panorama, or what one lens sees."""

from dataclasses import dataclass

from aenet.errors import AenetError
from aenet.serving.photos.pose import Photo
from aenet.serving.photos.sphere import Sphere

MIN_ASPECT = 1.5  # what is narrower can be no panorama, whatever is said of it
PANORAMA_ASPECT = 1.9  # a whole sphere is 2:1, cropped ones are wider; cameras' own formats end at 16:9
STITCHED_ASPECT = 2.4  # no lens sees this shape: swept or stitched
WIDE_DEG = 150.0  # likewise
_WHOLE_DEG = 359.5


@dataclass(frozen=True)
class Whole:
    """All 360 degrees, from edge to edge."""


@dataclass(frozen=True)
class Strip:
    """Part of an equirectangular panorama: columns linear in azimuth, rows in elevation.

    Attributes:
        width_deg: azimuth it spans, (0, 360].
        centre_deg: azimuth of its middle relative to the direction its heading counts for, which is the centre of
            the whole panorama it was cropped from.
        top_deg, bottom_deg: elevation of its upper and lower edge.
    """

    width_deg: float
    centre_deg: float
    top_deg: float
    bottom_deg: float


@dataclass(frozen=True)
class Lens:
    """A rectilinear photo, its optical axis level and in the picture's centre.

    Attributes:
        fov_deg: horizontal field of view, (0, 150].
    """

    fov_deg: float


Coverage = Whole | Strip | Lens


def coverage(photo: Photo, width: int, height: int, fov_deg: float | None = None) -> Coverage:
    """Return what a photo covers.

    The table's field of view counts first, then GPano, then the lens, then the shape (1.9:1 or wider is a whole
    panorama), then `fov_deg`.

    Args:
        photo: its account of itself.
        width, height: pixels of the upright picture as decoded.
        fov_deg: field of view of photos that do not say theirs and are no panoramas by shape, degrees.

    Raises:
        AenetError: the field of view is unknown.
    """
    aspect = width / height
    if photo.fov_from == "table" and photo.fov_deg is not None:
        return _of_field(photo.fov_deg, aspect)
    if photo.sphere is not None:
        return _of_sphere(photo.sphere, aspect)
    if photo.fov_deg is not None and aspect <= STITCHED_ASPECT:
        return Lens(photo.fov_deg)
    if photo.fov_deg is None and aspect >= PANORAMA_ASPECT:
        return Whole()
    if fov_deg is not None:
        return _of_field(fov_deg, aspect)
    raise AenetError(_unknown(photo, width, height))


def _of_field(fov_deg: float, aspect: float) -> Coverage:
    if fov_deg >= _WHOLE_DEG:
        return Whole()
    if fov_deg > WIDE_DEG or aspect > STITCHED_ASPECT:
        half = min(90.0, fov_deg / aspect / 2)  # pixels as wide as high, the horizon in the middle
        return Strip(fov_deg, 0.0, half, -half)
    return Lens(fov_deg)


def _of_sphere(sphere: Sphere, aspect: float) -> Coverage:
    whole = sphere.width_deg >= _WHOLE_DEG and sphere.left_deg == 0
    if whole and sphere.top_deg >= 89.5 and sphere.bottom_deg <= -89.5 and abs(aspect / 2 - 1) < 0.02:
        return Whole()
    centre = (sphere.left_deg + sphere.width_deg / 2) % 360 - 180
    return Strip(sphere.width_deg, centre, sphere.top_deg, sphere.bottom_deg)


def _unknown(photo: Photo, width: int, height: int) -> str:
    shape = f"{width} x {height} px is {width / height:.2f}:1"
    notes = f" ({'; '.join(photo.notes)})" if photo.notes else ""
    if width < MIN_ASPECT * height:
        return (
            f"field of view unknown: give --fov, or a 360-degree panorama ({shape}, at least {MIN_ASPECT}:1 is "
            f"needed for that){notes}"
        )
    if width / height > STITCHED_ASPECT:
        return (
            f"field of view unknown: stitched from a lens of {photo.fov_deg:.0f} degrees "
            f"({shape}): give --fov, 360 if it goes all round{notes}"
        )
    return f"field of view unknown: {shape}, the shape of an ordinary photo: give --fov, 360 for a panorama{notes}"
