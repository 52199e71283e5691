"""One or many GeoTIFFs as one canvas, and pictures of whole maps, much reduced.

Files are taken in the order of their names; where they overlap, the first that has a map there wins, so that nodata
of one is filled by the next. All must share coordinate system (heights aside) and pixel size; a file that lies between
the pixels of the first is shifted by less than half a pixel to fit. Files on either side of 180 degrees lie side by
side.
"""

import glob
import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np
from jaxtyping import Bool, UInt8
from pyproj import CRS

from aenet.io.artifacts import sha256_file
from aenet.io.errors import AenetError
from aenet.serving.maps.canvas import Factors, Frame, MaskedPixels, PixelBox, average, merge_spans
from aenet.serving.maps.coordinates import side_by_side, turn_of
from aenet.serving.maps.geotiff import GeoTiff, inspect
from aenet.serving.maps.tiletree import TileTree

SUFFIXES = (".tif", ".tiff")
_NOTES = 12  # more of them nobody reads
_DRIFT_PX = 0.5  # by which pixels of two files may be apart at a file's far edge


class Mosaic:
    """GeoTIFFs as a canvas; see `mosaic.Canvas`."""

    kind: ClassVar[str] = "raster"

    def __init__(self, path: Path, files: Sequence[Path]) -> None:
        """Check and place `files`; `path` is what the user named.

        Raises:
            AenetError: a file is not usable, or two do not fit together.
        """
        self.path = path
        tiffs = [inspect(file) for file in sorted(files, key=os.fsencode)]
        first = tiffs[0].frame
        for tiff in tiffs[1:]:
            _check_fit(tiffs[0], tiff)
        tiffs = _together(tiffs)
        left, top = (choose(getattr(t.frame, side) for t in tiffs) for side, choose in (("left", min), ("top", max)))
        # On the first file's pixels, so that it (and all that are cut from one map) is copied unchanged.
        left = first.left - round((first.left - left) / first.pixel_width) * first.pixel_width
        top = first.top + round((top - first.top) / first.pixel_height) * first.pixel_height
        self._parts = [_place(tiff, left, top, first) for tiff in tiffs]
        height, width = (max(box[i] + box[i + 2] for box, _ in self._parts) for i in (0, 1))
        self.frame = replace(first, left=left, top=top, height=height, width=width)
        self.notes = _notes(tiffs)
        self.credit = "; ".join(dict.fromkeys(tiff.credit for tiff in tiffs if tiff.credit)) or None

    @cached_property
    def digest(self) -> str:
        """SHA-256 of a single file; of many, those beside them that are used too, of their names, sizes and times."""
        files = [file for _, tiff in self._parts for file in (tiff.path, *tiff.beside)]
        if len(files) == 1:
            return sha256_file(files[0])
        stats = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
        return hashlib.sha256(json.dumps(stats).encode()).hexdigest()

    def spans(self, top: float, bottom: float) -> list[tuple[int, int]]:
        """See `mosaic.Canvas`."""
        return merge_spans(
            [(x, x + width) for (y, x, height, width), _ in self._parts if y < bottom and y + height > top]
        )

    def read(self, box: PixelBox, factors: Factors = (1, 1)) -> MaskedPixels:
        """See `mosaic.Canvas`."""
        shape = (-(-box[2] // factors[0]), -(-box[3] // factors[1]))
        pixels, valid = np.zeros((*shape, 3), np.uint8), np.zeros(shape, np.bool_)
        for place, tiff in self._parts:
            y, x = max(box[0], place[0]), max(box[1], place[1])
            bottom, right = min(box[0] + box[2], place[0] + place[2]), min(box[1] + box[3], place[1] + place[3])
            if y >= bottom or x >= right:
                continue
            inside = (y - place[0], x - place[1], bottom - y, right - x)
            (row, column), (new, there) = _read_part(tiff, inside, (y - box[0], x - box[1]), factors)
            target = (slice(row, row + there.shape[0]), slice(column, column + there.shape[1]))
            if valid[target].any():
                np.copyto(pixels[target], new, where=(there & ~valid[target])[..., None])
            else:
                pixels[target] = new  # much faster than by mask, and all there is to most boxes
            valid[target] |= there
        return pixels, valid


def find_files(path: Path) -> list[Path]:
    """Return the GeoTIFFs that a file, a folder or a glob pattern names; empty where there are none."""
    if path.is_file():
        return [path]
    if path.is_dir():
        found = [file for file in path.iterdir() if not file.name.startswith(".")]
    else:
        found = [Path(name) for name in glob.glob(str(path), recursive=True)]  # noqa: PTH207  Path.glob takes no absolute pattern
    return [file for file in found if file.is_file() and file.suffix.lower() in SUFFIXES]


def _read_part(
    tiff: GeoTiff, inside: PixelBox, at: tuple[int, int], factors: Factors
) -> tuple[tuple[int, int], MaskedPixels]:
    """Read the part `inside` of a file that lies `at` (row, column) in a box; return its place there when reduced."""
    height, width = inside[2:]
    down, across = factors
    row, column = at[0] // down, at[1] // across
    if all(
        offset % factor == 0 and side % factor == 0
        for offset, side, factor in zip(at, inside[2:], factors, strict=True)
    ):
        return (row, column), tiff.read(inside, (height // down, width // across))
    # The file's edge cuts through a block: averaged here from the pixels that are there.
    pixels, valid = tiff.read(inside, (height, width))
    before = ((at[0] % down, 0), (at[1] % across, 0))
    return (row, column), average(np.pad(pixels, (*before, (0, 0))), np.pad(valid, before), factors)


def _together(tiffs: Sequence[GeoTiff]) -> list[GeoTiff]:
    """Bring files from both sides of 180 degrees side by side, on the turn of the first."""
    turn = turn_of(tiffs[0].frame.crs)
    moves = side_by_side([(tiff.frame.left, tiff.frame.right) for tiff in tiffs], turn)
    return [
        replace(tiff, frame=replace(tiff.frame, left=tiff.frame.left + move * turn)) if turn and move else tiff
        for tiff, move in zip(tiffs, moves, strict=True)
    ]


def _place(tiff: GeoTiff, left: float, top: float, first: Frame) -> tuple[PixelBox, GeoTiff]:
    row = round((top - tiff.frame.top) / first.pixel_height)
    column = round((tiff.frame.left - left) / first.pixel_width)
    return (row, column, tiff.frame.height, tiff.frame.width), tiff


def _notes(tiffs: Sequence[GeoTiff]) -> tuple[str, ...]:
    """Say each thing once, of how many files it holds."""
    of: dict[str, list[str]] = {}
    for tiff in tiffs:
        for note in tiff.notes:
            of.setdefault(note, []).append(tiff.path.name)
    said = [f"{names[0]}{f' and {len(names) - 1:,} more' if names[1:] else ''}: {note}" for note, names in of.items()]
    rest = [f"and {len(said) - _NOTES:,} more such notes of its files"] if len(said) > _NOTES else []
    return (*said[:_NOTES], *rest)


def _check_fit(first: GeoTiff, other: GeoTiff) -> None:
    a, b = first.frame, other.frame
    if a.crs != b.crs and not CRS.from_wkt(a.crs).equals(CRS.from_wkt(b.crs), ignore_axis_order=True):
        names = [CRS.from_wkt(frame.crs).name for frame in (a, b)]
        raise AenetError(
            f"{first.path} is in {names[0]}, {other.path} in {names[1]}: a mosaic has one coordinate system; "
            "warp them to one, or build from the first and bring the others with `aenet gallery add`"
        )
    drift = max(abs(b.pixel_width / a.pixel_width - 1) * b.width, abs(b.pixel_height / a.pixel_height - 1) * b.height)
    if drift > _DRIFT_PX:
        raise AenetError(
            f"{first.path} has pixels of {a.pixel_width:g} x {a.pixel_height:g}, {other.path} of "
            f"{b.pixel_width:g} x {b.pixel_height:g} (units of their system): a mosaic has one pixel size; "
            "resample with `gdalwarp -tr`, or build from the first and bring the others with `aenet gallery add`"
        )


# Pictures of whole maps, much reduced.

Canvas = Mosaic | TileTree
_BAND_BYTES = 128 << 20  # of raster in memory at once
_NEARLY = 4  # grey levels by which compression moves black and white


@dataclass(frozen=True)
class Overview:
    """A picture of a map: RGB pixels, edges [left, bottom, right, top] in its coordinate system `crs` (WKT).

    `collars` are the shares of the map that are black and white from its edges inwards, though it calls them map.
    """

    pixels: UInt8[np.ndarray, "h w 3"]
    edges: tuple[float, float, float, float]
    crs: str
    collars: tuple[float, float] = (0.0, 0.0)


def overview(canvas: Canvas, max_px: int) -> Overview:
    """Return the whole canvas reduced to at most `max_px` a side, read in bands of bounded size."""
    frame = canvas.frame
    factor = max(1, -(-max(frame.height, frame.width) // max_px))
    band = factor * max(1, _BAND_BYTES // (4 * frame.width * factor))
    parts = [
        canvas.read((top, 0, min(band, frame.height - top), frame.width), (factor, factor))
        for top in range(0, frame.height, band)
    ]
    pixels, valid = (np.concatenate([part[i] for part in parts]) for i in (0, 1))
    # The last row and column may reach beyond the frame: the picture's edges are those of whole blocks.
    right = frame.left + pixels.shape[1] * factor * frame.pixel_width
    bottom = frame.top - pixels.shape[0] * factor * frame.pixel_height
    collars = _collar(pixels.max(axis=-1) <= _NEARLY, valid), _collar(pixels.min(axis=-1) >= 255 - _NEARLY, valid)
    return Overview(pixels, (frame.left, bottom, right, frame.top), frame.crs, collars)


def _collar(like: Bool[np.ndarray, "h w"], valid: Bool[np.ndarray, "h w"]) -> float:
    """Which share of a map is of one colour from the map's edges inwards."""
    empty = np.pad(~valid, 1, constant_values=True)
    _, labels = cv2.connectedComponents((empty | np.pad(like, 1)).astype(np.uint8), connectivity=4)
    outside = np.isin(labels, np.unique(labels[empty])) & ~empty
    return float(outside.sum() / max(valid.sum(), 1))
