"""Your own pairs: a CSV or Parquet table of panoramas, tiles and where they are."""

from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from pydantic import Field, model_validator

from aenet.data.pairs import SPLITS
from aenet.ingest import usertables
from aenet.ingest.division import SplitConfig, divide
from aenet.ingest.layout import check_table, names_in
from aenet.ingest.usertables import HEADING, LATITUDE, LONGITUDE, SUFFIXES, UserTable, check_together, read_table
from aenet.ingest.usertext import found_name
from aenet.ingest.verification import SKIPPED_COLUMNS, VIEWS, DatasetConfig, Listing
from aenet.io.errors import AenetError

# Names under which the columns of a user's table are known.

ALIASES = {
    "pair_id": ("id", "name"),
    "ground": ("ground_path", "panorama", "panorama_path", "street", "streetview", "query"),
    "aerial": ("aerial_path", "satellite", "satellite_path", "tile", "tile_path", "reference"),
    "latitude": (*LATITUDE, "ground_latitude", "ground_lat"),
    "longitude": (*LONGITUDE, "ground_longitude", "ground_lon"),
    "aerial_latitude": ("aerial_lat", "satellite_latitude", "satellite_lat", "tile_latitude", "tile_lat"),
    "aerial_longitude": ("aerial_lon", "satellite_longitude", "satellite_lon", "tile_longitude", "tile_lon"),
    "heading_deg": HEADING,
    "split": ("subset", "part"),
}
_NEEDED = ("ground", "aerial")
TOGETHER = (("latitude", "longitude"), ("aerial_latitude", "aerial_longitude"))


def own_columns(table: UserTable) -> tuple[UserTable, list[str]]:
    """Return the table under our own column names, and what the user should read.

    Raises:
        AenetError: a column is missing, or two mean the same.
    """
    known = usertables.named(table, ALIASES, _NEEDED, TOGETHER)
    notices, found = known.notices(), set(known.rows)
    if "latitude" not in found:
        notices.append(f"{table.path} has no latitude and longitude: no errors in metres can be reported")
    elif "aerial_latitude" not in found:
        notices.append(f"{table.path} has no aerial_latitude and aerial_longitude: no errors in metres can be reported")
    if "heading_deg" not in found:
        notices.append(f"{table.path} has no heading: every panorama is taken to have north in its centre column")
    return known, notices


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
    table, notices = own_columns(read_table(path))
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
        f"{source} has no {config.table or ' or '.join(TABLES)} (found: {names_in(source)}): "
        "name the table of the pairs in download.table"
    )


def _paths(table: UserTable, column: str, root: Path) -> list[str]:
    return [found_name(name, root) for name in table.texts(column, "the path of an image")]
