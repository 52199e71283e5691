"""Read photos: one look at the bytes gives digest, account and view, or the reason why there is none."""

import hashlib
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Bool, UInt8
from pydantic import Field

from aenet.io.errors import AenetError, UnreadableImage
from aenet.io.params import Config
from aenet.serving.photos.coverage import Coverage, Lens, Strip, Whole, coverage
from aenet.serving.photos.decoding import PhotoFile, decode_photo, opened
from aenet.serving.photos.levelling import is_dual_fisheye, level_sphere
from aenet.serving.photos.metadata.lens import NARROWEST_DEG
from aenet.serving.photos.metadata.pose import Photo, Pose, Tilt, Told, read_account
from aenet.serving.photos.placement import Placed, place
from aenet.view.images import read_image
from aenet.view.spec import NEUTRAL, Unseen, ViewSpec

Heading = Literal["auto", "north", "unknown"]
"""Which way photos look: as they say, else unknown; as they say, else north; or nothing they say counts."""
STEEP_DEG = 60.0  # up or down: there, columns of a photo are no azimuths any more
_ROUNDING_DEG = 1e-9
_OVERSAMPLED = 4  # a reduced JPEG keeps this many pixels for each of the view's


class PhotoOptions(Config):
    """How to take photos that are no whole panoramas.

    Attributes:
        partial: `place` puts photos that cover part of the horizon onto the canvas, the rest filled; `refuse` makes
            them error rows.
        fov_deg: horizontal field of view, degrees; it counts before EXIF and the picture's shape, but not before a
            table's or GPano's.
        vertical_deg: vertical field of the model's panoramas, symmetric about the horizon, degrees; see
            `placement.vertical_span`.
    """

    partial: Literal["refuse", "place"] = "place"
    fov_deg: float | None = Field(default=None, ge=NARROWEST_DEG, le=360)
    vertical_deg: float | None = Field(default=None, gt=0, le=180)


@dataclass(frozen=True)
class Reading:
    """One photo as read: its view and what of it is covered, or the reason why there is none.

    Attributes:
        photo: name in the photo list.
        sha256: of the file's bytes; None where they could not be read.
        account: what the photo says of itself.
        placed: the view on the model's canvas, None with a `reason`.
    """

    photo: str
    sha256: str | None
    account: Photo
    placed: Placed | None = None
    reason: str | None = None

    @property
    def pose(self) -> Pose:
        """Position and heading the photo says."""
        return self.account.pose

    @property
    def view(self) -> UInt8[np.ndarray, "h w 3"] | None:
        """The network's input."""
        return self.placed.pixels if self.placed else None

    @property
    def heading_deg(self) -> float | None:
        """True azimuth of the middle of what the photo shows, None where it is unknown."""
        return self.placed.heading_deg if self.placed else None

    @property
    def covered(self) -> Bool[np.ndarray, " w"] | None:
        """True for the view's columns that show the photo."""
        return self.placed.columns if self.placed else None


def read_photo(
    path: Path,
    name: str,
    view: ViewSpec,
    told: Told | None = None,
    options: PhotoOptions | None = None,
    size: int = -1,
    heading: Heading = "auto",
    unseen: Unseen = NEUTRAL,
) -> Reading:
    """Read one photo once: digest, account and view come from the same bytes and one parse of their header.

    Args:
        path: the file.
        name: what stands for it.
        view: the model's view.
        told: what a table says of it.
        options: see PhotoOptions.
        size: bytes it had when the job was planned; -1 where that is not known.
        heading: see Heading.
        unseen: how the model's view is completed where the photo shows nothing; by default as people are shown it.
    """
    try:
        content = read_image(path)
    except UnreadableImage as error:
        return Reading(name, None, Photo(), reason=str(error).removeprefix(f"{path}: "))
    if size not in (-1, len(content)):
        return Reading(name, None, Photo(), reason=_changed(size, len(content)))
    with opened(content) as file:
        reading = Reading(name, hashlib.sha256(content).hexdigest(), read_account(file, told))
        try:
            placed, notes = _placed(file, reading.account, view, options or PhotoOptions(), heading, unseen)
            account = replace(reading.account, notes=(*reading.account.notes, *notes))
            return replace(reading, account=account, placed=placed)
        except AenetError as error:
            return replace(reading, reason=str(error).removeprefix(": "))


