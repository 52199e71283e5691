"""Read photos: one look at the bytes gives digest, account and view, or the reason why there is none."""

import hashlib
import math
import stat
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Bool, UInt8
from pydantic import Field

from aenet.card import NEUTRAL, Unseen, ViewSpec
from aenet.errors import AenetError
from aenet.params import Config
from aenet.serving.photos.coverage import Strip, Whole, coverage
from aenet.serving.photos.decoding import PhotoFile, decode_photo, opened
from aenet.serving.photos.placement import Placed, place
from aenet.serving.photos.pose import Photo, Pose, Told, read_account

MAX_BYTES = 1_500_000_000  # more than any image of the pixel limit holds
Heading = Literal["auto", "north", "unknown"]
"""Which way photos look: as they say, else unknown; as they say, else north; or nothing they say counts."""
_OVERSAMPLED = 4  # a reduced JPEG keeps this many pixels for each of the view's


class PhotoOptions(Config):
    """How to take photos that are no whole panoramas.

    Attributes:
        partial: `place` puts photos that cover part of the horizon onto the canvas, the rest filled; `refuse` makes
            them error rows.
        fov_deg: horizontal field of view of photos that do not say theirs, degrees.
        vertical_deg: vertical field of the model's panoramas, symmetric about the horizon, degrees; see
            `placement.vertical_span`.
    """

    partial: Literal["refuse", "place"] = "place"
    fov_deg: float | None = Field(default=None, gt=0, le=360)
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
        content = _content(path, size)
    except OSError as error:
        return Reading(name, None, Photo(), reason=f"cannot be read ({error.strerror})")
    except AenetError as error:
        return Reading(name, None, Photo(), reason=str(error))
    with opened(content) as file:
        reading = Reading(name, hashlib.sha256(content).hexdigest(), read_account(file, told))
        try:
            placed = _placed(file, reading.account, view, options or PhotoOptions(), heading, unseen)
            return replace(reading, placed=placed)
        except AenetError as error:
            return replace(reading, reason=str(error).removeprefix(": "))


def _placed(
    file: PhotoFile, account: Photo, view: ViewSpec, options: PhotoOptions, mode: Heading, unseen: Unseen
) -> Placed:
    share = (account.sphere.width_deg if account.sphere else account.fov_deg or 360.0) / 360
    pixels = decode_photo(file, math.ceil(_OVERSAMPLED * view.width * min(share, 1.0)), _OVERSAMPLED * view.height)
    covers = coverage(account, pixels.shape[1], pixels.shape[0], options.fov_deg)
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
    return place(pixels, covers, view, heading, options.vertical_deg, unseen)


def _content(path: Path, size: int) -> bytes:
    """Return the bytes of a regular file of sane size: a pipe or a device would be read for ever."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise AenetError("not a regular file")
    if status.st_size > MAX_BYTES:
        raise AenetError(f"the file has {status.st_size / 1e6:,.0f} MB, the limit is {MAX_BYTES / 1e6:,.0f} MB")
    if size not in (-1, status.st_size):
        raise AenetError(
            f"changed since the job was planned: {size:,} bytes then, {status.st_size:,} now: place it in another job"
        )
    return path.read_bytes()
