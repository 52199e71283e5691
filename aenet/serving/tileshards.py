"""Write one shard of a gallery: tiles, descriptors, thumbnails."""

from pathlib import Path

import numpy as np
from jaxtyping import Float32, UInt8

from aenet.artifacts import atomic_folder, verify_folder, write_parquet
from aenet.errors import AenetError, CorruptArtifact
from aenet.images import encode_jpeg, resize
from aenet.serving.session import Branch
from aenet.serving.sources import TileSource
from aenet.serving.views import tile_view

THUMBNAIL_PX = 96
_COLUMNS = ["tile_id", "latitude", "longitude", "easting", "northing"]


def is_whole(shard: Path) -> bool:
    """True if the shard is finished and its bytes are what was written."""
    if not shard.exists():
        return False
    try:
        verify_folder(shard)
    except CorruptArtifact:
        return False  # damaged since: made again
    return True


def build_shard(
    tiles: TileSource, branch: Branch, shard: Path, start: int, stop: int, batch_size: int, dtype: str
) -> None:
    """Embed the candidates `start` to `stop` into the folder `shard`: wholly or not at all.

    Raises:
        AenetError: the model gives a tile no usable descriptor.
    """
    rows: list[int] = []
    thumbnails: list[bytes] = []

    def embed() -> None:
        embedded, faults = branch.embed_each(np.stack(views))
        if faults:
            at, fault = next(iter(faults.items()))
            raise AenetError(f"{tiles.path}, tile {tiles.tiles['tile_id'].iloc[rows[at - len(views)]]}: {fault}")
        descriptors.append(embedded)
        views.clear()

    descriptors: list[Float32[np.ndarray, "b d"]] = []
    views: list[UInt8[np.ndarray, "h w 3"]] = []
    for row, tile in tiles.read(start, stop):
        rows.append(row)
        thumbnails.append(encode_jpeg(resize(tile, THUMBNAIL_PX, THUMBNAIL_PX), quality=80))
        views.append(tile_view(tile, branch.card.view, float(tiles.tiles["convergence_deg"].iloc[row])))
        if len(views) == batch_size:
            embed()
    if views:
        embed()
    sizes = np.array([len(thumbnail) for thumbnail in thumbnails], dtype=np.int64)
    table = tiles.tiles.iloc[rows][_COLUMNS].reset_index(drop=True)
    table = table.assign(thumbnail_at=np.cumsum(sizes) - sizes, thumbnail_bytes=sizes)
    embedded = np.concatenate([np.empty((0, branch.card.descriptor_dim), np.float32), *descriptors])
    with atomic_folder(shard, meta={"candidates": stop - start, "tiles": len(rows)}) as folder:
        write_parquet(folder / "tiles.parquet", table)
        np.save(folder / "descriptors.npy", embedded.astype(dtype), allow_pickle=False)
        (folder / "thumbnails.bin").write_bytes(b"".join(thumbnails))
