"""Divide pairs without a split of their own: by blocks on the ground, so that no test place was seen in training."""

import numpy as np
import pandas as pd
from jaxtyping import Int
from pydantic import Field, model_validator

from aenet.data.distance import geocentric
from aenet.data.pairs import sharing
from aenet.ingest.verification import left_out
from aenet.io.errors import AenetError
from aenet.io.machine import need
from aenet.io.params import Config

_METRES_PER_DEGREE = 111_320.0  # along a meridian, WGS84, within 1 %: enough for the size of a block


class SplitConfig(Config):
    """How to divide pairs where the table says nothing.

    Attributes:
        val, test: shares of the pairs, between 0 and 1; the rest is for training.
        block_m: side in metres of the squares of ground that stay together.
        gap_m: pairs whose camera or tile's centre is nearer than this to that of a part held out are left out of the
            part before it: a tile shows its neighbours' ground too. At least the tiles' diagonal, where their size is
            known.
        seed: of the choice of blocks.
    """

    val: float = Field(default=0.1, gt=0, lt=1)
    test: float = Field(default=0.2, gt=0, lt=1)
    block_m: float = Field(default=500.0, gt=0)
    gap_m: float = Field(default=50.0, ge=0)
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _leaves_some(self) -> "SplitConfig":
        if self.val + self.test >= 1:
            raise ValueError(f"val {self.val} and test {self.test} leave nothing for training")
        return self


def divide(
    pairs: pd.DataFrame, config: SplitConfig, name: str, tile_size_m: float | None = None
) -> tuple[pd.DataFrame, pd.DataFrame, list[str]]:
    """Return the pairs with a column `split`, those left out near a border, and what the user should read.

    The same pairs come out whatever the order of the rows. Where a position is unknown the choice is pair by pair;
    pairs that share a tile or a panorama by name stay together then.

    Args:
        tile_size_m: side of the tiles on the ground; None: unknown.

    Raises:
        AenetError: a part would be empty.
    """
    pairs = pairs.sort_values("pair_id", ignore_index=True)
    located = bool(np.isfinite(pairs[["latitude", "longitude"]].to_numpy(dtype=np.float64)).all())
    groups = _blocks(pairs, config.block_m) if located else _sharing(pairs)
    split = _choose(groups, config)
    # Squares of this side whose centres are a diagonal apart cannot overlap, however they lie.
    gap_m = max(config.gap_m, 2**0.5 * (tile_size_m or 0.0))
    near = _near(pairs, split, gap_m) if located else np.zeros(len(pairs), dtype=bool)
    divided = pairs.assign(split=split)
    kept = divided[~near].reset_index(drop=True)
    counts = {part: int((kept["split"] == part).sum()) for part in ("train", "val", "test")}
    said = ", ".join(f"{part} {n}" for part, n in counts.items())
    if not all(counts.values()):
        raise AenetError(
            f"{name} has no split column, and its {len(pairs)} pairs in {len(np.unique(groups))} blocks divide into "
            f"{said}, {int(near.sum())} left out within {gap_m:g} m of a part held out: make "
            f"download.division.block_m ({config.block_m:g}) or gap_m ({config.gap_m:g}; at least a tile's diagonal) "
            "smaller, or add the column"
        )
    at_borders = left_out(divided[near], f"within {gap_m:g} m of a pair held out")
    how = (
        f"blocks of {config.block_m:g} m, {int(near.sum())} pairs left out within {gap_m:.4g} m of a part held out"
        if located
        else "pair by pair, for positions are missing: places of the test part may be seen in training"
    )
    notices = [f"{name} has no split column: divided by seed {config.seed} into {said} ({how})"]
    if located and tile_size_m is None:
        notices.append(
            "how many metres the tiles cover is not known (download.tile_size_m): that test tiles share ground with "
            f"training tiles cannot be excluded; the parts' tiles are {gap_m:g} m apart"
        )
    return kept, at_borders, notices


def _sharing(pairs: pd.DataFrame) -> Int[np.ndarray, " n"]:
    """Number the pairs; those that share a tile or a panorama, themselves or through others, have one number."""
    found = sharing(pairs)
    if not found.any:
        return np.arange(len(pairs))
    need("dividing pairs that share tiles", "scipy")
    from scipy.sparse import block_array, coo_array
    from scipy.sparse.csgraph import connected_components

    links = coo_array((np.ones(len(pairs)), (found.panorama, found.tile)), shape=(len(pairs), len(pairs)))
    # A graph of panoramas and tiles: these come after those.
    both = block_array([[None, links], [links.T, None]])
    return np.asarray(connected_components(both)[1][found.panorama], np.int64)


def _blocks(pairs: pd.DataFrame, side_m: float) -> Int[np.ndarray, " n"]:
    """The number of the square that each pair lies in."""
    latitude, longitude = (pairs[name].to_numpy(dtype=np.float64) for name in ("latitude", "longitude"))
    row = np.floor(latitude * _METRES_PER_DEGREE / side_m)
    # One width per row of squares, or neighbours in a row would not share their borders.
    width = _METRES_PER_DEGREE * np.cos(np.radians((row + 0.5) * side_m / _METRES_PER_DEGREE))
    column = np.floor(longitude * width / side_m)
    return np.unique(np.stack([row, column]), axis=1, return_inverse=True)[1].ravel()


def _choose(groups: Int[np.ndarray, " n"], config: SplitConfig) -> np.ndarray:
    """Fill the test part, then validation, with whole groups in random order."""
    sizes = np.bincount(groups)
    part = np.full(len(sizes), "train", dtype=object)
    wanted = {"test": config.test * len(groups), "val": config.val * len(groups)}
    order = iter(np.random.default_rng(config.seed).permutation(len(sizes)))
    for name, share in wanted.items():
        filled = 0
        while filled < share and (group := next(order, None)) is not None:
            part[group] = name
            filled += int(sizes[group])
    return np.asarray(part[groups])


def _near(pairs: pd.DataFrame, split: np.ndarray, gap_m: float) -> np.ndarray:
    """True for training pairs near a pair held out, and for validation pairs near a test pair: camera or tile.

    Distances are chords in space, which over a few hundred metres are those on the ground.
    """
    near = np.zeros(len(pairs), dtype=bool)
    if gap_m == 0:
        return near
    need("dividing pairs by where they are", "scipy")
    from scipy.spatial import cKDTree

    camera, tile = geocentric(pairs), geocentric(pairs, "aerial_")
    for xyz in (camera, np.where(np.isfinite(tile), tile, camera)):
        for part, held_out in (("train", ("val", "test")), ("val", ("test",))):
            mine, theirs = split == part, np.isin(split, held_out)
            if mine.any() and theirs.any():
                distance, _ = cKDTree(xyz[theirs]).query(xyz[mine], distance_upper_bound=gap_m)
                near[mine] |= np.isfinite(distance)
    return near
