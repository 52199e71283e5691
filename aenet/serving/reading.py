"""Read photos: one look at the bytes gives digest, pose and view, or the reason why there is none."""

import hashlib
import os
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from jaxtyping import UInt8

from aenet.card import ViewSpec
from aenet.cores import usable_cores
from aenet.errors import AenetError
from aenet.images import decode_bytes
from aenet.serving.pose import Pose, read_pose
from aenet.serving.views import photo_view

MAX_BYTES = 1_500_000_000  # more than any image of the pixel limit holds


@dataclass(frozen=True)
class Reading:
    """One photo as read: its view, or the reason why there is none."""

    photo: str
    sha256: str | None
    pose: Pose
    view: UInt8[np.ndarray, "h w 3"] | None = None
    reason: str | None = None


def read_photo(path: Path, name: str, view: ViewSpec) -> Reading:
    """Read one photo once: digest, pose and view come from the same bytes."""
    try:
        content = _content(path)
    except OSError as error:
        return Reading(name, None, Pose(), reason=f"cannot be read ({error.strerror})")
    except AenetError as error:
        return Reading(name, None, Pose(), reason=str(error))
    reading = Reading(name, hashlib.sha256(content).hexdigest(), read_pose(content))
    try:
        return replace(reading, view=photo_view(decode_bytes(content, ""), view, reading.pose.heading_deg))
    except AenetError as error:
        return replace(reading, reason=str(error).removeprefix(": "))


def _content(path: Path) -> bytes:
    """Return the bytes of a regular file of sane size: a pipe or a device would be read for ever."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise AenetError("not a regular file")
    if status.st_size > MAX_BYTES:
        raise AenetError(f"the file has {status.st_size / 1e6:,.0f} MB, the limit is {MAX_BYTES / 1e6:,.0f} MB")
    return path.read_bytes()


def read_photos(photos: pd.DataFrame, view: ViewSpec, batch_size: int, threads: int) -> Iterator[list[Reading]]:
    """Yield the readings of a photo list in order, `batch_size` at a time; the next are decoded meanwhile.

    Args:
        photos: rows of `photos.list_photos`.
        view: the model's view.
        batch_size: photos in a batch; the last may be smaller.
        threads: decoders; 0 means one per usable core.
    """
    names, paths = list(photos["photo"]), [Path(os.fsdecode(path)) for path in photos["path"]]
    cv2.setNumThreads(1)  # two pools at once (OpenCV's and ours) are slower than one
    with ThreadPoolExecutor(threads or usable_cores()) as pool:
        jobs = [pool.submit(read_photo, path, name, view) for path, name in zip(paths, names, strict=True)]
        for start in range(0, len(jobs), batch_size):
            yield [future.result() for future in jobs[start : start + batch_size]]
