"""The pair table: one row per ground panorama and its satellite tile, the same for every data set."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from aenet.data.distance import geocentric
from aenet.io.artifacts import MANIFEST, read_manifest
from aenet.io.atomic import write_parquet
from aenet.io.errors import AenetError
from aenet.io.plainfiles import check_plain, no_parquet

COLUMNS = (
    "pair_id",
    "split",
    "ground",
    "aerial",
    "latitude",
    "longitude",
    "aerial_latitude",
    "aerial_longitude",
    "heading_deg",
)
# Added where files of different names hold the same bytes; the same text where rows share the file's contents.
SHARED_COLUMNS = ("ground_id", "aerial_id")
SPLITS = ("train", "val", "test")
_NUMBERS = COLUMNS[4:]
_LIMITS = {"latitude": 90, "longitude": 180, "aerial_latitude": 90, "aerial_longitude": 180, "heading_deg": 360}


def write_pairs(path: Path, pairs: pd.DataFrame) -> None:
    """Check and write a pair table (WGS84 degrees; NaN where the data set has no value)."""
    write_parquet(path, check_pairs(pairs, str(path)))


def read_pairs(path: Path) -> pd.DataFrame:
    """Read and check a pair table; `ground` and `aerial` are paths relative to `image_root`."""
    if not path.exists():
        raise AenetError(f"{path} does not exist: run the download stage first")
    check_plain(path)
    try:
        pairs = pd.read_parquet(path)
    except (OSError, ValueError) as error:  # pyarrow's own errors are of these two families
        raise AenetError(f"{path} is not a readable Parquet table ({no_parquet(path)})") from error
    return check_pairs(pairs, str(path))


def image_root(folder: Path) -> Path:
    """Return the folder that `ground` and `aerial` of the data set in `folder` are relative to.

    It is `folder` itself, or where its manifest says that the images lie.

    Raises:
        AenetError: that folder is no longer there.
    """
    if not (folder / MANIFEST).exists():
        return folder
    root = Path(read_manifest(folder).meta.get("images", {}).get("root", folder))
    if not root.is_dir():
        raise AenetError(
            f"the images of {folder} lay in {root}, which is not there: bring them back, or set download.source to "
            "where they are now and run `dvc repro --force --single-item download`"
        )
    return root


def check_pairs(pairs: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return the table with its columns in order.

    Raises:
        AenetError: a column is missing, an id stands twice or is missing, a path is no text, a split is unknown,
            or a coordinate is no number or impossible.
    """
    if missing := [column for column in COLUMNS if column not in pairs.columns]:
        raise AenetError(f"{name}: the pair table lacks the column(s) {', '.join(missing)}")
    if pairs["pair_id"].isna().any():
        raise AenetError(f"{name}: {int(pairs['pair_id'].isna().sum())} rows have no pair_id")
    if (twice := pairs["pair_id"].duplicated()).any():
        raise AenetError(f"{name}: pair_id {pairs['pair_id'][twice].iloc[0]!r} stands twice; ids must be unique")
    shared = [column for column in SHARED_COLUMNS if column in pairs.columns]
    for column in ("ground", "aerial", *shared):
        if not all(isinstance(value, str) and value for value in pairs[column]):
            raise AenetError(f"{name}: the column {column} must hold the path of a file in every row")
    if unknown := set(pairs["split"]) - set(SPLITS):
        raise AenetError(f"{name}: unknown split(s) {sorted(unknown)}; known: {', '.join(SPLITS)}")
    try:
        pairs = pairs.astype(dict.fromkeys(_NUMBERS, np.float64))[[*COLUMNS, *shared]]
    except (TypeError, ValueError) as error:
        raise AenetError(f"{name}: {', '.join(_NUMBERS)} must be numbers in every row") from error
    for column, limit in _LIMITS.items():
        values = pairs[column].to_numpy()
        if (outside := np.abs(values) > limit).any():
            raise AenetError(f"{name}: {column} {values[outside][0]} is outside +-{limit} degrees")
    return pairs


# Pairs that show the same: one tile that several panoramas look at, one panorama with several tiles (as VIGOR has).
#
# Two rows share a tile where their `aerial_id` is the same, and a panorama where their `ground_id` is: columns that the
# download stage adds where files of different names hold the same bytes. Without them the paths tell.

IDS = {"ground": "ground_id", "aerial": "aerial_id"}


