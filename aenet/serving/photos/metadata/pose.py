"""What a photo says of itself: where it was taken, which way it looks, how wide, and what was left aside and why."""

import math
from dataclasses import dataclass, replace
from typing import Any

from aenet.io.errors import AenetError
from aenet.serving.photos.decoding import PhotoFile
from aenet.serving.photos.metadata.geotag import dji_position, exif_position, number, xmp_position
from aenet.serving.photos.metadata.header import Header, read_header, read_properties
from aenet.serving.photos.metadata.heading import Stated, camera_yaw, image_direction, panorama_heading, year_taken
from aenet.serving.photos.metadata.lens import GPano, Sphere, lens_field, read_panorama


@dataclass(frozen=True)
class Pose:
    """Position in WGS84 degrees (NaN where the photo has none) and heading of its centre column (0 where unknown)."""

    latitude: float = math.nan
    longitude: float = math.nan
    heading_deg: float = 0.0


@dataclass(frozen=True)
class Tilt:
    """How a camera was held: see `levelling`.

    Attributes:
        pitch_deg: elevation of the picture's (a cropped panorama's whole's) centre, in [-180, 180].
        roll_deg: by how much it was turned clockwise about the axis through that centre, in [-180, 180].
        source: gpano or dji.
    """

    pitch_deg: float
    roll_deg: float
    source: str


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
        latitude, longitude: WGS84 degrees, NaN where unknown; `position_from`: table, exif, xmp, dji or None.
        heading_deg: of the centre column, degrees clockwise from true north in [0, 360), None where unknown;
            `heading_from`: table, gpano, `exif true`, `exif magnetic` (corrected), the same with xmp, dji, or None.
        fov_deg: horizontal field of view in degrees, None where unknown; `fov_from`: table, exif or None.
        lens_deg: field of view of the lens that EXIF names, also where the picture has been cropped since.
        sphere: the part of the sphere it shows, where GPano says so; `sphere_fault`: why not, where it says that the
            picture is a panorama, and nothing that could be used.
        tilt: how the camera was held, None where unknown.
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
    lens_deg: float | None = None
    sphere: Sphere | None = None
    sphere_fault: str | None = None
    tilt: Tilt | None = None
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
    photo = replace(photo, year=year_taken(*_dates(header, properties)))
    photo = _headed(photo, header, properties, told, notes)
    panorama = read_panorama(properties, header.width, header.height)
    photo = _seen(photo, header, panorama, told, notes)
    photo = replace(photo, tilt=_tilt(properties, panorama, notes))
    return replace(photo, notes=tuple(note for note in notes if note))


def _dates(header: Header, properties: dict[str, str]) -> tuple[Any, ...]:
    exif = (header.exif.get(tag) for tag in (0x9003, 0x9004, 0x0132))
    xmp = (properties.get(name) for name in ("exif:DateTimeOriginal", "xmp:CreateDate", "photoshop:DateCreated"))
    return *exif, header.gps.get(29), *xmp


def _seen(photo: Photo, header: Header, panorama: GPano | None, told: Told, notes: list[str | None]) -> Photo:
    """What part of the sphere or how wide a field it shows."""
    if panorama is not None:
        notes.append(panorama.note)
        photo = replace(photo, sphere=panorama.sphere, sphere_fault=panorama.fault)
    fov, source = None, None
    if photo.sphere is None:
        lens = lens_field(header.exif, header.width, header.height)
        notes.append(lens.note)
        photo = replace(photo, lens_deg=lens.degrees)
        fov, source = (None, None) if lens.cropped or lens.degrees is None else (lens.degrees, "exif")
    if not math.isnan(told.fov_deg):
        fov, source = told.fov_deg, "table"
    return replace(photo, fov_deg=fov, fov_from=source)


def _tilt(properties: dict[str, str], panorama: GPano | None, notes: list[str | None]) -> Tilt | None:
    """How GPano or else the gimbal of a DJI drone says that the camera was held.

    DJI's angles count from the horizon upwards and clockwise, of the axes north, east, down, turned about z, then y,
    then x (Mavic 3M user manual, https://www.easymanua.ls/dji/mavic-3m/manual?p=89). Drones write those of the last
    of its shots into a panorama, too: there GPano's count.
    """
    if panorama is not None:
        level = panorama.pitch_deg == panorama.roll_deg == 0
        return None if level else Tilt(panorama.pitch_deg, panorama.roll_deg, "gpano")
    texts = [properties.get(f"drone-dji:Gimbal{name}Degree") for name in ("Pitch", "Roll")]
    if texts[0] is None:
        return None
    pitch, roll = number(texts[0]), number(texts[1] or "0")
    if pitch is None or roll is None or max(abs(pitch), abs(roll)) > 180:
        notes.append(f"DJI gimbal pitch {texts[0]}, roll {texts[1]}: no angles, taken to be level")
        return None
    return Tilt(pitch, roll, "dji") if pitch or roll else None


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
        ("dji", dji_position(properties)),
    ):
        if not math.isnan(latitude):
            notes.append(why)
            return replace(photo, latitude=latitude, longitude=longitude, position_from=source)
        notes.append(f"{why}: left aside" if why else None)
    return photo


def _headed(photo: Photo, header: Header, properties: dict[str, str], told: Told, notes: list[str | None]) -> Photo:
    """The first usable heading of table, GPano, EXIF, XMP and a DJI drone."""
    if not math.isnan(told.heading_deg):
        return replace(photo, heading_deg=told.heading_deg % 360, heading_from="table")
    place = photo.latitude, photo.longitude
    stated: tuple[Stated | None, ...] = (
        panorama_heading(properties),
        image_direction(header.gps.get(17), header.gps.get(16), place, photo.year, "exif"),
        image_direction(
            properties.get("exif:GPSImgDirection"), properties.get("exif:GPSImgDirectionRef"), place, photo.year, "xmp"
        ),
        camera_yaw(properties),
    )
    for found in stated:
        if found is not None:
            notes.append(found.note)
            if found.heading_deg is not None:
                return replace(photo, heading_deg=found.heading_deg, heading_from=found.source)
    return photo
