"""Distances on the Earth, always geodesic, degrees in and metres out; and who is near whom."""

from functools import lru_cache

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int, Int64
from pyproj import Geod

from aenet.io.errors import AenetError


@lru_cache(maxsize=1)
def _wgs84() -> Geod:
    return Geod(ellps="WGS84")


def distance_m(
    latitude: Float[np.ndarray, " n"],
    longitude: Float[np.ndarray, " n"],
    other_latitude: Float[np.ndarray, " n"],
    other_longitude: Float[np.ndarray, " n"],
) -> Float[np.ndarray, " n"]:
    """Return the WGS84 geodesic distance in metres between earth_centred in degrees, pair by pair."""
    _, _, metres = _wgs84().inv(longitude, latitude, other_longitude, other_latitude)
    return np.asarray(metres, dtype=np.float64)


# Groups of neighbours: on the ground by a KD-tree, or by any table of who is near whom.

# WGS84 (NIMA TR8350.2): equatorial radius in metres, flattening.
_RADIUS_M, _FLATTENING = 6378137.0, 1 / 298.257223563


def group_neighbours(
    order: Int[np.ndarray, " n"], neighbours: Int[np.ndarray, "n k"], size: int
) -> list[Int[np.ndarray, " g"]]:
    """Cut all pairs into groups of at most `size`: each anchor, in `order`, with its nearest that are still free."""
    free = np.ones(len(order), dtype=bool)
    groups = []
    for anchor in order:
        if not free[anchor]:
            continue
        free[anchor] = False
        chosen = [row for row in neighbours[anchor] if free[row]][: size - 1]
        free[chosen] = False
        groups.append(np.array([anchor, *chosen]))
    return groups


def joined(groups: list[Int[np.ndarray, " _"]], size: int, generator: np.random.Generator) -> Int[np.ndarray, " n"]:
    """Return all groups in a row, shuffled; the smaller ones are joined to whole ones, and what is left ends the row.

    With one size for all, a batch of a multiple of it cuts no group in two. One small group early in the epoch would
    shift all that follow.
    """
    rest = np.concatenate([np.empty(0, np.int64), *(group for group in groups if len(group) < size)])
    even = [group for group in groups if len(group) == size]
    even += [rest[start : start + size] for start in range(0, len(rest) - size + 1, size)]
    last = rest[len(rest) // size * size :]
    return np.concatenate([*(even[number] for number in generator.permutation(len(even))), last])


def ground_neighbours(
    xyz_m: Float[np.ndarray, "n 3"], size: int, generator: np.random.Generator
) -> list[Int[np.ndarray, " g"]]:
    """Cut all positions into groups of `size` neighbours; only the last group may be smaller.

    Those whose neighbours are taken come again among themselves, with a tree of their own: n log n each time, and
    at least one group is whole.
    """
    from scipy.spatial import cKDTree  # serving does without

    left, groups = np.arange(len(xyz_m)), []
    while len(left):
        size = min(size, len(left))
        # Ranks numbered from 1 in a list, so that one neighbour too comes with an axis.
        _, near = cKDTree(xyz_m[left]).query(xyz_m[left], k=list(range(1, min(2 * size, len(left)) + 1)))
        found = group_neighbours(generator.permutation(len(left)), near.astype(np.int64), size)
        whole = [left[group] for group in found if len(group) == size]
        groups += whole
        left = np.setdiff1d(left, np.concatenate(whole))
    return groups


def earth_centred(pairs: pd.DataFrame) -> Float[np.ndarray, "n 3"]:
    """Return where the cameras stand: Earth-centred coordinates in metres, on the ellipsoid.

    Chords between them order neighbours as geodesics do, across the date line and at the poles too.

    Raises:
        AenetError: a pair has no coordinates.
    """
    found = geocentric(pairs)
    if missing := int(np.isnan(found).any(1).sum()):
        raise AenetError(
            f"{missing} of {len(pairs)} pairs have no coordinates, and geographic batches are made of neighbours: "
            "set train.sampling.kind to random, or to similarity with `before: random`"
        )
    return found


def geocentric(pairs: pd.DataFrame, prefix: str = "") -> Float[np.ndarray, "n 3"]:
    """Return what `earth_centred` does, NaN where there are no coordinates; `aerial_` asks for the tiles' centres."""
    names = (f"{prefix}latitude", f"{prefix}longitude")
    if not set(names) <= set(pairs.columns):
        return np.full((len(pairs), 3), np.nan)
    latitude, longitude = (np.radians(pairs[name].to_numpy(np.float64)) for name in names)
    polar = (1 - _FLATTENING) ** 2
    normal = _RADIUS_M / np.sqrt(np.cos(latitude) ** 2 + polar * np.sin(latitude) ** 2)
    across = normal * np.cos(latitude)
    return np.stack([across * np.cos(longitude), across * np.sin(longitude), polar * normal * np.sin(latitude)], axis=1)


# Which places are there already: a search in cells on the globe, so that a million against a million takes seconds.

_METRES_PER_DEGREE = 110_500.0  # of latitude, at the least: cells are never smaller than they should be
_SHIFT = 1 << 32  # more cells than a band around the globe can have


def near(known: Float[np.ndarray, "n 2"], asked: Float[np.ndarray, "m 2"], reach_m: float) -> Bool[np.ndarray, " m"]:
    """Return which of the places `asked` lie nearer than `reach_m` metres to one that is known.

    Args:
        known, asked: latitude and longitude in degrees.
        reach_m: geodesic metres; at least a decimetre.
    """
    cell = reach_m / _METRES_PER_DEGREE  # degrees of latitude
    known_cells = _cells(_bands(known, cell), known[:, 1], cell)
    order = np.argsort(known_cells, kind="stable")
    known, known_cells = known[order], known_cells[order]
    found = np.zeros(len(asked), np.bool_)
    for north in (-1, 0, 1):
        bands = _bands(asked, cell) + north
        for east in (-1, 0, 1):
            cells = _cells(bands, asked[:, 1], cell, east)
            first, last = (np.searchsorted(known_cells, cells, side=side) for side in ("left", "right"))
            # As many turns as the fullest cell has places: few, for centres of a grid lie apart.
            while len(rows := np.flatnonzero((first < last) & ~found)):
                other = known[first[rows]]
                found[rows] = distance_m(asked[rows, 0], asked[rows, 1], other[:, 0], other[:, 1]) < reach_m
                first = first + 1
    return found


def _bands(places: Float[np.ndarray, "n 2"], cell: float) -> Int64[np.ndarray, " n"]:
    return np.floor((places[:, 0] + 90) / cell).astype(np.int64)


def _cells(
    bands: Int64[np.ndarray, " n"], longitude: Float[np.ndarray, " n"], cell: float, east: int = 0
) -> Int64[np.ndarray, " n"]:
    """Number the cells of a band so that none is narrower than a band is high, and the last meets the first."""
    edges = np.stack([bands * cell - 90, (bands + 1) * cell - 90])
    shortest = np.cos(np.radians(np.clip(np.abs(edges).max(axis=0), 0, 90)))
    around = np.maximum(np.floor(360 * shortest / cell), 1).astype(np.int64)
    number = np.floor((longitude % 360) / 360 * around).astype(np.int64) + east
    return np.asarray(bands * _SHIFT + number % around, np.int64)
