"""What part of the horizon a photo covers: all of it, a strip of a panorama, or what one lens sees."""

from dataclasses import dataclass

from aenet.io.errors import AenetError
from aenet.serving.photos.metadata.lens import NARROWEST_DEG, Sphere
from aenet.serving.photos.metadata.pose import Photo

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


def coverage(photo: Photo, width: int, height: int, fov_deg: float | None = None) -> tuple[Coverage, tuple[str, ...]]:
    """Return what a photo covers, and what was guessed or overruled to say so.

    The table's field of view counts first, then GPano, then `fov_deg`, then the lens in EXIF, then the shape: 1.9:1 or
    wider is a whole panorama. That last one is a guess, and said; nothing is guessed of a picture of that shape which
    names a lens or says how a drone's gimbal stood (a crop, or stitched of such photos), nor of one that GPano calls a
    panorama and describes as none can be.

    Args:
        photo: its account of itself.
        width, height: pixels of the upright picture as decoded.
        fov_deg: field of view that the user says, degrees.

    Raises:
        AenetError: the field of view is unknown, or narrower than a lens's.
    """
    covers, notes = _coverage(photo, width, height, fov_deg)
    if not isinstance(covers, Whole):
        spans = covers.width_deg if isinstance(covers, Strip) else covers.fov_deg
        if spans < NARROWEST_DEG:
            raise AenetError(f"covers {spans:.2g} degrees of the horizon, {NARROWEST_DEG:g} at least are needed")
    return covers, notes


def _coverage(photo: Photo, width: int, height: int, fov_deg: float | None) -> tuple[Coverage, tuple[str, ...]]:
    aspect = width / height
    aside = (f"{photo.sphere_fault}: left aside",) if photo.sphere_fault else ()
    if photo.fov_from == "table" and photo.fov_deg is not None:
        return _of_field(photo.fov_deg, aspect), aside
    if photo.sphere is not None:
        return _of_sphere(photo.sphere, aspect), ()
    if fov_deg is not None:
        return _of_field(fov_deg, aspect), (*aside, *_overruled(photo, aspect, fov_deg))
    if photo.sphere_fault is not None:
        raise AenetError(f"{photo.sphere_fault}: give `fov`, 360 if it goes all round")
    if photo.fov_deg is not None and aspect < PANORAMA_ASPECT:
        return Lens(photo.fov_deg), ()
    if photo.lens_deg is None and not _of_a_drone(photo) and aspect >= PANORAMA_ASPECT:
        return Whole(), (f"taken for 360 degrees by its shape alone ({aspect:.2f}:1): if it is not, give `fov`",)
    raise AenetError(_unknown(photo, width, height))


def _overruled(photo: Photo, aspect: float, fov_deg: float) -> tuple[str, ...]:
    """What the user's field of view stands against."""
    if photo.fov_deg is not None and abs(photo.fov_deg - fov_deg) > 1:
        return (f"`fov` {fov_deg:g} counts, not the lens of {photo.fov_deg:.0f} degrees in EXIF",)
    if photo.fov_deg is None and aspect >= PANORAMA_ASPECT and fov_deg < _WHOLE_DEG:
        return (f"`fov` {fov_deg:g} counts, not its shape ({aspect:.2f}:1, a panorama's)",)
    return ()


def _of_a_drone(photo: Photo) -> bool:
    return photo.tilt is not None and photo.tilt.source == "dji"


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
    across, down = (photo.width, photo.height) if photo.width else (width, height)  # not as it was decoded
    shape = f"{across} x {down} px is {width / height:.2f}:1"
    notes = f" ({'; '.join(photo.notes)})" if photo.notes else ""
    if width < MIN_ASPECT * height:
        return (
            f"field of view unknown: give `fov`, or a 360-degree panorama ({shape}, at least {MIN_ASPECT}:1 is "
            f"needed for that){notes}"
        )
    if width / height >= PANORAMA_ASPECT:
        of = f"a lens of {photo.lens_deg:.0f} degrees" if photo.lens_deg is not None else "the pose of a drone's gimbal"
        return (
            f"field of view unknown: a panorama's shape and {of}, stitched or cropped since ({shape}): give `fov`, 360 "
            f"if it goes all round{notes}"
        )
    return f"field of view unknown: {shape}, the shape of an ordinary photo: give `fov`, 360 for a panorama{notes}"
