"""A tree of map tiles on disk, `z/x/y.png` (or jpg, webp), in Web Mercator, as a canvas.

Tile (x, y) of zoom z covers a square of 40,075,017 m / 2^z in the projection, which is that times cos(latitude) on the
ground; the grid and the polar views measure that. y counts from the north (XYZ, as OpenStreetMap does) or from the
south (TMS); see `treerows` for how that is known. Transparent pixels and missing tiles are no map. Columns on both
sides of 180 degrees lie side by side.
"""

import hashlib
import io
import json
import math
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import ClassVar
from xml.parsers import expat

import numpy as np
from jaxtyping import Bool
from PIL import Image
from pyproj import CRS

from aenet.io.errors import AenetError, UnreadableImage
from aenet.serving.maps.canvas import Factors, Frame, MaskedPixels, PixelBox, average, merge_spans
from aenet.serving.maps.coordinates import side_by_side
from aenet.view.images import FORMATS, decode_bytes, probe, read_image

# Which way the rows of a tile tree count: from the north (XYZ) or from the south (TMS).
#
# Numbers cannot tell: a tree read the wrong way is a tree as far in the other hemisphere. A `tilemapresource.xml` at
# its root, as gdal2tiles and MapTiler write it, says TMS and which profile the tiles have. Else the pictures tell: rows
# of pixels that meet are alike.

RESOURCE = "tilemapresource.xml"
_BYTES = 1 << 20
_MERCATOR = {"mercator", "global-mercator"}
_NO_MERCATOR = {
    "geodetic": "squares of degrees",
    "global-geodetic": "squares of degrees",
    "raster": "squares of the map's own pixels, which say nothing of places on the Earth",
    "local": "squares of the map's own system",
}
_PAIRS, _LEAST_PAIRS = 16, 3  # of neighbours looked at, and needed
_DECISIVE = 0.5  # one way fits so much better than the other: true neighbours differ by a few grey levels
_AGREED = 0.75  # of the pairs


def declared_tms(root: Path) -> bool:
    """Return whether a tree's own description says TMS; without one, False.

    Raises:
        AenetError: it cannot be read, or its tiles are not those of Web Mercator.
    """
    file = root / RESOURCE
    if not file.is_file():
        return False
    profile = _profile(file)
    if profile in _MERCATOR:
        return True
    what = _NO_MERCATOR.get(profile, "unknown here")
    raise AenetError(
        f"{file} says profile={profile}: its tiles are {what}; those of Web Mercator (profile=mercator) are needed: "
        "make them with `gdal2tiles.py --profile=mercator`, or build from the GeoTIFF itself"
    )


def check_rows(
    root: Path, tiles: Mapping[tuple[int, int], Path], read: Callable[[Path], MaskedPixels], tms: bool
) -> bool:
    """Refuse a tree whose pictures fit together only when its rows count the other way; return whether they tell.

    Args:
        root: the tree.
        tiles: (x, y from the north) -> file, as its rows are counted.
        read: returns a tile's pixels, and where there is a map.
        tms: they are counted from the south.

    Raises:
        AenetError: they fit the other way.
    """
    pairs = [(file, below) for (x, y), file in tiles.items() if (below := tiles.get((x, y + 1)))]
    chosen = (
        [pairs[at] for at in np.unique(np.linspace(0, len(pairs) - 1, _PAIRS).round().astype(int))] if pairs else []
    )
    apart = np.array([steps for upper, lower in chosen if (steps := _steps(read(upper), read(lower)))]).reshape(-1, 2)
    if len(apart) < _LEAST_PAIRS:
        return False
    here, other = apart.mean(axis=0)
    if other < _DECISIVE * here and (apart[:, 1] < apart[:, 0]).mean() >= _AGREED:
        way_out = "add `tms`"
        if tms:
            way_out = f"remove {RESOURCE}" if (root / RESOURCE).is_file() else "leave `tms` away"
        raise AenetError(
            f"{root}: its tiles do not fit together with y counted from the {'south' if tms else 'north'} (their edges "
            f"differ by {here:.1f} grey levels, by {other:.1f} when counted the other way): {way_out}"
        )
    return bool(here < _DECISIVE * other)


