"""What a photo's best tiles amount to: a place, and how far it is to be trusted."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from aenet.card import Calibration
from aenet.geodesy import distance_m
from aenet.serving.galleries.gallery import Gallery
from aenet.serving.search.confidence import error_radius_m, in_reach, probabilities, spread_m, spread_out, within
from aenet.serving.search.search import Match

_AROUND = 1.5  # spacings: the best tile's neighbours on the grid, the diagonal ones too


@dataclass(frozen=True)
class Belief:
    """A place in WGS84 degrees; `confidence` to `spread_m` as in `schema.SCHEMA`, None without a calibration."""

    latitude: float
    longitude: float
    confidence: float | None = None
    radius_m: float | None = None
    spread_m: float | None = None


def believe(
    match: Match,
    gallery: Gallery,
    calibration: Calibration | None,
    matched: bool,
    seen: float,
    top_k: int,
    refine: bool,
) -> Belief:
    """Return the place that a match stands for.

    Args:
        matched: True if the heading was sought, too: then scores are worth less.
        seen: share of the horizon that the photo shows.
        top_k: tiles whose spread is told.
        refine: give the mean of the best tile and its neighbours, weighted by their probability.
    """
    latitude, longitude = (gallery.tiles[name].to_numpy(np.float64)[match.rows] for name in ("latitude", "longitude"))
    sharpness = calibration and (calibration.unknown if matched else calibration.known)
    if not sharpness:
        return Belief(float(latitude[0]), float(longitude[0]))
    # Columns are so many witnesses: with half of them the same cosine says half as much.
    probability = probabilities(match.scores[None], match.tiles, sharpness * seen)[0]
    place = float(latitude[0]), float(longitude[0])
    spacing_m = gallery.manifest.spacing_m
    distance = _from(place, latitude, longitude)
    if refine and spacing_m:
        place = _mean(latitude, longitude, probability, distance <= _AROUND * spacing_m)
        distance = _from(place, latitude, longitude)
    spread = spread_m(probability[:top_k], distance[:top_k])
    near = in_reach(probability, distance, spacing_m)
    probability, distance = spread_out(probability[near], distance[near], spacing_m)
    return Belief(*place, within(probability, distance), error_radius_m(probability, distance), spread)


def _from(
    place: tuple[float, float], latitude: Float[np.ndarray, " k"], longitude: Float[np.ndarray, " k"]
) -> Float[np.ndarray, " k"]:
    return distance_m(np.full(len(latitude), place[0]), np.full(len(longitude), place[1]), latitude, longitude)


def _mean(
    latitude: Float[np.ndarray, " k"],
    longitude: Float[np.ndarray, " k"],
    probability: Float[np.ndarray, " k"],
    among: np.ndarray,
) -> tuple[float, float]:
    share = probability[among] / probability[among].sum()
    east = (longitude[among] - longitude[0] + 180) % 360 - 180  # neighbours may lie across 180 degrees
    mean = float(longitude[0] + (share * east).sum())
    return float((share * latitude[among]).sum()), (mean + 180) % 360 - 180