def _placed(
    file: PhotoFile, account: Photo, view: ViewSpec, options: PhotoOptions, mode: Heading, unseen: Unseen
) -> tuple[Placed, tuple[str, ...]]:
    """Put a photo on the model's canvas, and say what was guessed or overruled to do so."""
    told = account.fov_deg if account.fov_from == "table" else None
    spans = account.sphere.width_deg if account.sphere else options.fov_deg or account.fov_deg
    share = (told or spans or 360.0) / 360
    pixels = decode_photo(
        file, math.ceil(_OVERSAMPLED * view.ground.width * min(share, 1.0)), _OVERSAMPLED * view.ground.height
    )
    covers, notes = coverage(account, pixels.shape[1], pixels.shape[0], options.fov_deg)
    if options.partial == "refuse" and not isinstance(covers, Whole):
        height, width = pixels.shape[:2]
        degrees = account.fov_deg or options.fov_deg or 360 * share
        raise AenetError(
            f"not a 360-degree panorama: {width} x {height} px that cover about {degrees:.0f} degrees, "
            "photos that show part of the horizon are not placed here"
        )
    heading = None if mode == "unknown" else account.heading_deg
    if heading is not None and isinstance(covers, Strip) and account.heading_from != "gpano":
        heading -= covers.centre_deg  # a table and EXIF mean the picture's middle, GPano the whole panorama's
    if heading is None and mode == "north":
        heading = 0.0
    _check(pixels, covers, account)
    tilt = account.tilt if _counts(account, covers) else None
    if tilt is not None:
        notes = (*notes, f"levelled: it was taken at {_said(tilt)}")
    elif account.tilt is not None:
        notes = (*notes, f"{account.tilt.source} {_said(account.tilt)} left aside: those of another picture")
    if tilt is not None and isinstance(covers, Whole) and abs(pixels.shape[1] / pixels.shape[0] / 2 - 1) < 0.02:
        pixels, tilt = level_sphere(pixels, tilt, 2 * _OVERSAMPLED * view.ground.width), None
    return place(pixels, covers, view, heading, options.vertical_deg, unseen, tilt), notes


def _counts(account: Photo, covers: Coverage) -> bool:
    """True if the pose that a photo tells is that of the picture: GPano's of a panorama, a gimbal's of one shot."""
    return account.tilt is not None and isinstance(covers, Lens) == (account.tilt.source == "dji")


def _said(tilt: Tilt) -> str:
    return f"a pitch of {tilt.pitch_deg:g} and a roll of {tilt.roll_deg:g} degrees"


def _check(pixels: UInt8[np.ndarray, "h w 3"], covers: Coverage, account: Photo) -> None:
    """Refuse what shows no horizon, or shows it in a projection that is not read."""
    if isinstance(covers, Whole) and is_dual_fisheye(pixels):
        raise AenetError(
            "two fisheye circles side by side, as a 360-degree camera takes them: stitch them to an equirectangular "
            "panorama first, with the camera's own program"
        )
    tilt = account.tilt
    if tilt is None or not isinstance(covers, Lens) or tilt.source != "dji":
        return
    elevation = math.degrees(math.asin(math.sin(math.radians(tilt.pitch_deg))))
    if abs(elevation) >= STEEP_DEG - _ROUNDING_DEG:
        where = "down" if elevation < 0 else "up"
        raise AenetError(f"looks steeply {where} (gimbal pitch {tilt.pitch_deg:g} degrees): such photos are not placed")


def _changed(planned: int, now: int) -> str:
    return f"changed since the job was planned: {planned:,} bytes then, {now:,} now: place it in another job"