def _steps(upper: MaskedPixels, lower: MaskedPixels) -> tuple[float, float] | None:
    """How unlike the rows are that meet: as two tiles are placed, and if they were exchanged."""
    (first, there), (second, here) = upper, lower
    both = [there[-1] & here[0], here[-1] & there[0]]
    if not all(valid.any() for valid in both):
        return None
    steps = [np.abs(first[-1].astype(int) - second[0]), np.abs(second[-1].astype(int) - first[0])]
    down, up = (float(step[valid].mean()) for step, valid in zip(steps, both, strict=True))
    return down, up


def _profile(file: Path) -> str:
    found: list[str] = []

    def start(name: str, attributes: dict[str, str]) -> None:
        if name.rpartition(":")[2] == "TileSets":
            found.append(attributes.get("profile", "").strip().lower())

    def refuse(*_: object) -> None:
        raise AenetError(f"{file} has a document type, which is not read: delete it, and say `tms` where y counts so")

    parser = expat.ParserCreate()
    parser.StartElementHandler = start
    parser.StartDoctypeDeclHandler = refuse
    with file.open("rb") as stream:
        content = stream.read(_BYTES)
    try:
        parser.Parse(content, True)
    except expat.ExpatError as error:
        fault = f"line {error.lineno}: {expat.ErrorString(error.code)}"
        raise AenetError(
            f"{file} is not readable XML ({fault}): delete it, and add `tms` if y counts from the south"
        ) from error
    return found[0] if found else "none"


SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
_EDGE_M = math.pi * 6378137.0  # from the centre of the projection to its edges
_MAX_ZOOM = 30


