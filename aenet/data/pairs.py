"""The pair table: one row per ground panorama and its satellite tile, the same for every data set."""

from pathlib import Path

import numpy as np
import pandas as pd

from aenet.artifacts import write_parquet
from aenet.errors import AenetError

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
SPLITS = ("train", "val", "test")
_NUMBERS = COLUMNS[4:]


def write_pairs(path: Path, pairs: pd.DataFrame) -> None:
    """Check and write a pair table (WGS84 degrees; NaN where the data set has no value)."""
    write_parquet(path, check_pairs(pairs, str(path)))


def read_pairs(path: Path) -> pd.DataFrame:
    """Read and check a pair table; `ground` and `aerial` are paths relative to the data set's root."""
    if not path.exists():
        raise AenetError(f"{path} does not exist: run the download stage first")
    return check_pairs(pd.read_parquet(path), str(path))


def check_pairs(pairs: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return the table with its columns in order.

    Raises:
        AenetError: a column is missing, an id stands twice, a split is unknown or a coordinate is impossible.
    """
    if missing := [column for column in COLUMNS if column not in pairs.columns]:
        raise AenetError(f"{name}: the pair table lacks the column(s) {', '.join(missing)}")
    if (twice := pairs["pair_id"].duplicated()).any():
        raise AenetError(f"{name}: pair_id {pairs['pair_id'][twice].iloc[0]!r} stands twice; ids must be unique")
    if unknown := set(pairs["split"]) - set(SPLITS):
        raise AenetError(f"{name}: unknown split(s) {sorted(unknown)}; known: {', '.join(SPLITS)}")
    for column, limit in (
        ("latitude", 90),
        ("longitude", 180),
        ("aerial_latitude", 90),
        ("aerial_longitude", 180),
    ):
        values = pairs[column].to_numpy(dtype=np.float64)
        if (outside := np.abs(values) > limit).any():
            raise AenetError(f"{name}: {column} {values[outside][0]} is outside +-{limit} degrees")
    return pairs.astype(dict.fromkeys(_NUMBERS, np.float64))[list(COLUMNS)]
