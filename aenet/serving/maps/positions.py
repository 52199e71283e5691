"""Tiles that are image files, listed in a table with their positions: north up, square, of one size in metres."""

import hashlib
import json
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd

from aenet.artifacts import sha256_file
from aenet.card import ViewSpec
from aenet.errors import AenetError
from aenet.images import probe
from aenet.serving.maps.polarcut import Cut
from aenet.serving.maps.tilefiles import cut_files

SUFFIXES = (".csv", ".parquet")
_NEEDED = ("path", "latitude", "longitude")
_LIMITS = {"latitude": 90.0, "longitude": 180.0}
_SAME_SIZE = 0.005  # within which two sizes on the ground are one


class PositionSource:
    """Tiles named by a table; see `raster.RasterSource` for what all sources share."""

    kind: ClassVar[str] = "positions"
    gridded: ClassVar[bool] = False
    crs: str = "EPSG:4326"
    credit: str | None = None

    def __init__(self, table: Path, tile_size_m: float) -> None:
        """Read a CSV or Parquet table with the columns path (relative to the table), latitude, longitude.

        Args:
            table: if it has a column `size_m`, the middle of each image is cut to `tile_size_m`; without one every
                image is taken to be of that size.
            tile_size_m: side of a tile on the ground, metres.

        Raises:
            AenetError: no such columns, a position that is none, a path listed twice, or a tile that is too small.
        """
        self.path = table
        rows = _read(table)
        sizes = _sizes(table, rows, tile_size_m)
        self.tiles = pd.DataFrame(
            {
                "tile_id": rows["path"].astype(str),
                "latitude": rows["latitude"],
                "longitude": rows["longitude"],
                "easting": rows["longitude"],
                "northing": rows["latitude"],
                "file": rows["path"].astype(str),
                "share": np.minimum(tile_size_m / sizes, 1.0),
            }
        )

    @cached_property
    def digest(self) -> str:
        """Digest of the table and of every tile's name, size and time."""
        hasher = hashlib.sha256(sha256_file(self.path).encode())
        for name in self.tiles["file"]:
            file = self.path.parent / name
            status = file.stat() if file.exists() else None
            hasher.update(json.dumps([name, status and [status.st_size, status.st_mtime_ns]]).encode())
        return hasher.hexdigest()

    def tile_px(self, spec: ViewSpec) -> int:
        """Return the side in pixels of the first tile as cut; `spec` does not matter."""
        height, _ = probe(self.path.parent / self.tiles["file"].iloc[0])
        return max(1, round(height * float(self.tiles["share"].iloc[0])))

    def cut(self, start: int, stop: int, spec: ViewSpec) -> Iterator[Cut]:
        """Yield what is cut for the rows `start` to `stop`, but for tiles that cannot be read or are not square."""
        part = self.tiles.iloc[start:stop]
        files = [self.path.parent / name for name in part["file"]]
        return cut_files(files, list(part["share"]), start, spec)

    def overview(self, max_px: int) -> None:
        """Return None: there is no map behind the tiles."""


def _read(table: Path) -> pd.DataFrame:
    try:
        rows = pd.read_csv(table) if table.suffix.lower() == ".csv" else pd.read_parquet(table)
    except Exception as error:  # pandas and pyarrow raise a dozen kinds for files that are no tables
        raise AenetError(f"{table} is not a readable table ({' '.join(str(error).split())})") from error
    if missing := [name for name in _NEEDED if name not in rows.columns]:
        raise AenetError(
            f"{table} has no column {missing[0]!r}; it has {', '.join(map(str, rows.columns))} "
            f"({', '.join(_NEEDED)} are needed, size_m is read)"
        )
    if rows.empty:
        raise AenetError(f"{table} lists no tiles")
    if rows["path"].isna().any():
        raise AenetError(f"{table}: row {int(np.flatnonzero(rows['path'].isna())[0]) + 1} has an empty path")
    for column, limit in _LIMITS.items():
        values = pd.to_numeric(rows[column], errors="coerce")
        if (bad := ~(values.abs() <= limit)).any():
            raise AenetError(
                f"{table}: {column} of {rows['path'][bad].iloc[0]!r} is {rows[column][bad].iloc[0]}, "
                f"degrees from -{limit:g} to {limit:g} are needed"
            )
        rows[column] = values.astype(np.float64)
    if (twice := rows["path"].duplicated()).any():
        raise AenetError(f"{table} lists {rows['path'][twice].iloc[0]!r} twice: every tile must stand once")
    return rows.reset_index(drop=True)


def _sizes(table: Path, rows: pd.DataFrame, tile_size_m: float) -> pd.Series:
    if "size_m" not in rows.columns:
        return pd.Series(np.full(len(rows), tile_size_m))
    sizes = pd.to_numeric(rows["size_m"], errors="coerce").astype(np.float64)
    if (small := ~(sizes >= tile_size_m * (1 - _SAME_SIZE))).any():
        raise AenetError(
            f"{table}: {rows['path'][small].iloc[0]!r} covers {rows['size_m'][small].iloc[0]} m (size_m), a tile of "
            f"{tile_size_m:g} m cannot be cut from it: give larger images, or a model of smaller tiles"
        )
    return sizes
