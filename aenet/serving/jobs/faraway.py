"""Known places far from the map: then one of the two is wrong, latitude and longitude exchanged most likely."""

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from aenet.geodesy import distance_m
from aenet.serving.search.prior import Box, Near, OwnGps

FAR_M = 100_000.0  # no answer can be right there
Coverage = tuple[float, float, float, float]  # west, south, east, north in degrees; `west` above `east`: across 180


def far_lines(places: pd.DataFrame, prior: Near | Box | OwnGps | None, coverage: Coverage) -> tuple[str, ...]:
    """Say of known places and of the place searched around that they lie far from the map; nothing if they do not.

    Args:
        places: with true_latitude and true_longitude, missing where not known.
        prior: see `prior`.
        coverage: of the gallery.
    """
    known = places[["true_latitude", "true_longitude"]].dropna().to_numpy(np.float64)
    lines = [_of_photos(known, coverage)] if len(known) else []
    if isinstance(prior, Near):
        lines.append(_of_prior("--near", prior.latitude, prior.longitude, coverage))
    elif isinstance(prior, Box):
        across = 360 if prior.west > prior.east else 0
        middle = (prior.west + prior.east + across) / 2
        lines.append(_of_prior("--box", (prior.south + prior.north) / 2, (middle + 180) % 360 - 180, coverage))
    return tuple(line for line in lines if line)


def metres_away(places: Float[np.ndarray, "n 2"], coverage: Coverage) -> Float[np.ndarray, " n"]:
    """Return how far places (latitude, longitude in degrees) lie from a map's bounding box; 0 inside."""
    west, south, east, north = coverage
    latitude, longitude = places.T
    width = (east - west) % 360
    beyond = (longitude - west) % 360
    # Degrees east of the box, or west of it: whichever is less.
    edge = np.where(beyond <= width, longitude, np.where(beyond - width <= 360 - beyond, east, west))
    return distance_m(latitude, longitude, np.clip(latitude, south, north), edge)


def _of_photos(known: Float[np.ndarray, "n 2"], coverage: Coverage) -> str:
    away = metres_away(known, coverage)
    far = away > FAR_M
    if not far.any():
        return ""
    return (
        f"warning: {far.sum():,} of {len(known):,} known places of photos lie {away[far].min() / 1000:,.0f} km or more "
        f"from the map{_exchanged(known[far], coverage)}"
    )


def _of_prior(option: str, latitude: float, longitude: float, coverage: Coverage) -> str:
    place = np.array([[latitude, longitude]])
    away = float(metres_away(place, coverage)[0])
    if away <= FAR_M:
        return ""
    return f"warning: the place of {option} lies {away / 1000:,.0f} km from the map{_exchanged(place, coverage)}"


def _exchanged(far: Float[np.ndarray, "n 2"], coverage: Coverage) -> str:
    turned = far[np.abs(far[:, 1]) <= 90][:, ::-1]
    there: Bool[np.ndarray, " m"] = metres_away(turned, coverage) <= FAR_M
    if 2 * there.sum() > len(far):
        return ": with latitude and longitude exchanged they would lie on it or near"
    west, south, east, north = (f"{edge:.3f}" for edge in coverage)
    return f" ({west},{south},{east},{north}: west,south,east,north): one of the two is wrong"
