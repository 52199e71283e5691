"""One GeoTIFF: what is accepted, which bands are its colours, and reading parts of it.

Rules for bands, all of 8 bits: a palette's colours are looked up; else the bands marked red, green and blue, wherever
they stand; else the first three that are not alpha; a single band becomes grey. Anything deeper than 8 bits is
refused, for which of its values are black and white is not known. Alpha, masks and nodata say where there is no map.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from jaxtyping import UInt8
from pyproj import CRS
from rasterio.enums import ColorInterp, Resampling
from rasterio.errors import RasterioIOError
from rasterio.windows import Window

from aenet.errors import AenetError
from aenet.serving.maps.canvas import Box, Frame, Pixels, check_corners

_EARTH_M = (6.3e6, 6.4e6)  # every ellipsoid and sphere ever used for the Earth has its radius in here
_OPAQUE = 128  # of alpha: more opaque than not
_CREDIT_TAGS = ("TIFFTAG_COPYRIGHT", "TIFFTAG_ARTIST")
_RGB = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)


@dataclass(frozen=True, eq=False)
class GeoTiff:
    """A checked file.

    Attributes:
        bands: the bands that are red, green and blue; one band three times is grey.
        palette: colour of each value of the first band, if it is an index of colours.
        credit: copyright or artist from its tags.
    """

    path: Path
    frame: Frame
    bands: tuple[int, ...]
    palette: UInt8[np.ndarray, "256 3"] | None
    credit: str | None

    def read(self, box: Box, shape: tuple[int, int]) -> Pixels:
        """Return a part resampled to `shape`, from the file's overviews where it has fitting ones.

        Raises:
            AenetError: the file is damaged there, or gone.
        """
        top, left, height, width = box
        window = Window(left, top, width, height)
        # Averaging would invent colours that a palette does not have.
        how = Resampling.average if self.palette is None else Resampling.nearest
        bands = sorted(set(self.bands))
        try:
            status = self.path.stat()
            dataset = _opened(self.path, status.st_size, status.st_mtime_ns)
            planes = dataset.read(bands, window=window, out_shape=(len(bands), *shape), resampling=how)
            valid = dataset.dataset_mask(window=window, out_shape=shape) >= _OPAQUE
        except (RasterioIOError, FileNotFoundError) as error:
            raise AenetError(f"{self.path} is damaged around row {top}, column {left}: {error}") from error
        if self.palette is not None:
            pixels = self.palette[planes[0]]
        else:
            pixels = np.stack([planes[bands.index(band)] for band in self.bands], axis=-1)
        pixels[~valid] = 0
        return pixels, valid


def inspect(path: Path) -> GeoTiff:
    """Return a file as it may be used.

    Raises:
        AenetError: not a GeoTIFF, not north up on the Earth, or not of 8-bit colours.
    """
    if not path.is_file():
        raise AenetError(f"{path} does not exist: give a GeoTIFF")
    with _open(path) as dataset:
        if problem := _problem(dataset):
            raise AenetError(f"{path} {problem}")
        transform = dataset.transform
        frame = Frame(
            dataset.crs.to_wkt(), transform.c, transform.f, transform.a, -transform.e, dataset.height, dataset.width
        )
        check_corners(frame, path)
        bands, palette = _colours(dataset)
        tags = dataset.tags()
        credit = next((tags[name].strip() for name in _CREDIT_TAGS if tags.get(name, "").strip()), None)
        return GeoTiff(path, frame, bands, palette, credit)


def _open(path: Path) -> Any:
    """Open with the GeoTIFF driver alone: a VRT named .tif would hand out the bytes of any local file."""
    try:
        # No sibling files: an overview or mask beside the raster would be opened with any driver.
        with rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR"):
            return rasterio.open(path, driver="GTiff")
    except RasterioIOError as error:
        raise AenetError(f"{path} is not a GeoTIFF ({error})") from error


@lru_cache(maxsize=64)  # of a mosaic's files; more would run into the limit on open files
def _opened(path: Path, _size: int, _mtime_ns: int) -> Any:
    return _open(path)


def _problem(dataset: Any) -> str | None:
    """Return why a file cannot be used and the way out, or None."""
    return _place_problem(dataset) or _colour_problem(dataset)


def _place_problem(dataset: Any) -> str | None:
    crs, transform = dataset.crs, dataset.transform
    if crs is None:
        if dataset.gcps[0] or dataset.rpcs:
            return "is placed by control points alone: rectify it with `gdalwarp -t_srs EPSG:...`"
        return "has no coordinate system: assign one with `gdal_edit.py -a_srs EPSG:...`"
    if not (crs.is_projected or crs.is_geographic):
        return "has a local coordinate system without a place on Earth: georeference it first"
    known = CRS.from_wkt(crs.to_wkt())
    radius = known.ellipsoid.semi_major_metre if known.ellipsoid else 0.0
    if not _EARTH_M[0] < radius < _EARTH_M[1]:
        return f"is not of the Earth: the body of its coordinate system ({known.name}) has a radius of {radius:,.0f} m"
    return _grid_problem(transform)


def _grid_problem(transform: Any) -> str | None:
    if transform.is_identity:
        return "has a coordinate system but no position in it: give it one with `gdal_edit.py -a_ullr`"
    if transform.b or transform.d or transform.a <= 0 or transform.e >= 0:
        return "is rotated or not north up: straighten it with `gdalwarp`"
    return None


def _colour_problem(dataset: Any) -> str | None:
    bands, _ = _colours(dataset)
    if not bands:
        return f"has {dataset.count} bands without colours: 1 (grey or a palette) or 3 (red, green, blue) are needed"
    if kinds := sorted({dataset.dtypes[band - 1] for band in bands} - {"uint8"}):
        return (
            f"has bands of {kinds[0]}, uint8 is needed (which values are black and white is not known): "
            "convert it with `gdal_translate -ot Byte -scale BLACK WHITE 0 255`"
        )
    return None


def _colours(dataset: Any) -> tuple[tuple[int, ...], UInt8[np.ndarray, "256 3"] | None]:
    """Return the bands of red, green and blue (none if it cannot be told) and the palette, by the module's rules."""
    meaning = dataset.colorinterp
    if meaning[0] == ColorInterp.palette and dataset.dtypes[0] == "uint8":
        palette = np.zeros((256, 3), np.uint8)
        for value, colour in dataset.colormap(1).items():
            palette[value] = colour[:3]
        return (1,), palette
    if set(_RGB) <= set(meaning):
        return tuple(meaning.index(colour) + 1 for colour in _RGB), None
    plain = [number for number, what in enumerate(meaning, start=1) if what != ColorInterp.alpha]
    if len(plain) >= 3:
        return tuple(plain[:3]), None
    return ((plain[0],) * 3 if len(plain) == 1 else ()), None