class TileTree:
    """The tiles of one zoom as a canvas; see `mosaic.Canvas`."""

    kind: ClassVar[str] = "xyz"
    credit: str | None = None

    def __init__(self, root: Path, zoom: int | None = None, tms: bool = False) -> None:
        """Look through `root/zoom`; None takes the deepest zoom there is.

        Args:
            tms: y counts from the south.

        Raises:
            AenetError: no such zoom, a tile outside it, tiles that are not square or of one size, not of Web Mercator
                by their own description, or that fit together only with y counted the other way.
        """
        declared = declared_tms(root)
        zooms = find_zooms(root)
        self.zoom = max(zooms) if zoom is None and zooms else zoom
        if self.zoom not in zooms:
            have = ", ".join(map(str, zooms)) or "none"
            raise AenetError(f"{root} has no zoom {self.zoom} (it has: {have}): folders must be named zoom/x/y.png")
        self.path = root
        tms = tms or declared
        self._files = _together(_list_tiles(root / str(self.zoom), self.zoom, tms), 2**self.zoom)
        height, self._side = probe(next(iter(self._files.values())))
        if height != self._side:
            raise AenetError(f"{next(iter(self._files.values()))} is {self._side} x {height} px: tiles must be square")
        known = check_rows(root, self._files, lambda file: _read_tile(file, self._side), tms)
        self.notes = tuple(_notes(root, declared, known or tms))
        xs, ys = ([place[i] for place in self._files] for i in (0, 1))
        self._x, self._y = min(xs), min(ys)
        size = 2 * _EDGE_M / 2**self.zoom
        self.frame = Frame(
            crs=CRS.from_epsg(3857).to_wkt(),
            left=self._x * size - _EDGE_M,
            top=_EDGE_M - self._y * size,
            pixel_width=size / self._side,
            pixel_height=size / self._side,
            height=(max(ys) - self._y + 1) * self._side,
            width=(max(xs) - self._x + 1) * self._side,
        )

    @cached_property
    def digest(self) -> str:
        """Digest of the zoom and of every tile's place, size and time."""
        hasher = hashlib.sha256(str(self.zoom).encode())
        for place, file in self._files.items():
            status = file.stat()
            hasher.update(json.dumps([place, status.st_size, status.st_mtime_ns]).encode())
        return hasher.hexdigest()

    @cached_property
    def _rows(self) -> dict[int, list[tuple[int, int]]]:
        """Columns that have tiles, in pixels, for each row of tiles."""
        rows: dict[int, list[tuple[int, int]]] = {}
        for x, y in self._files:
            left = (x - self._x) * self._side
            rows.setdefault(y - self._y, []).append((left, left + self._side))
        return {y: merge_spans(spans) for y, spans in rows.items()}

    def spans(self, top: float, bottom: float) -> list[tuple[int, int]]:
        """See `mosaic.Canvas`."""
        rows = range(math.floor(top / self._side), math.ceil(bottom / self._side))
        return merge_spans([span for y in rows for span in self._rows.get(y, [])])

    def read(self, box: PixelBox, factors: Factors = (1, 1)) -> MaskedPixels:
        """See `mosaic.Canvas`."""
        top, left, height, width = box
        pixels, valid = np.zeros((height, width, 3), np.uint8), np.zeros((height, width), np.bool_)
        side = self._side
        for y in range(top // side, -(-(top + height) // side)):
            for x in range(left // side, -(-(left + width) // side)):
                file = self._files.get((x + self._x, y + self._y))
                if file is None:
                    continue
                tile, there = _read_tile(file, side)
                # Where the tile lies in the box, and which part of it that is.
                y0, x0 = max(top, y * side), max(left, x * side)
                y1, x1 = min(top + height, (y + 1) * side), min(left + width, (x + 1) * side)
                target = (slice(y0 - top, y1 - top), slice(x0 - left, x1 - left))
                part = (slice(y0 - y * side, y1 - y * side), slice(x0 - x * side, x1 - x * side))
                pixels[target], valid[target] = tile[part], there[part]
        return average(pixels, valid, factors)


def find_zooms(root: Path) -> list[int]:
    """Return the zooms of a tile tree: folders named by a number that hold such folders; empty where it is none."""
    if not root.is_dir():
        return []
    return sorted(
        int(folder.name)
        for folder in root.iterdir()
        if _number(folder.name) and int(folder.name) <= _MAX_ZOOM and folder.is_dir()
        if any(_number(column.name) and column.is_dir() for column in folder.iterdir())
    )


def _list_tiles(folder: Path, zoom: int, tms: bool) -> dict[tuple[int, int], Path]:
    """Return (x, y counted from the north) -> file, in order of rows."""
    count = 2**zoom
    found: dict[tuple[int, int], Path] = {}
    for column in folder.iterdir():
        for file in column.iterdir() if _number(column.name) and column.is_dir() else ():
            if not _number(file.stem) or file.suffix.lower() not in SUFFIXES:
                continue
            x, y = int(column.name), int(file.stem)
            if x >= count or y >= count:
                raise AenetError(
                    f"{file}: zoom {zoom} has {count} tiles a side in Web Mercator, so there is no tile {x}/{y} "
                    "(tiles in degrees, profile geodetic, are not read)"
                )
            place = (x, count - 1 - y if tms else y)
            if place in found:
                raise AenetError(f"{found[place]} and {file} are the same tile: keep one of them")
            found[place] = file
    if not found:
        raise AenetError(f"{folder} holds no tiles: they must be named x/y.png, x/y.jpg or x/y.webp")
    return dict(sorted(found.items(), key=lambda item: item[0][::-1]))


def _together(files: dict[tuple[int, int], Path], count: int) -> dict[tuple[int, int], Path]:
    """Bring columns from both sides of 180 degrees side by side; `count` is all columns around the Earth."""
    columns = sorted({x for x, _ in files})
    moves = dict(zip(columns, side_by_side([(float(x), x + 1.0) for x in columns], float(count)), strict=True))
    return {(x + moves[x] * count, y): file for (x, y), file in files.items()}


def _notes(root: Path, declared: bool, known: bool) -> list[str]:
    if declared:
        return [f"{root}: y counts from the south, as its {RESOURCE} says (TMS)"]
    return [] if known else [f"{root}: y is taken to count from the north; add `tms` if it counts from the south"]


def _number(name: str) -> bool:
    return name.isascii() and name.isdigit()


def _read_tile(file: Path, side: int) -> MaskedPixels:
    try:
        content = read_image(file)
        pixels = decode_bytes(content, str(file))
    except UnreadableImage as error:
        raise AenetError(f"{error}: fetch it again, or delete it to have no map there") from error
    if pixels.shape[:2] != (side, side):
        raise AenetError(f"{file} is {pixels.shape[1]} x {pixels.shape[0]} px, its neighbours {side} x {side} px")
    valid = _opaque(content, side)
    return np.where(valid[..., None], pixels, np.uint8(0)), valid


def _opaque(content: bytes, side: int) -> Bool[np.ndarray, "s s"]:
    """Where a tile that decodes is more opaque than not."""
    with Image.open(io.BytesIO(content), formats=FORMATS) as image:
        if not image.has_transparency_data:
            return np.ones((side, side), np.bool_)
        return np.asarray(image.convert("RGBA").getchannel("A")) >= 128
