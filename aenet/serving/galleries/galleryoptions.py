"""How to build a gallery, and what came of it."""

import glob
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import pandas as pd
from pydantic import Field

from aenet.ingest.usertables import SUFFIXES as TABLES
from aenet.io.errors import AenetError
from aenet.io.params import Config
from aenet.serving.galleries.manifest import GalleryManifest
from aenet.serving.maps.coordinates import extent, in_box
from aenet.serving.maps.mosaic import SUFFIXES as RASTERS
from aenet.serving.maps.mosaic import Mosaic, find_files
from aenet.serving.maps.pairtiles import PairSource
from aenet.serving.maps.positions import PositionSource
from aenet.serving.maps.raster import RasterSource
from aenet.serving.maps.tiletree import TileTree, find_zooms
from aenet.serving.sessions.runtime import SessionOptions

_WHERE_METRES = {
    "positions": "give the table a column size_m, and build again",
    "pairs": "for your own data set download.tile_size_m, and build again",
}
Share = Annotated[float, Field(gt=0, le=1)]


class SourceOptions(Config):
    """What to take from a source.

    Attributes:
        split: which split's tiles (data set only).
        within_box: west, south, east, north in WGS84 degrees: only tiles centred inside; `west` above `east` goes
            across 180 degrees; None takes the whole source.
        min_valid: share of a tile that must be map, neither nodata nor transparent (maps only).
        zoom: zoom of a tile tree; None takes its deepest.
        tms: a tile tree counts y from the south.
        attribution: who made the imagery, named in manifest and reports; None takes what the files say.
        licence: under which terms it may be used.
    """

    split: str = "test"
    within_box: tuple[float, float, float, float] | None = None
    min_valid: Share = 0.5
    zoom: int | None = None
    tms: bool = False
    attribution: str | None = None
    licence: str | None = None


class AddOptions(SourceOptions, SessionOptions):
    """How to add a source to a gallery, and how the network runs (SessionOptions).

    Attributes:
        tile_size_m: side of a tile in metres; None takes the gallery's, another is refused.
        shard_size: tiles a shard; what a killed run may lose.
        overwrite: give up what an unfinished addition of another source left.
    """

    tile_size_m: float | None = None
    shard_size: Annotated[int, Field(ge=1)] = 2048
    overwrite: bool = False

    def arithmetic(self) -> list[str]:
        """Return what was demanded of the network's arithmetic: it decides descriptors, so it belongs to the key."""
        demanded = {"fp32": self.precision == "fp32", "fp16": self.precision == "fp16"}
        return [name for name, wanted in (demanded | {"tf32": self.cuda.tf32}).items() if wanted]


class GalleryOptions(AddOptions):
    """How to build a gallery.

    Attributes:
        tile_size_m: side of a tile in metres; None takes the model's.
        spacing_m: distance between centres in metres (maps only).
        dtype: float16 halves the disk and moves scores by up to 1e-3.
        overwrite: replace a gallery of other inputs.
    """

    spacing_m: float = 20.0
    dtype: Literal["float32", "float16"] = "float32"


@dataclass(frozen=True)
class GallerySummary:
    """What a build or an addition did: `computed` of `shards` shards now, the rest found finished.

    `trained_tile_size_m` is the side of the tiles the model was trained on, in metres; `added` is None for a build,
    else the number of tiles that were added to the gallery, and `duplicates` of those left out as already there.
    """

    folder: Path
    manifest: GalleryManifest
    computed: int
    shards: int
    runs_on: str
    trained_tile_size_m: float
    added: int | None = None
    duplicates: int = 0

    def lines(self) -> list[str]:
        """Say it in a few lines of text."""
        made = self.manifest
        dropped = f" ({made.dropped:,} candidates dropped: no map there, or unreadable)" if made.dropped else ""
        lines = [f"{self.folder}: {made.tiles:,} tiles of {made.tile_size_m:g} m{dropped}"]
        if self.added is not None:
            known = f"; {self.duplicates:,} left out because the gallery has them" if self.duplicates else ""
            lines.append(f"added {self.added:,} tiles{known}" if self.added else f"nothing to add{known}")
        if made.floor is not None:
            median, p95, most = made.floor.median, made.floor.p95, made.floor.max
            lines.append(
                f"a tile every {made.spacing_m:g} m: even a perfect ranking is {median:.1f} m off (median), "
                f"{p95:.1f} m (95 %), {most:.1f} m at most"
            )
        lines.append(f"coverage: {made.where}")
        lines += made.sources[-1].notes
        lines.append(
            f"descriptors: {made.storage.total(made.tiles)}; `aenet gallery info` says what other choices take"
        )
        if made.tile_size_m != self.trained_tile_size_m:
            trained = f"{self.trained_tile_size_m:g} m"
            lines.append(f"warning: the model was trained on tiles of {trained}; recall falls with other sizes")
        lines += [
            f"warning: nothing says how many metres of ground the tiles of {source.name} cover: they were taken for "
            f"{made.tile_size_m:g} m a side; {_WHERE_METRES[source.kind]}"
            for source in made.sources
            if not source.metres_known
        ]
        rows = made.view.aerial.height
        lines += [
            f"warning: tiles of {source.name} have {source.tile_px} pixels a side, the model's views {rows} rows for "
            "half of that: the map is too coarse for this model"
            for source in made.sources
            if source.tile_px < 2 * rows
        ]
        done = f"{self.computed} of {self.shards} shards" if self.computed else "nothing (it was finished)"
        lines.append(f"computed {done}; ran on {self.runs_on}")
        return lines


