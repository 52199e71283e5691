"""One GeoTIFF: the only door through which rasters come, and reading parts of them.

Its colours must have 8 bits (`bands`): anything deeper is refused, for which of its values are black and white is not
known. Alpha, masks and nodata say where there is no map. Where it lies says `placing`, what of the files beside it is
used `beside`.
"""

import warnings
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from jaxtyping import Bool
from rasterio.enums import Resampling
from rasterio.errors import NotGeoreferencedWarning, RasterioIOError
from rasterio.windows import Window

from aenet.io.errors import AenetError
from aenet.io.plainfiles import open_plain
from aenet.serving.maps.bands import Bands, choose_bands
from aenet.serving.maps.canvas import Frame, MaskedPixels, PixelBox
from aenet.serving.maps.placing import WAY_OUT, georeference, mask_file, unread
from aenet.view.imagebounds import kind_of, what_else

_OPAQUE = 128  # of alpha: more opaque than not
_CREDIT_TAGS = ("TIFFTAG_COPYRIGHT", "TIFFTAG_ARTIST")


@dataclass(frozen=True, eq=False)
class GeoTiff:
    """A checked file.

    Attributes:
        mask: the file beside it that is zero where there is no map, if there is one.
        beside: the files beside it that are used, the mask among them.
        notes: what is to be said of it.
        credit: copyright or artist from its tags.
    """

    path: Path
    frame: Frame
    bands: Bands
    mask: Path | None
    beside: tuple[Path, ...]
    notes: tuple[str, ...]
    credit: str | None

    def read(self, box: PixelBox, shape: tuple[int, int]) -> MaskedPixels:
        """Return a part resampled to `shape`, from the file's overviews where it has fitting ones.

        Raises:
            AenetError: the file is damaged there, or gone.
        """
        top, left, height, width = box
        window = Window(left, top, width, height)
        # Averaging would invent colours that a palette does not have.
        palette, how = self.bands.palette, Resampling.nearest
        if palette is None:
            how = Resampling.average
        bands = sorted(set(self.bands.colours))
        try:
            dataset = _reopened(self.path)
            planes = dataset.read(bands, window=window, out_shape=(len(bands), *shape), resampling=how)
            valid = self._valid(dataset, window, shape)
        except (RasterioIOError, FileNotFoundError) as error:
            raise AenetError(
                f"{self.path} is damaged around row {top}, column {left}: fetch or write it anew"
            ) from error
        if palette is not None:
            pixels = palette[planes[0]]
        else:
            pixels = np.stack([planes[bands.index(band)] for band in self.bands.colours], axis=-1)
        pixels[~valid] = 0
        return pixels, valid

    def _valid(self, dataset: Any, window: Window, shape: tuple[int, int]) -> Bool[np.ndarray, "h w"]:
        if self.bands.opaque:
            valid = np.ones(shape, np.bool_)
        else:
            valid = dataset.dataset_mask(window=window, out_shape=shape) >= _OPAQUE
        if self.mask is not None:
            valid &= _reopened(self.mask).read(1, window=window, out_shape=shape) > 0
        return np.asarray(valid, np.bool_)


def inspect(path: Path) -> GeoTiff:
    """Return a file as it may be used.

    Raises:
        AenetError: not a GeoTIFF, damaged, not north up on the Earth, or not of 8-bit colours.
    """
    if not path.is_file():
        raise AenetError(f"{path} does not exist: give a GeoTIFF")
    with _open(path) as dataset:
        placed = georeference(dataset, path)
        try:
            bands = choose_bands(dataset)
        except RasterioIOError as error:
            raise AenetError(f"{path} is damaged: fetch or write it anew") from error
        if problem := _colour_problem(dataset, bands.colours):
            raise AenetError(f"{path} {problem}")
        mask, notes = _mask(dataset, path)
        beside = (*placed.beside, *([mask] if mask else []))
        used = [f"{file.suffix} beside it is used" for file in beside]
        tags = dataset.tags()
        credit = next((tags[name].strip() for name in _CREDIT_TAGS if tags.get(name, "").strip()), None)
        said = (*used, *placed.notes, *bands.notes, *notes, *unread(path))
        return GeoTiff(path, placed.frame, bands, mask, beside, said, credit)


def _open(path: Path) -> Any:
    """Open with the GeoTIFF driver alone: a VRT named .tif would hand out the bytes of any local file.

    So would a file that its metadata name as its overviews (item OVERVIEW_FILE, domain OVERVIEWS): GDAL opens it with
    any driver at the first reading.
    """
    try:
        # No sibling files: an overview or mask beside the raster would be opened with any driver.
        with rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR"), warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)  # said in a sentence, where it matters
            dataset = rasterio.open(path, driver="GTiff")
    except RasterioIOError as error:
        with open_plain(path) as file:
            head = file.read(32)
        why = "its head is damaged or cut short" if kind_of(head) == "TIFF" else what_else(head)
        raise AenetError(f"{path} is not a GeoTIFF ({why})") from error
    if dataset.tags(ns="OVERVIEWS"):
        dataset.close()
        raise AenetError(f"{path} names a file elsewhere as its overviews: write it anew with `gdal_translate -nomd`")
    return dataset


def _reopened(path: Path) -> Any:
    status = path.stat()
    return _opened(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=64)  # of a mosaic's files; more would run into the limit on open files
def _opened(path: Path, _size: int, _mtime_ns: int) -> Any:
    return _open(path)


def _mask(dataset: Any, path: Path) -> tuple[Path | None, list[str]]:
    """Return the mask beside a raster if it can be used, and what is to be said if not."""
    if (file := mask_file(path)) is None:
        return None, []
    try:
        with _open(file) as mask:
            found = mask.count, mask.dtypes[0], mask.height, mask.width
    except AenetError:
        return None, [f"the {file.suffix} beside it is not read, it is no plain GeoTIFF: {WAY_OUT}"]
    if found != (1, "uint8", dataset.height, dataset.width):
        count, kind, height, width = found
        return None, [
            f"the {file.suffix} beside it is not read: it has {count} bands of {kind}, {width} x {height} px, one of "
            f"uint8, {dataset.width} x {dataset.height} px is needed; {WAY_OUT}"
        ]
    return file, []


def _colour_problem(dataset: Any, bands: tuple[int, ...]) -> str | None:
    if not bands:
        return f"has {dataset.count} bands without colours: 1 (grey or a palette) or 3 (red, green, blue) are needed"
    if kinds := sorted({dataset.dtypes[band - 1] for band in bands} - {"uint8"}):
        return (
            f"has bands of {kinds[0]}, uint8 is needed (which values are black and white is not known): "
            "convert it with `gdal_translate -ot Byte -scale BLACK WHITE 0 255`"
        )
    return None
