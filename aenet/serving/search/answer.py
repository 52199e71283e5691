"""What a photo's best tiles amount to: a place, and how far it is to be trusted."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int64

from aenet.data.card import Calibration
from aenet.data.distance import distance_m
from aenet.scoring.confidence import NEAR_M, Cell, cell_of, error_radius_m, probabilities, probability_within, spread_m
from aenet.serving.galleries.gallery import Gallery
from aenet.serving.maps.quantities import LatLon
from aenet.serving.search.search import Match

_AROUND = 1.5  # spacings: the best tile's neighbours on the grid, the diagonal ones too


@dataclass(frozen=True)
class Belief:
    """A place in WGS84 degrees; `confidence` to `spread_m` as in `outputs.SCHEMA`, None without a calibration."""

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
    latitude, longitude = _centres(gallery, match.rows)
    acuity = calibration and (calibration.unknown if matched else calibration.known)
    if not acuity:
        return Belief(float(latitude[0]), float(longitude[0]))
    rest, spacing_m = match.rest, gallery.manifest.spacing_m
    cell = cell_of(spacing_m)
    sharpness = seen * acuity.sharpness_at(spacing_m)
    points = probabilities(match.scores, rest.scores, rest.tiles, cell, acuity, sharpness)
    probability = points.sum(1)
    place = float(latitude[0]), float(longitude[0])
    distance = _from(place, latitude, longitude)
    if refine and spacing_m:
        place = _mean(latitude, longitude, probability, distance <= _AROUND * spacing_m)
        distance = _from(place, latitude, longitude)
    spread = spread_m(probability[:top_k], distance[:top_k])
    far = _from(place, *_centres(gallery, rest.rows))
    share = acuity.circle_at(spacing_m)
    held = _spread_out(points, distance, cell, share)
    # What no listed tile holds lies anywhere that was searched.
    unlisted = np.full(len(far), max(0.0, 1 - float(probability.sum())) / max(1, len(far)))
    radius = error_radius_m(np.concatenate([held[0], unlisted]), np.concatenate([held[1], far]), share)
    return Belief(*place, probability_within(*held), radius, spread)


def _spread_out(
    points: Float[np.ndarray, "k p"], distance: Float[np.ndarray, " k"], cell: Cell, share: float
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Return probabilities and distances from the answer of the cells' points.

    Cells that neither circle's edge can cross stay whole because most listed tiles are far away. The larger circle is
    taken to hold more than `share`, to be sure that it is larger.
    """
    probability = points.sum(1)
    order = np.argsort(distance)
    reached = int(np.searchsorted(np.cumsum(probability[order]), (1 + share) / 2))
    edge = max(NEAR_M, float(distance[order[min(reached, len(order) - 1)]])) + 2 * cell.radius_m
    near = distance <= edge + cell.radius_m
    out = points[near].ravel(), cell.distance_m(distance[near]).ravel()
    return np.concatenate([out[0], probability[~near]]), np.concatenate([out[1], distance[~near]])


def _centres(
    gallery: Gallery, rows: Int64[np.ndarray, " k"]
) -> tuple[Float[np.ndarray, " k"], Float[np.ndarray, " k"]]:
    latitude, longitude = (gallery.tiles[name].to_numpy(np.float64)[rows] for name in ("latitude", "longitude"))
    return latitude, longitude


def _from(
    place: LatLon, latitude: Float[np.ndarray, " k"], longitude: Float[np.ndarray, " k"]
) -> Float[np.ndarray, " k"]:
    return distance_m(np.full(len(latitude), place[0]), np.full(len(longitude), place[1]), latitude, longitude)


def _mean(
    latitude: Float[np.ndarray, " k"],
    longitude: Float[np.ndarray, " k"],
    probability: Float[np.ndarray, " k"],
    among: np.ndarray,
) -> LatLon:
    share = probability[among] / probability[among].sum()
    east = (longitude[among] - longitude[0] + 180) % 360 - 180  # neighbours may lie across 180 degrees
    mean = float(longitude[0] + (share * east).sum())
    return float((share * latitude[among]).sum()), (mean + 180) % 360 - 180
