"""One row per photo: what the nearest tiles say about where it was taken."""

import math
from typing import Any

import numpy as np
import pyarrow as pa

from aenet.geodesy import distance_m
from aenet.serving.gallery import Gallery
from aenet.serving.pose import Pose

NEIGHBOURS = 32  # tiles looked at for the margin: a grid has at most five within one spacing
SCHEMA = pa.schema(
    [
        ("photo", pa.string()),
        ("status", pa.string()),
        ("latitude", pa.float64()),
        ("longitude", pa.float64()),
        ("score", pa.float32()),
        ("margin", pa.float32()),
        ("tiles", pa.list_(pa.string())),
        ("scores", pa.list_(pa.float32())),
        ("reason", pa.string()),
        ("true_latitude", pa.float64()),
        ("true_longitude", pa.float64()),
        ("error_m", pa.float64()),
        ("photo_sha256", pa.string()),
    ]
)
"""The columns of a places table.

    photo           name in the photo list
    status          `ok`, or `error` (then `reason` says why and the place is null); `abstain` is reserved
    latitude, longitude   WGS84 degrees of the best tile's centre
    score           cosine similarity of photo and best tile, in [-1, 1]
    margin          score minus that of the best tile of another place, that is one farther from the best tile than
                    the gallery's spacing (a data set's tiles: half a tile). Where all of the first 32 tiles are the
                    same place it is taken from the last of them and is a lower bound; null with a single tile.
    tiles, scores   the best tiles, best first
    true_latitude, true_longitude   where it is known to be taken: the table's columns, else EXIF GPS; never used
                    for the search
    error_m         geodesic metres from the truth
    photo_sha256    digest of the file's bytes as read
"""


def error_row(photo: str, sha256: str | None, reason: str, truth: np.ndarray, pose: Pose) -> dict[str, Any]:
    """Return the row of a photo that could not be placed."""
    return {"photo": photo, "status": "error", "reason": reason, "photo_sha256": sha256, **_truth(truth, pose)}


def placed_row(
    photo: str,
    sha256: str | None,
    scores: np.ndarray,
    rows: np.ndarray,
    gallery: Gallery,
    top_k: int,
    truth: np.ndarray,
    pose: Pose,
) -> dict[str, Any]:
    """Return the row of a photo whose nearest tiles are `rows` (best first) with `scores`."""
    latitude, longitude = (gallery.tiles[name].to_numpy()[rows] for name in ("latitude", "longitude"))
    known = _truth(truth, pose)
    error = None
    if known["true_latitude"] is not None:
        there = np.array([known["true_latitude"]]), np.array([known["true_longitude"]])
        error = float(distance_m(*there, latitude[:1], longitude[:1])[0])
    return {
        "photo": photo,
        "status": "ok",
        "latitude": float(latitude[0]),
        "longitude": float(longitude[0]),
        "score": float(scores[0]),
        "margin": _margin(scores, latitude, longitude, gallery.separation_m),
        "tiles": gallery.tiles["tile_id"].to_numpy()[rows[:top_k]].tolist(),
        "scores": scores[:top_k].tolist(),
        "photo_sha256": sha256,
        "error_m": error,
        **known,
    }


def _margin(scores: np.ndarray, latitude: np.ndarray, longitude: np.ndarray, separation_m: float) -> float | None:
    if len(scores) == 1:
        return None
    best = np.full(len(scores), latitude[0]), np.full(len(scores), longitude[0])
    # One per cent of grace: direct neighbours on a grid are one spacing away, give or take rounding.
    elsewhere = np.flatnonzero(distance_m(*best, latitude, longitude) > 1.01 * separation_m)
    rival = elsewhere[0] if len(elsewhere) else -1
    return float(scores[0] - scores[rival])


def _truth(truth: np.ndarray, pose: Pose) -> dict[str, float | None]:
    """The table's position if it has one, else the photo's own."""
    pair = tuple(float(value) for value in truth)
    if any(math.isnan(value) for value in pair):
        pair = (pose.latitude, pose.longitude)
    known = not any(math.isnan(value) for value in pair)
    return {"true_latitude": pair[0] if known else None, "true_longitude": pair[1] if known else None}
