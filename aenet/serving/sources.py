"""What a gallery can be built from."""

from pathlib import Path

from aenet.serving.pairtiles import PairSource
from aenet.serving.raster import RasterSource

# Both have kind, path, crs, tiles, tile_px, digest, read(start, stop) and overview(max_px).
TileSource = RasterSource | PairSource


def open_source(path: Path, tile_size_m: float, spacing_m: float, split: str) -> TileSource:
    """Open a GeoTIFF (by tile size and spacing) or a data set's folder (by split)."""
    return PairSource(path, split) if path.is_dir() else RasterSource(path, tile_size_m, spacing_m)
