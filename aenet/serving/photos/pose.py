"""What a photo says of itself: where it was taken, which way it looks, how wide, and what was left aside and why."""

import math
from dataclasses import dataclass, replace

from aenet.errors import AenetError
from aenet.serving.photos.decoding import PhotoFile
from aenet.serving.photos.geotag import exif_position, xmp_position
from aenet.serving.photos.header import Header, read_header
from aenet.serving.photos.heading import Stated, image_direction, panorama_heading, year_taken
from aenet.serving.photos.lens import lens_field
from aenet.serving.photos.sphere import Sphere, read_sphere
from aenet.serving.photos.xmp import read_properties


@dataclass(frozen=True)
class Pose:
    """Position in WGS84 degrees (NaN where the photo has none) and heading of its centre column (0 where unknown)."""

    latitude: float = math.nan
    longitude: float = math.nan
    heading_deg: float = 0.0


@dataclass(frozen=True)
class Told:
    """What a table says of a photo, NaN where it says nothing; it overrides what the file says."""

    latitude: float = math.nan
    longitude: float = math.nan
    heading_deg: float = math.nan
    fov_deg: float = math.nan


@dataclass(frozen=True)
class Photo:
    """A photo's own account of itself, from its header and the table that lists it.

    Attributes:
        width, height: pixels of the upright picture; 0 where the header is unreadable.
        latitude, longitude: WGS84 degrees, NaN where unknown; `position_from`: table, exif, xmp or None.
        heading_deg: of the centre column, degrees clockwise from true north in [0, 360), None where unknown;
            `heading_from`: table, gpano, `exif true`, `exif magnetic` (corrected), the same with xmp, or None.
        fov_deg: horizontal field of view in degrees, None where unknown; `fov_from`: table, exif or None.
        sphere: the part of the sphere it shows, where GPano says so.
        year: decimal year it was taken, None where unknown.
        notes: what was corrected or left aside, and why, one sentence each.
    """

    width: int = 0
    height: int = 0
    latitude: float = math.nan
    longitude: float = math.nan
    position_from: str | None = None
    heading_deg: float | None = None
    heading_from: str | None = None
    fov_deg: float | None = None
    fov_from: str | None = None
    sphere: Sphere | None = None
    year: float | None = None
    notes: tuple[str, ...] = ()

    @property
    def pose(self) -> Pose:
        """Position and heading; an unknown heading counts as north here, as aligned panoramas have it."""
        return Pose(self.latitude, self.longitude, self.heading_deg or 0.0)


def read_account(file: PhotoFile, told: Told | None = None) -> Photo:
    """Return a photo's account of itself; never raises for what strangers write into their files.

    Args:
        file: the photo, opened.
        told: what the table says, if a table lists the photo.
    """
    told = told or Told()
    header, notes = read_header(file), []
    properties, fault = _properties(header)
    notes += [header.fault, fault]
    photo = Photo(width=header.width, height=header.height)
    photo = _placed(photo, header, properties, told, notes)
    dates = header.exif.get(0x9003), header.exif.get(0x9004), header.exif.get(0x0132), header.gps.get(29)
    photo = replace(photo, year=year_taken(*dates))
    photo = _headed(photo, header, properties, told, notes)
    sphere, why = read_sphere(properties, header.width, header.height)
    notes.append(why)
    fov, why = (None, None) if sphere else lens_field(header.exif, header.width, header.height)
    notes.append(why)
    source = "exif" if fov is not None else None
    if not math.isnan(told.fov_deg):
        fov, source = told.fov_deg, "table"
    return replace(photo, sphere=sphere, fov_deg=fov, fov_from=source, notes=tuple(note for note in notes if note))


def _properties(header: Header) -> tuple[dict[str, str], str | None]:
    if header.xmp is None:
        return {}, None
    try:
        return read_properties(header.xmp), None
    except AenetError as error:
        return {}, f"{error}: left aside"


def _placed(photo: Photo, header: Header, properties: dict[str, str], told: Told, notes: list[str | None]) -> Photo:
    if not (math.isnan(told.latitude) or math.isnan(told.longitude)):
        return replace(photo, latitude=told.latitude, longitude=told.longitude, position_from="table")
    for source, (latitude, longitude, why) in (
        ("exif", exif_position(header.gps)),
        ("xmp", xmp_position(properties)),
    ):
        if not math.isnan(latitude):
            return replace(photo, latitude=latitude, longitude=longitude, position_from=source)
        notes.append(f"{why}: left aside" if why else None)
    return photo


def _headed(photo: Photo, header: Header, properties: dict[str, str], told: Told, notes: list[str | None]) -> Photo:
    """The first usable heading of table, GPano, EXIF and XMP."""
    if not math.isnan(told.heading_deg):
        return replace(photo, heading_deg=told.heading_deg % 360, heading_from="table")
    place = photo.latitude, photo.longitude
    stated: tuple[Stated | None, ...] = (
        panorama_heading(properties),
        image_direction(header.gps.get(17), header.gps.get(16), place, photo.year, "exif"),
        image_direction(
            properties.get("exif:GPSImgDirection"), properties.get("exif:GPSImgDirectionRef"), place, photo.year, "xmp"
        ),
    )
    for found in stated:
        if found is not None:
            notes.append(found.note)
            if found.heading_deg is not None:
                return replace(photo, heading_deg=found.heading_deg, heading_from=found.source)
    return photo
