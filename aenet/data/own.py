"""Your own pairs: a CSV or Parquet table of panoramas, tiles and where they are."""

from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from pydantic import Field, model_validator

from aenet.data.blocks import SplitConfig, divide
from aenet.data.dataset import SKIPPED_COLUMNS, VIEWS, DatasetConfig, Listing
from aenet.data.layout import check_table, listed
from aenet.data.owncolumns import TOGETHER, named
from aenet.data.pairs import SPLITS
from aenet.errors import AenetError
from aenet.usertables import SUFFIXES, UserTable, check_together, read_table
from aenet.usertext import found_name

TABLES = ("pairs.parquet", "pairs.csv")
_SPLITS = {"training": "train", "validation": "val", "valid": "val", "testing": "test"}
_LIMITS = {
    "latitude": 90.0,
    "longitude": 180.0,
    "aerial_latitude": 90.0,
    "aerial_longitude": 180.0,
    "heading_deg": 360.0,
}


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
        if self.table is not None and Path(self.table).suffix.lower() not in SUFFIXES:
            raise ValueError(f"table {self.table} is none of {', '.join(SUFFIXES)}")
        return self


def list_own(config: OwnConfig, source: Path) -> Listing:
    """Read a user's table; paths in it are relative to the folder that the source's root is.

    Raises:
        AenetError: no table, one that is damaged, lacks a column or names one twice, or pairs that cannot be divided.
    """
    root, path = _find_table(config, source)
    table, notices = named(read_table(path))
    pairs = pd.DataFrame({view: _paths(table, view, root) for view in VIEWS})
    known = set(table.rows)
    pairs["pair_id"] = table.texts("pair_id", "a name") if "pair_id" in known else _ids(pairs)
    for column, limit in _LIMITS.items():
        pairs[column] = table.numbers(column, -limit, limit) if column in known else np.nan
    for pair in TOGETHER:
        check_together(table, *pair, {column: pairs[column].to_numpy(float) for column in pair})
    if "split" in known:
        parts = table.texts("split", f"one of {', '.join(SPLITS)}")
        pairs["split"] = pd.Series(parts, dtype=object).str.strip().str.lower().replace(_SPLITS)
        set_aside = pd.DataFrame(columns=list(SKIPPED_COLUMNS))
    else:
        pairs, set_aside, said = divide(pairs, config.division, str(path), config.tile_size_m)
        notices = [*notices, *said]
    return Listing(
        root=root, pairs=pairs, protocol={"name": "own", "correct": ["identity"]}, notices=tuple(notices),
        set_aside=set_aside,
    )  # fmt: skip


def _ids(pairs: pd.DataFrame) -> pd.Series:
    """Panoramas name their pairs; of one with several tiles, as VIGOR has them, the tiles are named, too."""
    several = pairs["ground"].duplicated(keep=False)
    names = pairs["ground"].where(~several, pairs["ground"] + " + " + pairs["aerial"])
    again = names.groupby(names).cumcount()
    return names.where(again == 0, names + " #" + (again + 1).astype(str))


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


def _paths(table: UserTable, column: str, root: Path) -> list[str]:
    return [found_name(name, root) for name in table.texts(column, "the path of an image")]