@dataclass(frozen=True)
class Sharing:
    """Who shares what in one pair table of n rows.

    Attributes:
        tile, panorama: a number for each; the same where rows share it.
        matches: of every panorama and each of its tiles panorama * n + tile, in order.
    """

    tile: Int[np.ndarray, " n"]
    panorama: Int[np.ndarray, " n"]
    matches: Int[np.ndarray, " m"]

    @property
    def any(self) -> bool:
        """Whether a tile or a panorama stands in more than one row."""
        rows = len(self.tile)
        return rows > 0 and (int(self.tile.max()) < rows - 1 or int(self.panorama.max()) < rows - 1)

    @property
    def repeated(self) -> Bool[np.ndarray, " n"]:
        """True where the tile stands in a row before."""
        out = np.ones(len(self.tile), bool)
        out[np.unique(self.tile, return_index=True)[1]] = False
        return out

    def right(self, ground: Int[np.ndarray, "..."], aerial: Int[np.ndarray, "..."]) -> Bool[np.ndarray, "..."]:
        """Return whether the tiles of rows `aerial` answer the panoramas of rows `ground`."""
        wanted = self.panorama[ground] * len(self.tile) + self.tile[aerial]
        found = np.searchsorted(self.matches, wanted)
        return np.asarray(self.matches[np.minimum(found, len(self.matches) - 1)] == wanted)


def sharing(pairs: pd.DataFrame) -> Sharing:
    """Find rows that share a tile or a panorama."""
    tile, panorama = (_numbers(pairs, view) for view in ("aerial", "ground"))
    return Sharing(tile, panorama, np.unique(panorama * len(pairs) + tile))


def _numbers(pairs: pd.DataFrame, view: str) -> Int[np.ndarray, " n"]:
    column = next((name for name in (IDS[view], view) if name in pairs), None)
    if column is None:
        return np.arange(len(pairs))
    return np.asarray(pd.factorize(pairs[column])[0], np.int64)


@dataclass(frozen=True)
class Ignored:
    """Which rows of a split are no negatives of each other.

    Attributes:
        shared: who shares tiles and panoramas.
        xyz: where the cameras stand, metres; NaN where nobody knows.
        within_m: nearer than this, rows are no negatives either; 0 for none.
    """

    shared: Sharing
    xyz: Float[np.ndarray, "n 3"]
    within_m: float

    def between(self, ground: Int[np.ndarray, "..."], aerial: Int[np.ndarray, "..."]) -> Bool[np.ndarray, "..."]:
        """Return whether the tiles of rows `aerial` are no negatives of the panoramas of rows `ground`."""
        found = self.shared.right(ground, aerial)
        if self.within_m > 0:
            found |= np.linalg.norm(self.xyz[ground] - self.xyz[aerial], axis=-1) < self.within_m
        return found

    def mask(self, rows: Int[np.ndarray, " b"]) -> Bool[np.ndarray, "b b"] | None:
        """Return `between` of all rows of a batch without the diagonal; None where nothing is to be ignored."""
        found = self.between(rows[:, None], rows[None, :])
        np.fill_diagonal(found, False)
        return found if found.any() else None

    def counts(self) -> dict[str, int]:
        """Return how many tiles and panoramas stand in more than one row, and how many pairs of rows are ignored."""
        sizes = [np.bincount(numbers) for numbers in (self.shared.tile, self.shared.panorama)]
        tiles, panoramas = (int((size > 1).sum()) for size in sizes)
        near = self._pairs()
        return {"shared_tiles": tiles, "shared_panoramas": panoramas, "ignored_negatives": len(near)}

    def _pairs(self) -> Int[np.ndarray, "p 2"]:
        """Every two rows of which one is no negative of the other."""
        found = [np.empty((0, 2), np.int64)]
        for numbers in (self.shared.tile, self.shared.panorama):
            found.append(_together(numbers))
        known = np.flatnonzero(np.isfinite(self.xyz).all(1))
        if self.within_m > 0 and len(known):
            from scipy.spatial import cKDTree  # serving does without

            tree = cKDTree(self.xyz[known])
            near = known[tree.query_pairs(np.nextafter(self.within_m, 0), output_type="ndarray").reshape(-1, 2)]
            found.append(np.sort(near, axis=1))
        return np.unique(np.concatenate(found), axis=0)


def _together(numbers: Int[np.ndarray, " n"]) -> Int[np.ndarray, "p 2"]:
    order = np.argsort(numbers, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(numbers[order])) + 1)
    pairs = [np.stack(np.triu_indices(len(group), 1), axis=1) for group in groups]
    several = [group[two] for group, two in zip(groups, pairs, strict=True) if len(group) > 1]
    return np.concatenate([np.empty((0, 2), np.int64), *several])


def ignored(pairs: pd.DataFrame, within_m: float | None, tile_size_m: float) -> Ignored:
    """Return what is no negative in a split.

    Args:
        within_m: metres between cameras; None: half a tile, where positions are known.
        tile_size_m: side of the tiles on the ground.
    """
    return Ignored(sharing(pairs), geocentric(pairs), tile_size_m / 2 if within_m is None else within_m)


def said(counts: Mapping[str, int], within_m: float) -> str:
    """Say once what `Ignored.counts` found; empty where that is nothing."""
    if not any(counts.values()):
        return ""
    return (
        f"{counts['shared_tiles']} tiles and {counts['shared_panoramas']} panoramas stand in more than one row; "
        f"{counts['ignored_negatives']} pairs of rows that share one, or whose cameras are less than {within_m:g} m "
        "apart (train.sampling.ignore_within_m), are not taken as each other's negatives"
    )
