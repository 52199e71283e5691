"""Tiles that are image files, listed in a table with their positions: north up, square, of one size in metres."""

import hashlib
import json
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd

from aenet.ingest.usertables import LATITUDE, LONGITUDE, PATH, named, read_table
from aenet.ingest.usertext import found_name
from aenet.io.artifacts import sha256_file
from aenet.io.errors import AenetError
from aenet.serving.maps.polarcut import Cut, cut_files
from aenet.view.images import probe
from aenet.view.spec import ViewSpec

_ALIASES = {
    "path": (*PATH, "tile", "tile_path"),
    "latitude": LATITUDE,
    "longitude": LONGITUDE,
    "size_m": ("size", "tile_size", "tile_size_m", "width_m", "side_m"),
}
_LARGEST_M = 100_000.0  # of an image's side; what is larger is no size
_SAME_SIZE = 0.005  # within which two sizes on the ground are one


class PositionSource:
    """Tiles named by a table; see `raster.RasterSource` for what all sources share."""

    kind: ClassVar[str] = "positions"
    gridded: ClassVar[bool] = False
    crs: str = "EPSG:4326"
    credit: str | None = None
    notes: tuple[str, ...] = ()

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
        rows, self.notes = _read(table)
        sizes = _sizes(table, rows, tile_size_m)
        self.metres_known = "size_m" in rows.columns
        self.tiles = pd.DataFrame(
            {
                "tile_id": rows["path"],
                "latitude": rows["latitude"],
                "longitude": rows["longitude"],
                "easting": rows["longitude"],
                "northing": rows["latitude"],
                "file": rows["file"],
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


def _read(table: Path) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """The rows under our names, `file` being the path as it lies there, and what the user should read."""
    told = named(read_table(table), _ALIASES, ("path", "latitude", "longitude"))
    paths = told.texts("path", "the path of an image")
    rows = pd.DataFrame({"path": paths, "file": [found_name(path, table.parent) for path in paths]})
    for column, limit in (("latitude", 90.0), ("longitude", 180.0)):
        rows[column] = told.numbers(column, -limit, limit)
        if (lost := rows[column].isna()).any():
            row = int(lost.to_numpy().argmax())
            raise AenetError(f"{told.where(row)}: {paths[row]!r} has no {column}, so nothing can be placed by it")
    if "size_m" in told.rows:
        rows["size_m"] = told.numbers("size_m", 0.0, _LARGEST_M, "metres")
    if (twice := rows["path"].duplicated()).any():
        raise AenetError(f"{table} lists {rows['path'][twice].iloc[0]!r} twice: every tile must stand once")
    return rows, tuple(told.notices())


def _sizes(table: Path, rows: pd.DataFrame, tile_size_m: float) -> pd.Series:
    if "size_m" not in rows.columns:
        return pd.Series(np.full(len(rows), tile_size_m))
    sizes = rows["size_m"]
    if (small := ~(sizes >= tile_size_m * (1 - _SAME_SIZE))).any():
        raise AenetError(
            f"{table}: {rows['path'][small].iloc[0]!r} covers {rows['size_m'][small].iloc[0]} m (size_m), a tile of "
            f"{tile_size_m:g} m cannot be cut from it: give larger images, or a model of smaller tiles"
        )
    return sizes
