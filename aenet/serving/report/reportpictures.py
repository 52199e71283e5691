"""Which photos the report shows with pictures, and the pictures: as the model sees them, only larger.

What a photo does not show is grey here (`view.spec.NEUTRAL`), whatever the model is given there: people take it for
seen.
"""

import base64
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from aenet.data.views import turn_north
from aenet.io.machine import usable_cores
from aenet.serving.photos.metadata.pose import Told
from aenet.serving.photos.placement import Placed
from aenet.serving.photos.reading import PhotoOptions, read_photo
from aenet.view.images import encode_jpeg
from aenet.view.spec import ViewSpec

_WIDTH = 480  # pixels of a photo's picture
_AT_ONCE = 64


@dataclass(frozen=True)
class Picture:
    """A photo on the model's canvas.

    Attributes:
        uri: the picture as an address that holds it.
        start_deg, width_deg: covered azimuth from the picture's left edge.
        north: north is its centre, south its edges; else the middle of the photo is the centre.
    """

    uri: str
    start_deg: float
    width_deg: float
    north: bool


def choose_pictures(rows: pd.DataFrame, limit: int) -> list[int]:
    """Return the photos to show with pictures: all, or half the worst ones and the rest spread evenly."""
    placed = np.flatnonzero(rows["latitude"].notna())
    if len(placed) <= limit:
        return [int(at) for at in placed]
    known = rows["error_m"].notna().any()
    badness = rows["error_m"].fillna(-1) if known else -rows["margin"].fillna(np.inf)
    worst = placed[np.argsort(-badness.to_numpy(dtype=float)[placed], kind="stable")[: limit // 2]]
    others = np.setdiff1d(placed, worst)
    spread = others[np.linspace(0, len(others) - 1, limit - len(worst)).round().astype(int)]
    return sorted({int(at) for at in (*worst, *spread)})


def draw(
    rows: pd.DataFrame, photos: pd.DataFrame, chosen: list[int], view: ViewSpec, decoders: int, taken: PhotoOptions
) -> Iterator[tuple[int, Picture | None]]:
    """Yield (row, picture) of the chosen rows; None where the file is gone or another one since.

    Args:
        rows: places; where they have a `heading_deg` it turns the picture north.
        photos: the job's photo list, in the same order.
        chosen: row numbers.
        view: the model's view.
        decoders: threads; 0 means one per usable core.
        taken: how photos were taken that are no whole panoramas.
    """
    # Wider than high by what the model takes, so that nothing is seen here that it does not see.
    height = max(1, round(view.ground.height * _WIDTH / view.ground.width))
    larger = view.model_copy(update={"ground": view.ground.model_copy(update={"width": _WIDTH, "height": height})})
    headings = rows["heading_deg"].to_numpy(dtype=float) if "heading_deg" in rows else np.full(len(rows), np.nan)
    told = photos[["true_latitude", "true_longitude", "heading_deg", "fov_deg"]].to_numpy(dtype=np.float64)

    def one(at: int) -> Picture | None:
        path = Path(os.fsdecode(photos["path"].iloc[at]))
        reading = read_photo(path, "", larger, Told(*map(float, told[at])), taken)
        digest = rows["photo_sha256"].iloc[at]
        same = not isinstance(digest, str) or digest == reading.sha256
        return _picture(reading.placed, float(headings[at])) if reading.placed and same else None

    with ThreadPoolExecutor(decoders or usable_cores()) as pool:
        for part in (chosen[start : start + _AT_ONCE] for start in range(0, len(chosen), _AT_ONCE)):
            yield from zip(part, pool.map(one, part), strict=True)


def _picture(placed: Placed, heading_deg: float) -> Picture:
    """Encode a canvas, turned to what the answer says of the photo's heading; NaN where it says nothing."""
    pixels, start, own = placed.pixels, placed.start_deg, placed.heading_deg
    if np.isfinite(heading_deg):
        turn = heading_deg - (own or 0.0)
        pixels, start = turn_north(pixels, turn), (start + turn) % 360
    north = own is not None or bool(np.isfinite(heading_deg))
    return Picture(data_uri(encode_jpeg(pixels, quality=75)), start, placed.width_deg, north)


def data_uri(jpeg: bytes) -> str:
    """Return a picture as an address that holds it."""
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()
