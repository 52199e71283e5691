"""Groups of neighbours: on the ground by a KD-tree, or by any table of who is near whom."""

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from aenet.errors import AenetError

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


def positions(pairs: pd.DataFrame) -> Float[np.ndarray, "n 3"]:
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
    """Return what `positions` does, NaN where there are no coordinates; `aerial_` asks for the tiles' centres."""
    names = (f"{prefix}latitude", f"{prefix}longitude")
    if not set(names) <= set(pairs.columns):
        return np.full((len(pairs), 3), np.nan)
    latitude, longitude = (np.radians(pairs[name].to_numpy(np.float64)) for name in names)
    polar = (1 - _FLATTENING) ** 2
    normal = _RADIUS_M / np.sqrt(np.cos(latitude) ** 2 + polar * np.sin(latitude) ** 2)
    across = normal * np.cos(latitude)
    return np.stack([across * np.cos(longitude), across * np.sin(longitude), polar * normal * np.sin(latitude)], axis=1)
