"""Your own pairs: a CSV or Parquet table of panoramas, tiles and where they are."""

from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from pydantic import Field, model_validator

from aenet.data.blocks import SplitConfig, divide
from aenet.data.dataset import SKIPPED_COLUMNS, VIEWS, DatasetConfig, Listing
from aenet.data.layout import check_table, listed
from aenet.data.owncolumns import named
from aenet.errors import AenetError

TABLES = ("pairs.parquet", "pairs.csv")
_SPLITS = {"training": "train", "validation": "val", "valid": "val", "testing": "test"}
_POSITIONS = ("latitude", "longitude", "aerial_latitude", "aerial_longitude", "heading_deg")


class OwnConfig(DatasetConfig):
    """A directory or archive of images and a table of their pairs.

    Attributes:
        table: the table's path, relative to the source; None looks for `pairs.parquet` or `pairs.csv`.
        tile_size_m: side of the tiles on the ground in metres; where given, `polar_transform` must agree.
        division: how pairs become training, validation and test where the table has no column `split`.
    """

    kind: Literal["own"]
    table: str | None = Field(default=None, min_length=1)
    tile_size_m: float | None = Field(default=None, gt=0)
    division: SplitConfig = SplitConfig()

    @model_validator(mode="after")
    def _known_format(self) -> "OwnConfig":
        if self.table is not None and Path(self.table).suffix.lower() not in (".csv", ".parquet"):
            raise ValueError(f"table {self.table} is neither .csv nor .parquet")
        return self


def list_own(config: OwnConfig, source: Path) -> Listing:
    """Read a user's table; paths in it are relative to the folder that the source's root is.

    Raises:
        AenetError: no table, one that is damaged, lacks a column or names one twice, or pairs that cannot be divided.
    """
    root, path = _find_table(config, source)
    table, notices = named(_read(path), str(path))
    pairs = pd.DataFrame({view: _paths(table, view, path) for view in VIEWS})
    pairs["pair_id"] = table["pair_id"].astype(str) if "pair_id" in table else pairs["ground"].astype(str)
    if "pair_id" not in table and (twice := pairs["pair_id"].duplicated()).any():
        name = pairs["pair_id"][twice].iloc[0]
        raise AenetError(f"{path}: panorama {name!r} stands in two rows: add a column pair_id that tells them apart")
    for column in _POSITIONS:
        pairs[column] = _numbers(table, column, path) if column in table else np.nan
    if "split" in table:
        pairs["split"] = _splits(table, path)
        set_aside = pd.DataFrame(columns=list(SKIPPED_COLUMNS))
    else:
        pairs, set_aside, said = divide(pairs, config.division, str(path))
        notices = [*notices, *said]
    return Listing(
        root=root, pairs=pairs, protocol={"name": "own", "correct": ["identity"]}, notices=tuple(notices),
        set_aside=set_aside,
    )  # fmt: skip


def _find_table(config: OwnConfig, source: Path) -> tuple[Path, Path]:
    """The data set's root and its table: in the source, or in the only folder that an archive holds."""
    tops = [top for top in source.iterdir() if top.is_dir() and not top.name.startswith((".", "__MACOSX"))]
    for root in (source, *(tops if len(tops) == 1 else [])):
        for name in (config.table,) if config.table is not None else TABLES:
            if (root / name).is_file():
                check_table(root / name, root)
                return root, root / name
    raise AenetError(
        f"{source} has no {config.table or ' or '.join(TABLES)} (found: {listed(source)}): "
        "name the table of the pairs in download.table"
    )


def _read(path: Path) -> pd.DataFrame:
    try:
        if path.suffix.lower() == ".parquet":
            table = pd.read_parquet(path)
        else:
            table = pd.read_csv(path, dtype=str, skipinitialspace=True, encoding="utf-8-sig")
    except (OSError, ValueError) as error:  # pyarrow's and pandas' parser errors are of these two families
        raise AenetError(f"{path} is not a readable table ({error})") from error
    if table.empty:
        raise AenetError(f"{path} has no rows")
    return table.reset_index(drop=True)


def _paths(table: pd.DataFrame, column: str, path: Path) -> pd.Series:
    values = table[column]
    wrong = np.array([not (isinstance(value, str) and value) for value in values])
    if wrong.any():
        raise AenetError(f"{path}, row {int(wrong.argmax()) + 1}: {column} must be the path of an image")
    return values


def _splits(table: pd.DataFrame, path: Path) -> pd.Series:
    given = table["split"]
    if (empty := given.isna()).any():
        raise AenetError(f"{path}, row {int(empty.to_numpy().argmax()) + 1}: split is empty")
    return given.astype(str).str.strip().str.lower().replace(_SPLITS)


def _numbers(table: pd.DataFrame, column: str, path: Path) -> pd.Series:
    """A column as numbers; an empty cell is unknown, anything else that is no number is refused by its row."""
    values = pd.to_numeric(table[column], errors="coerce")
    given = table[column].notna()
    if (wrong := values.isna() & given).any():
        row = int(wrong.to_numpy().argmax())
        raise AenetError(f"{path}, row {row + 1}: {column} {table[column].iloc[row]!r} is not a number")
    return values.astype(np.float64)
