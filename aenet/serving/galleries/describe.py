"""What a gallery's manifest says, from the shards that stand and the sources they came from."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from aenet.data.card import ModelCard, model_digest
from aenet.io.artifacts import folder_digest
from aenet.io.errors import AenetError
from aenet.scoring.storage import storage_of
from aenet.serving.galleries.gallery import read_tiles
from aenet.serving.galleries.galleryoptions import SourceOptions, TileSource
from aenet.serving.galleries.manifest import Backdrop, GalleryManifest, Numbers, SourceRecord, grid_floor
from aenet.serving.maps.coordinates import extent
from aenet.serving.maps.mosaic import Overview


@dataclass(frozen=True)
class Made:
    """What holds for all of a gallery: its key, its model, tile size and spacing in metres, and type of numbers."""

    key: str
    card: ModelCard
    tile_size_m: float
    spacing_m: float | None
    dtype: Numbers
    runs_on: str


_COLLAR = 0.02  # of a map: less is a frame or a shadow


def record_source(
    tiles: TileSource,
    key: str,
    shards: Sequence[Path],
    card: ModelCard,
    options: SourceOptions,
    picture: Overview | None,
    duplicates: int = 0,
) -> SourceRecord:
    """Return the record of a source whose candidates went into `shards`; `picture` is its overview.

    Raises:
        AenetError: none of them shows enough of a map.
    """
    kept = sum(len(read_tiles(shard)) for shard in shards)
    if not kept:
        raise AenetError(f"{tiles.path}: none of {len(tiles.tiles)} tiles shows enough of the map to be used")
    return SourceRecord(
        key=key,
        name=tiles.path.name,
        digest=tiles.digest,
        kind=tiles.kind,
        crs=tiles.crs,
        tile_px=tiles.tile_px(card.view),
        tiles=kept,
        dropped=len(tiles.tiles) - kept,
        duplicates=duplicates,
        attribution=options.attribution or tiles.credit,
        licence=options.licence,
        shards=tuple(shard.name for shard in shards),
        metres_known=tiles.metres_known,
        notes=(*tiles.notes, *(_collars(tiles, picture) if tiles.gridded and picture is not None else [])),
    )


def _collars(tiles: TileSource, picture: Overview) -> list[str]:
    return [
        f"warning: {share:.0%} of {tiles.path.name} is {colour} from its edge inwards and was taken for map: if there "
        f"is none, say so in the file (`gdal_edit.py -a_nodata {value}`, or transparent pixels in a tile tree)"
        for share, colour, value in zip(picture.collars, ("black", "white"), (0, 255), strict=True)
        if share >= _COLLAR
    ]


def describe_gallery(
    out: Path, made: Made, sources: Sequence[SourceRecord], backdrop: Backdrop | None
) -> GalleryManifest:
    """Return the manifest of a gallery in `out`, whose shards all stand."""
    shards = [out / name for source in sources for name in source.shards]
    kept = pd.concat([read_tiles(shard)[["latitude", "longitude"]] for shard in shards], ignore_index=True)
    latitude, longitude = kept["latitude"], kept["longitude"]
    spacing = made.spacing_m
    return GalleryManifest(
        key=made.key,
        model=model_digest(made.card),
        view=made.card.view,
        tile_size_m=made.tile_size_m,
        spacing_m=spacing,
        floor=grid_floor(spacing) if spacing else None,
        tiles=len(kept),
        dropped=sum(source.dropped for source in sources),
        duplicates=sum(source.duplicates for source in sources),
        descriptor_dim=made.card.descriptor_dim,
        dtype=made.dtype,
        storage=storage_of(made.card, made.dtype, spacing),
        area_km2=len(kept) * spacing**2 / 1e6 if spacing else None,
        coverage=extent(latitude.to_numpy(), longitude.to_numpy()),
        backdrop=backdrop,
        embedded_on=made.runs_on,
        sources=tuple(sources),
        shards={shard.name: folder_digest(shard) for shard in shards},
    )
