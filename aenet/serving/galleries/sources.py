"""What a gallery can be built from, told apart by what lies at a path."""

import glob
from pathlib import Path

import pandas as pd

from aenet.errors import AenetError
from aenet.serving.galleries.options import SourceOptions
from aenet.serving.maps.longitudes import coverage, in_box
from aenet.serving.maps.mosaic import SUFFIXES as RASTERS
from aenet.serving.maps.mosaic import Mosaic, find_files
from aenet.serving.maps.pairtiles import PairSource
from aenet.serving.maps.positions import PositionSource
from aenet.serving.maps.raster import RasterSource
from aenet.serving.maps.tiletree import TileTree, find_zooms
from aenet.usertables import SUFFIXES as TABLES

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
        AenetError: the source is not usable, is none of these, or has no tile in the area asked for.
    """
    source = _open(path, tile_size_m, spacing_m, options)
    if source.kind != "xyz" and (options.zoom is not None or options.tms):
        raise AenetError(f"{path} is no tree of map tiles ({source.kind}): leave --zoom and --tms away")
    if options.area is not None:
        source.tiles = _within(source, options.area)
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


def _within(source: TileSource, area: tuple[float, float, float, float]) -> pd.DataFrame:
    tiles = source.tiles
    latitude, longitude = tiles["latitude"].to_numpy(), tiles["longitude"].to_numpy()
    inside = in_box(area, latitude, longitude)
    if not inside.any():
        west, south, east, north = (f"{edge:.5f}" for edge in coverage(latitude, longitude))
        raise AenetError(
            f"{source.path} has no tile in the area {','.join(f'{edge:g}' for edge in area)}: its tiles reach from "
            f"{west},{south} to {east},{north} (west,south,east,north in degrees)"
        )
    return tiles[inside].reset_index(drop=True)
