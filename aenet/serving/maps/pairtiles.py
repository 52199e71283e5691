"""The tiles of one split of a data set as a source, each with the position its pair table gives."""

import hashlib
import json
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from aenet.data.pairs import SPLITS, image_root, read_pairs
from aenet.data.views import declared
from aenet.io.artifacts import sha256_file
from aenet.io.errors import AenetError
from aenet.serving.maps.mosaic import Mosaic, Overview, overview
from aenet.serving.maps.polarcut import Cut, cut_files
from aenet.view.images import probe
from aenet.view.spec import ViewSpec

WGS84 = "EPSG:4326"


class PairSource:
    """Tiles named by a pair table; see `raster.RasterSource` for what both share."""

    kind: ClassVar[str] = "pairs"
    gridded: ClassVar[bool] = False
    crs: str = WGS84
    credit: str | None = None
    notes: tuple[str, ...] = ()

    def __init__(self, root: Path, split: str, tile_size_m: float) -> None:
        """Read `root/pairs.parquet` and keep each tile of `split` once.

        Args:
            tile_size_m: side of a tile on the ground, metres. The middle of larger tiles is cut to it; tiles of which
                the data set does not say how large they are count as of that size.

        Raises:
            AenetError: no pair table there, no such split, a tile without position, or tiles that are too small.
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
        self._images, self._share = image_root(root), _share(root, tile_size_m)
        self.metres_known = self._share is not None
        self.tiles = pairs[["aerial"]].assign(
            tile_id=pairs["pair_id"].astype(str),
            latitude=latitude,
            longitude=longitude,
            easting=longitude,
            northing=latitude,
        )

    @cached_property
    def digest(self) -> str:
        """Digest of the pair table and of every tile's name, size and time."""
        hasher = hashlib.sha256(sha256_file(self._table).encode())
        for name in self.tiles["aerial"]:
            file = self._images / name
            status = file.stat() if file.exists() else None
            hasher.update(json.dumps([name, status and [status.st_size, status.st_mtime_ns]]).encode())
        return hasher.hexdigest()

    def tile_px(self, spec: ViewSpec) -> int:
        """Return the height in pixels of the first tile as cut; `spec` does not matter."""
        return max(1, round(probe(self._images / self.tiles["aerial"].iloc[0])[0] * (self._share or 1.0)))

    def cut(self, start: int, stop: int, spec: ViewSpec) -> Iterator[Cut]:
        """Yield what is cut for the rows `start` to `stop`, but for tiles that cannot be read or are not square."""
        files = [self._images / name for name in self.tiles["aerial"].iloc[start:stop]]
        return cut_files(files, [self._share or 1.0] * len(files), start, spec)

    def overview(self, max_px: int) -> Overview | None:
        """Return the picture of the map beside the pair table, if there is exactly one and it is usable."""
        maps = sorted(self.path.glob("*.tif"))
        if len(maps) != 1:
            return None
        try:
            return overview(Mosaic(maps[0], maps), max_px)
        except AenetError:
            return None  # a backdrop is a comfort; the tiles carry their own positions


def _share(root: Path, tile_size_m: float) -> float | None:
    """Return which part of each tile's side is wanted; None where the data set does not say how large they are."""
    said_m = declared(root).get("tile_size_m")
    if said_m is None:
        return None
    if said_m < tile_size_m:
        raise AenetError(
            f"{root} has tiles of {said_m:g} m, tiles of {tile_size_m:g} m cannot be cut from them: give `tile_size` "
            f"{said_m:g}m, or a model of smaller tiles"
        )
    return tile_size_m / float(said_m)
