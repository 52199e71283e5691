"""The tiles of one split of a data set as a source, each with the position its pair table gives."""

import hashlib
import json
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
from jaxtyping import UInt8

from aenet.artifacts import sha256_file
from aenet.data.pairs import SPLITS, read_pairs
from aenet.errors import AenetError, UnreadableImage
from aenet.images import decode, resize
from aenet.serving.raster import Overview, map_overview

WGS84 = "EPSG:4326"


class PairSource:
    """Tiles named by a pair table; see `raster.RasterSource` for the attributes both share."""

    kind: ClassVar[str] = "pairs"
    crs: str = WGS84

    def __init__(self, root: Path, split: str) -> None:
        """Read `root/pairs.parquet` and keep each tile of `split` once.

        Raises:
            AenetError: no pair table there, no such split, or a tile without position.
        """
        if split not in SPLITS:
            raise AenetError(f"split {split!r} is unknown: use one of {', '.join(SPLITS)}")
        self.path, self._split = root, split
        self._table = root / "pairs.parquet"
        pairs = read_pairs(self._table)
        pairs = pairs[pairs["split"] == split].drop_duplicates("aerial").reset_index(drop=True)
        if pairs.empty:
            raise AenetError(f"{self._table} has no rows of split {split!r}")
        latitude = pairs["aerial_latitude"].fillna(pairs["latitude"])
        longitude = pairs["aerial_longitude"].fillna(pairs["longitude"])
        if (lost := latitude.isna() | longitude.isna()).any():
            name = pairs["pair_id"][lost].iloc[0]
            raise AenetError(f"{self._table}: tile of pair {name!r} has no position, so nothing can be placed by it")
        self.tiles = pairs[["aerial"]].assign(
            tile_id=pairs["pair_id"].astype(str),
            latitude=latitude,
            longitude=longitude,
            easting=longitude,
            northing=latitude,
            convergence_deg=0.0,
        )
        self.tile_px = decode(root / self.tiles["aerial"].iloc[0]).shape[0]

    @cached_property
    def digest(self) -> str:
        """Digest of the pair table and of every tile's name, size and time."""
        hasher = hashlib.sha256(sha256_file(self._table).encode())
        for name in self.tiles["aerial"]:
            file = self.path / name
            status = file.stat() if file.exists() else None
            hasher.update(json.dumps([name, status and [status.st_size, status.st_mtime_ns]]).encode())
        return hasher.hexdigest()

    def read(self, start: int, stop: int) -> Iterator[tuple[int, UInt8[np.ndarray, "s s 3"]]]:
        """Yield (row, tile) for the rows `start` to `stop`, but for tiles that cannot be read or are not square."""
        for row in range(start, stop):
            try:
                tile = decode(self.path / self.tiles["aerial"].iloc[row])
            except UnreadableImage:
                continue  # counted by the builder as a dropped tile
            if tile.shape[0] == tile.shape[1]:
                yield row, resize(tile, self.tile_px, self.tile_px)

    def overview(self, max_px: int) -> Overview | None:
        """Return the picture of the map beside the pair table, if there is exactly one and it is usable."""
        maps = sorted(self.path.glob("*.tif"))
        if len(maps) != 1:
            return None
        try:
            return map_overview(maps[0], max_px)
        except AenetError:
            return None  # a backdrop is a comfort; the tiles carry their own positions
