"""The pair table: one row per ground panorama and its satellite tile, the same for every data set."""

from pathlib import Path

import numpy as np
import pandas as pd

from aenet.artifacts import MANIFEST, read_manifest
from aenet.atomic import write_parquet
from aenet.errors import AenetError
from aenet.plainfiles import check_plain, no_parquet

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
