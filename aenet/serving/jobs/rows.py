"""One row per photo: what the nearest tiles say about where it was taken."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from aenet.data.card import Calibration
from aenet.data.distance import distance_m
from aenet.scoring.similarity import Query
from aenet.serving.galleries.gallery import Gallery
from aenet.serving.jobs.job import LocateOptions
from aenet.serving.photos.metadata.pose import Pose
from aenet.serving.photos.reading import Reading
from aenet.serving.search.answer import believe
from aenet.serving.search.search import Match

_UNCALIBRATED = (
    "no confidence and no error radius: the model's card has no calibration of this version; export the model again "
    "with the export_onnx stage, which fits one on the validation split"
)
_UNCALIBRATED_UNKNOWN = (
    "no confidence and no error radius: the model's calibration does not cover photos of unknown heading; export it "
    "again, or tell the heading"
)
NEIGHBOURS = 32  # tiles looked at for the margin: a grid has at most five within one spacing


def error_row(reading: Reading, reason: str, truth: np.ndarray) -> dict[str, Any]:
    """Return the row of a photo that could not be placed; `truth` is the table's latitude and longitude, or NaN."""
    known = _truth(truth, reading.pose)
    return {"photo": reading.photo, "status": "error", "reason": reason, **_account(reading), **known}


def placed_row(
    reading: Reading,
    query: Query,
    match: Match,
    gallery: Gallery,
    calibration: Calibration | None,
    options: LocateOptions,
    truth: np.ndarray,
) -> dict[str, Any]:
    """Return the row of a photo with its nearest tiles; `truth` is the table's latitude and longitude, or NaN."""
    scores, rows = match.scores, match.rows
    latitude, longitude = (gallery.tiles[name].to_numpy()[rows[:NEIGHBOURS]] for name in ("latitude", "longitude"))
    known = _truth(truth, reading.pose)
    belief = believe(match, gallery, calibration, not query.known, query.seen, options.top_k, options.refine)
    confidence, reason = belief.confidence, None
    if options.min_confidence is not None and confidence is not None and confidence < options.min_confidence:
        reason = f"confidence {confidence:.2f} is below the one asked for, {options.min_confidence:g}"
    missing = [] if confidence is not None else [_UNCALIBRATED if calibration is None else _UNCALIBRATED_UNKNOWN]
    return {
        "photo": reading.photo,
        "status": "abstain" if reason else "ok",
        "reason": reason,
        "latitude": belief.latitude,
        "longitude": belief.longitude,
        "score": float(scores[0]),
        "margin": _margin(scores[:NEIGHBOURS], latitude, longitude, gallery.separation_m),
        "tiles": gallery.tiles["tile_id"].array.take(rows[: options.top_k]).tolist(),
        "scores": scores[: options.top_k].tolist(),
        "heading_deg": match.heading_deg,
        "heading_from": _heading_from(reading, query),
        "confidence": confidence,
        "radius_m": belief.radius_m,
        "spread_m": belief.spread_m,
        "error_m": _error_m(belief.latitude, belief.longitude, known),
        **_account(reading, missing),
        **known,
    }


def _account(reading: Reading, more: Sequence[str] = ()) -> dict[str, str | None]:
    return {"photo_sha256": reading.sha256, "notes": "; ".join([*reading.account.notes, *more]) or None}


def _heading_from(reading: Reading, query: Query) -> str:
    if not query.known:
        return "matched"
    match reading.account.heading_from:
        case None:
            return "assumed north"
        case "table":
            return "table"
        case _:
            return "photo"


def _error_m(latitude: float, longitude: float, known: dict[str, float | None]) -> float | None:
    if known["true_latitude"] is None or known["true_longitude"] is None:
        return None
    there = np.array([known["true_latitude"]]), np.array([known["true_longitude"]])
    return float(distance_m(*there, np.array([latitude]), np.array([longitude]))[0])


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