# What a gallery can be built from, told apart by what lies at a path.

# All have kind, gridded, path, crs, credit, notes, metres_known, digest, tiles, tile_px(spec), cut(start, stop, spec),
# overview(max_px).
TileSource = RasterSource | PositionSource | PairSource


def open_source(path: Path, tile_size_m: float, spacing_m: float, options: SourceOptions) -> TileSource:
    """Open what lies at `path`.

    - a GeoTIFF; a folder or a glob pattern of GeoTIFFs (a mosaic);
    - a folder of folders `zoom/x/y.png` (a tile tree in Web Mercator);
    - a CSV or Parquet table with the columns path, latitude, longitude (and size_m), or a folder with one such table;
    - the folder of a data set (with `pairs.parquet`).

    Args:
        path: as above.
        tile_size_m: side of a tile on the ground, metres.
        spacing_m: distance between centres, metres; for maps only.
        options: see SourceOptions.

    Raises:
        AenetError: the source is not usable, is none of these, or has no tile in the box asked for.
    """
    source = _open(path, tile_size_m, spacing_m, options)
    if source.kind != "xyz" and (options.zoom is not None or options.tms):
        raise AenetError(f"{path} is no tree of map tiles ({source.kind}): leave `zoom` and `tms` away")
    if options.within_box is not None:
        source.tiles = _within(source, options.within_box)
    return source


def _open(path: Path, tile_size_m: float, spacing_m: float, options: SourceOptions) -> TileSource:
    if path.is_file() and path.suffix.lower() in TABLES:
        return PositionSource(path, tile_size_m)
    if path.is_dir():
        if (path / "pairs.parquet").exists():
            return PairSource(path, options.split, tile_size_m)
        if find_zooms(path):
            return RasterSource(TileTree(path, options.zoom, options.tms), tile_size_m, spacing_m, options.min_valid)
    if files := find_files(path):
        return RasterSource(Mosaic(path, files), tile_size_m, spacing_m, options.min_valid)
    if path.is_dir():
        tables = sorted(file for file in path.iterdir() if file.suffix.lower() in TABLES)
        if len(tables) == 1:
            return PositionSource(tables[0], tile_size_m)
        raise AenetError(
            f"{path} holds nothing to build from: GeoTIFFs ({', '.join(RASTERS)}), folders zoom/x/y.png, one table of "
            "positions (CSV or Parquet), or a data set's pairs.parquet"
        )
    if glob.has_magic(str(path)):
        raise AenetError(f"{path}: no file there is a GeoTIFF by its name ({', '.join(RASTERS)})")
    raise AenetError(f"{path} does not exist: give a GeoTIFF, a folder, a pattern or a table of positions")


def _within(source: TileSource, box: tuple[float, float, float, float]) -> pd.DataFrame:
    tiles = source.tiles
    latitude, longitude = tiles["latitude"].to_numpy(), tiles["longitude"].to_numpy()
    inside = in_box(box, latitude, longitude)
    if not inside.any():
        west, south, east, north = (f"{edge:.5f}" for edge in extent(latitude, longitude))
        raise AenetError(
            f"{source.path} has no tile in the box {','.join(f'{edge:g}' for edge in box)}: its tiles reach from "
            f"{west},{south} to {east},{north} (west,south,east,north in degrees)"
        )
    return tiles[inside].reset_index(drop=True)
