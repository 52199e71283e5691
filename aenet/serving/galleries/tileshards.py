"""Write the shards of a gallery: tiles, descriptors, thumbnails."""

import json
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from shutil import rmtree

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Float32, UInt8

from aenet.io.artifacts import atomic_folder, verify_folder
from aenet.io.atomic import atomic_file
from aenet.io.errors import AenetError, CorruptArtifact
from aenet.serving.galleries.galleryoptions import TileSource
from aenet.serving.maps.polarcut import Cut
from aenet.serving.sessions.session import OnnxBranch
from aenet.view.images import encode_jpeg

# A table of places as GeoParquet 1.1 (https://geoparquet.org): points in WGS84, without loading geopandas for it.

_POINT = np.dtype([("order", "u1"), ("type", "<u4"), ("x", "<f8"), ("y", "<f8")])  # well-known binary


def write_points(path: Path, frame: pd.DataFrame) -> None:
    """Write a table with its columns longitude and latitude as points `geometry`, wholly or not at all."""
    points = np.zeros(len(frame), _POINT)
    points["order"], points["type"] = 1, 1
    points["x"], points["y"] = frame["longitude"], frame["latitude"]
    table = pa.Table.from_pandas(frame, preserve_index=False)
    table = table.append_column("geometry", pa.array([point.tobytes() for point in points], pa.binary()))
    # No `crs`: longitude and latitude in WGS84 is what the format takes then.
    column = {"encoding": "WKB", "geometry_types": ["Point"]}
    geo = json.dumps({"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": column}})
    with atomic_file(path) as temporary:
        pq.write_table(
            table.replace_schema_metadata({**(table.schema.metadata or {}), b"geo": geo.encode()}), temporary
        )


_COLUMNS = ["tile_id", "latitude", "longitude", "easting", "northing"]


def is_whole(shard: Path) -> bool:
    """True if the shard is finished and its bytes are what was written."""
    if not shard.exists():
        return False
    try:
        verify_folder(shard)
    except AenetError as error:
        if not isinstance(error, CorruptArtifact) and (shard / "manifest.json").exists():
            raise
        return False  # damaged since: made again
    return True


def build_shards(
    tiles: TileSource,
    branch: OnnxBranch,
    shards: list[Path],
    size: int,
    dtype: str,
    batch_size: int,
    on_progress: Callable[[int, int], None] | None,
) -> int:
    """Embed all candidates into `shards`, `size` to each, but for those that are whole; return how many were computed.

    Raises:
        AenetError: the source is damaged, or the model gives a tile no usable descriptor.
    """
    computed, total = 0, len(tiles.tiles)
    for shard, start in zip(shards, range(0, total, size), strict=True):
        stop = min(start + size, total)
        if not is_whole(shard):
            build_shard(tiles, branch, shard, start, stop, batch_size, dtype)
            computed += 1
        if on_progress:
            on_progress(stop, total)
    return computed


def build_shard(
    tiles: TileSource, branch: OnnxBranch, shard: Path, start: int, stop: int, batch_size: int, dtype: str
) -> None:
    """Embed the candidates `start` to `stop` into the folder `shard`: wholly or not at all.

    Raises:
        AenetError: the source is damaged, or the model gives a tile no usable descriptor.
    """
    rows: list[int] = []
    thumbnails: list[bytes] = []

    def embed() -> None:
        embedded, faults = branch.embed_each(np.stack(views))
        if faults:
            at, fault = next(iter(faults.items()))
            raise AenetError(f"{tiles.path}, tile {tiles.tiles['tile_id'].iloc[rows[at - len(views)]]}: {fault}")
        descriptors.append(embedded.astype(dtype))
        views.clear()

    descriptors: list[np.ndarray] = []
    views: list[UInt8[np.ndarray, "h w 3"]] = []
    for cut in _ahead(tiles.cut(start, stop, branch.card.view), 2 * batch_size):
        rows.append(cut.row)
        thumbnails.append(encode_jpeg(cut.thumbnail, quality=80))
        views.append(cut.view)
        if len(views) == batch_size:
            embed()
    if views:
        embed()
    sizes = np.array([len(thumbnail) for thumbnail in thumbnails], dtype=np.int64)
    table = tiles.tiles.iloc[rows][_COLUMNS].reset_index(drop=True)
    table = table.assign(thumbnail_at=np.cumsum(sizes) - sizes, thumbnail_bytes=sizes)
    nothing: Float32[np.ndarray, "0 d"] = np.empty((0, branch.card.descriptor_dim), np.float32)
    with atomic_folder(shard, meta={"candidates": stop - start, "tiles": len(rows)}) as folder:
        write_points(folder / "tiles.parquet", table)
        np.save(folder / "descriptors.npy", np.concatenate([nothing.astype(dtype), *descriptors]), allow_pickle=False)
        (folder / "thumbnails.bin").write_bytes(b"".join(thumbnails))


def _ahead(cuts: Iterator[Cut], depth: int) -> Iterator[Cut]:
    """Yield what `cuts` does, with up to `depth` more being made meanwhile in a thread of its own."""
    with ThreadPoolExecutor(1) as pool:
        pending = deque(pool.submit(next, cuts, None) for _ in range(depth))
        while (cut := pending.popleft().result()) is not None:
            pending.append(pool.submit(next, cuts, None))
            yield cut


def sweep_shards(folder: Path) -> None:
    """Remove what killed runs left half-written. For who holds the gallery's lock: nobody else can be writing there."""
    for orphan in folder.glob(".*.tmp"):
        if orphan.is_dir():
            rmtree(orphan, ignore_errors=True)
        else:
            orphan.unlink(missing_ok=True)
