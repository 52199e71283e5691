"""A GeoTIFF as a source of tiles, read window by window: the raster is never in memory as a whole."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import rasterio
from jaxtyping import UInt8
from pyproj import CRS
from rasterio.enums import Resampling
from rasterio.errors import RasterioIOError
from rasterio.windows import Window

from aenet.artifacts import sha256_file
from aenet.errors import AenetError
from aenet.images import resize
from aenet.serving.grid import Bounds, Grid

MIN_VALID = 0.5  # a tile with less map than this is left out
_MAX_TILE_PX = 1200  # CVACT's tiles; finer pixels tell the polar view nothing
_STRIP_BYTES = 256 << 20  # of raster in memory at once
_RGB = (1, 2, 3)


@dataclass(frozen=True)
class Overview:
    """A picture of a map: RGB pixels, edges [left, bottom, right, top] in its coordinate system `crs` (WKT)."""

    pixels: UInt8[np.ndarray, "h w 3"]
    edges: tuple[float, float, float, float]
    crs: str


class RasterSource:
    """Tiles of one size on a regular grid, wholly inside the raster.

    Attributes:
        tiles: the candidates in reading order; columns as in `Grid.lay`.
        tile_px: side in pixels to which tiles are resampled: the raster's own resolution, within reason.
    """

    kind: ClassVar[str] = "raster"

    def __init__(self, path: Path, tile_size_m: float, spacing_m: float) -> None:
        """Open `path` and lay the grid.

        Args:
            path: a GeoTIFF, north up, with a coordinate system and red, green, blue as 8-bit bands 1 to 3.
            tile_size_m: side of a tile on the ground, metres.
            spacing_m: distance between neighbouring centres, metres.

        Raises:
            AenetError: the file is not such a GeoTIFF, or too small for one tile.
        """
        self.path = path
        self._dataset = _open(path)
        self.crs: str = self._dataset.crs.to_wkt()
        bounds, transform = self._dataset.bounds, self._dataset.transform
        edges = Bounds(bounds.left, bounds.bottom, bounds.right, bounds.top, transform.a, -transform.e)
        grid = Grid(CRS.from_wkt(self.crs), edges, tile_size_m, spacing_m)
        self.tiles = grid.lay()
        if self.tiles.empty:
            width, height = grid.size_m()
            raise AenetError(
                f"{path} covers {width:.1f} x {height:.1f} m, too little for one tile of {tile_size_m:g} m"
            )
        self._tile_rows = 2 * float(self.tiles["half_height_px"].max())
        self.tile_px = int(np.clip(round(self._tile_rows), 8, _MAX_TILE_PX))

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the file."""
        return sha256_file(self.path)

    def read(self, start: int, stop: int) -> Iterator[tuple[int, UInt8[np.ndarray, "s s 3"]]]:
        """Yield (row, tile) for the candidates `start` to `stop`, but for those that are mostly nodata."""
        part = self.tiles.iloc[start:stop]
        strip_px = max(4 * self._tile_rows, _STRIP_BYTES / (4 * self._tile_rows))
        strips: dict[tuple[float, float], list[int]] = {}
        for row, y, x in zip(range(start, stop), part["row_px"], part["column_px"], strict=True):
            strips.setdefault((y, x // strip_px), []).append(row)
        for rows in strips.values():
            yield from self._read_strip(rows)

    def overview(self, max_px: int) -> Overview:
        """Return the whole map reduced to at most `max_px` a side."""
        return _overview(self._dataset, max_px)

    def _read_strip(self, rows: list[int]) -> Iterator[tuple[int, UInt8[np.ndarray, "s s 3"]]]:
        boxes = [self._box(row) for row in rows]
        top, left = min(box[0] for box in boxes), min(box[1] for box in boxes)
        bottom, right = max(box[0] + box[2] for box in boxes), max(box[1] + box[3] for box in boxes)
        window = Window(left, top, right - left, bottom - top)
        try:
            pixels = np.moveaxis(self._dataset.read(_RGB, window=window), 0, -1)
            valid = self._dataset.dataset_mask(window=window) > 0
        except RasterioIOError as error:
            raise AenetError(f"{self.path} is damaged around row {top}, column {left}: {error}") from error
        for row, (y, x, height, width) in zip(rows, boxes, strict=True):
            part = (slice(y - top, y - top + height), slice(x - left, x - left + width))
            if valid[part].mean() >= MIN_VALID:
                yield row, resize(np.ascontiguousarray(pixels[part]), self.tile_px, self.tile_px)

    def _box(self, row: int) -> tuple[int, int, int, int]:
        """Return (top, left, height, width) in whole pixels, inside the raster."""
        y, x, half_height, half_width = (
            float(self.tiles[column].iloc[row]) for column in ("row_px", "column_px", "half_height_px", "half_width_px")
        )
        height = min(max(1, round(2 * half_height)), self._dataset.height)
        width = min(max(1, round(2 * half_width)), self._dataset.width)
        top = min(max(round(y - height / 2), 0), self._dataset.height - height)
        left = min(max(round(x - width / 2), 0), self._dataset.width - width)
        return top, left, height, width


def map_overview(path: Path, max_px: int) -> Overview:
    """Return the picture of a GeoTIFF; errors as in `RasterSource`."""
    return _overview(_open(path), max_px)


def _overview(dataset: Any, max_px: int) -> Overview:
    scale = min(1.0, max_px / max(dataset.height, dataset.width))
    shape = [max(1, round(side * scale)) for side in (dataset.height, dataset.width)]
    bands = dataset.read(_RGB, out_shape=(3, *shape), resampling=Resampling.average)
    left, bottom, right, top = (float(edge) for edge in dataset.bounds)
    return Overview(np.ascontiguousarray(np.moveaxis(bands, 0, -1)), (left, bottom, right, top), dataset.crs.to_wkt())


def _open(path: Path) -> Any:
    """Open with the GeoTIFF driver alone: a VRT named .tif would hand out the bytes of any local file."""
    if not path.is_file():
        raise AenetError(f"{path} does not exist: give a GeoTIFF")
    try:
        # No sibling files: an overview or mask beside the raster would be opened with any driver.
        with rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR"):
            dataset = rasterio.open(path, driver="GTiff")
    except RasterioIOError as error:
        raise AenetError(f"{path} is not a GeoTIFF ({error})") from error
    crs, transform = dataset.crs, dataset.transform
    if crs is None:
        problem = "has no coordinate system: assign one with `gdal_edit.py -a_srs EPSG:...`"
    elif not (crs.is_projected or crs.is_geographic):
        problem = "has a local coordinate system without a place on Earth: georeference it first"
    elif transform.b or transform.d or transform.a <= 0 or transform.e >= 0:
        problem = "is rotated or not north up: straighten it with `gdalwarp`"
    elif dataset.count < 3 or set(dataset.dtypes[:3]) != {"uint8"}:
        problem = (
            f"has {dataset.count} band(s) of {dataset.dtypes[0]}, 3 of uint8 (red, green, blue) are needed: "
            "convert it with `gdal_translate -ot Byte -scale`"
        )
    else:
        return dataset
    dataset.close()
    raise AenetError(f"{path} {problem}")
