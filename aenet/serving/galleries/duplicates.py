"""Which places are there already: a search in cells on the globe, so that a million against a million takes seconds."""

import numpy as np
from jaxtyping import Bool, Float, Int64

from aenet.geodesy import distance_m

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
