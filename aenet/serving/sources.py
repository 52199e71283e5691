"""What a gallery can be built from."""

from pathlib import Path

from aenet.errors import AenetError
from aenet.serving.pairtiles import PairSource
from aenet.serving.raster import RasterSource

# Both have kind, path, crs, tiles, tile_px, digest, read(start, stop) and overview(max_px).
TileSource = RasterSource | PairSource


Area = tuple[float, float, float, float]


def open_source(path: Path, tile_size_m: float, spacing_m: float, split: str, area: Area | None = None) -> TileSource:
    """Open a GeoTIFF (by tile size and spacing) or a data set's folder (by split).

    Args:
        area: west, south, east, north in WGS84 degrees; only tiles with their centre inside are kept.

    Raises:
        AenetError: the source is not usable, or has no tile in `area`.
    """
    source: TileSource = PairSource(path, split) if path.is_dir() else RasterSource(path, tile_size_m, spacing_m)
    if area is not None:
        west, south, east, north = area
        tiles = source.tiles
        inside = tiles["longitude"].between(west, east) & tiles["latitude"].between(south, north)
        if not inside.any():
            reach = [f"{tiles[column].agg(how):.5f}" for how in ("min", "max") for column in ("longitude", "latitude")]
            raise AenetError(
                f"{path} has no tile in the area {west},{south},{east},{north}: its tiles reach from "
                f"{reach[0]},{reach[1]} to {reach[2]},{reach[3]} (west,south,east,north in degrees)"
            )
        source.tiles = tiles[inside].reset_index(drop=True)
    return source
