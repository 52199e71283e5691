"""Where an opened raster lies: its own coordinate system and position, else those of the files beside it."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from affine import Affine
from pyproj import CRS
from pyproj.exceptions import CRSError

from aenet.io.errors import AenetError
from aenet.serving.maps.canvas import Frame, check_corners
from aenet.serving.maps.coordinates import system_of

# Files beside a GeoTIFF: what of them is used, and what is only named.
#
#     map.tfw, map.tifw, map.wld   six numbers that place the pixels: used where the map itself has no position
#     map.prj                      a coordinate system as WKT: used where the map itself has none
#     map.tif.msk                  a GeoTIFF of one band, zero where there is no map: used
#     map.tif.aux.xml, .ovr        never read: the first may refer to any file, the second only repeats the map
#
# They come from anybody, as the map does. So none is left to GDAL, which would open them with any driver: text is read
# here, up to a bound, and a mask passes the same door as the map.

_WORLD = (".tfw", ".tifw", ".tiffw", ".wld")
_WORLD_BYTES, _TEXT_BYTES, _AUX_BYTES = 4096, 1 << 16, 1 << 20
# What a .aux.xml may hold that changes a map; statistics and histograms do not.
_PLACING = re.compile(rb"<(SRS|GeoTransform|GCPList|NoDataValue|ColorInterp|MaskBand|Overview)\b", re.IGNORECASE)
WAY_OUT = "`gdal_translate --config GDAL_TIFF_INTERNAL_MASK YES` writes all that is beside a map into a new one"


def world_file(path: Path) -> tuple[Path, Affine] | None:
    """Return a map's world file and its transform from columns and rows (of pixels' corners) to coordinates.

    Raises:
        AenetError: there is one, and it does not hold six numbers.
    """
    file = _first(path, [path.with_suffix(suffix) for suffix in _WORLD])
    if file is None:
        return None
    try:
        a, d, b, e, x, y = (float(word) for word in _text(file, _WORLD_BYTES).split())
    except ValueError as error:
        raise AenetError(f"{file} is no world file: six numbers are needed, a line each") from error
    if not np.isfinite([a, d, b, e, x, y]).all():
        raise AenetError(f"{file} is no world file: one of its six numbers is not finite")
    # The last two are the centre of the first pixel.
    return file, Affine(a, b, x - (a + b) / 2, d, e, y - (d + e) / 2)


def system_file(path: Path) -> tuple[Path, CRS] | None:
    """Return the file beside a map that names a coordinate system, and that system.

    Raises:
        AenetError: there is one, and it is not WKT.
    """
    file = _first(path, [path.with_suffix(".prj")])
    if file is None:
        return None
    text = _text(file, _TEXT_BYTES).strip()
    try:
        return file, system_of(text, file)
    except CRSError as error:
        raise AenetError(f"{file} names no system in WKT: assign one with `gdal_edit.py -a_srs EPSG:...`") from error


def mask_file(path: Path) -> Path | None:
    """Return the file beside a map that says where it is none."""
    return _first(path, [path.with_name(path.name + ".msk")])


def unread(path: Path) -> list[str]:
    """Say what lies beside a map and is not read although it may matter, with the way out."""
    notes = []
    if (aux := _first(path, [path.with_name(path.name + ".aux.xml")])) is not None:
        with aux.open("rb") as stream:
            content = stream.read(_AUX_BYTES)
        if held := sorted({name.decode() for name in _PLACING.findall(content)}):
            notes.append(f"the .aux.xml beside it is not read, which holds {', '.join(held)}: {WAY_OUT}")
    if _first(path, [path.with_name(path.name + ".ovr")]) is not None:
        notes.append("the .ovr beside it is not read: the map's own pixels are, which takes longer")
    return notes


def _first(path: Path, names: list[Path]) -> Path | None:
    """Return the first of some files that exists, the ending in small or in capital letters."""
    for name in names:
        for file in (name, name.with_suffix(name.suffix.upper())):
            if file != path and file.is_file():
                return file
    return None


def _text(file: Path, limit: int) -> str:
    with file.open("rb") as stream:
        return stream.read(limit).decode("utf-8-sig", errors="replace")


_EARTH_M = (6.3e6, 6.4e6)  # every ellipsoid and sphere ever used for the Earth has its radius in here
_TURNED_PX = 0.01  # by which rotation may move a pixel over the whole map: less is rounding
_APART_PX = 0.5  # by which a world file may be off the map's own position


@dataclass(frozen=True)
class Georeference:
    """Where a raster lies, the files beside it that say so, and what is to be said of that."""

    frame: Frame
    beside: tuple[Path, ...]
    notes: tuple[str, ...]


def georeference(dataset: Any, path: Path) -> Georeference:
    """Return where a raster lies.

    Raises:
        AenetError: it is not known, not on the Earth, or not north up.
    """
    system, used = _own_system(dataset, path), []
    if system is None and (found := system_file(path)):
        used.append(found[0])
        system = found[1]
    transform, notes = dataset.transform, []
    if not transform.is_identity:
        notes = _other_position(dataset, path)
    elif not dataset.gcps[0] and (placed := world_file(path)):
        used.append(placed[0])
        transform = placed[1]
    problem = _system_problem(dataset, system) or _grid_problem(dataset, transform)
    if system is None or problem:
        raise AenetError("; ".join([f"{path} {problem}", *unread(path)]))
    frame = Frame(
        _flat(system).to_wkt(), transform.c, transform.f, transform.a, -transform.e, dataset.height, dataset.width
    )
    check_corners(frame, path)
    return Georeference(frame, tuple(used), tuple(notes))


def _own_system(dataset: Any, path: Path) -> CRS | None:
    if dataset.crs is None:
        return None
    try:
        return system_of(dataset.crs.to_wkt(), path)
    except CRSError as error:
        raise AenetError(
            f"{path} has a coordinate system that is not understood: assign one with `gdal_edit.py -a_srs EPSG:...`"
        ) from error


def _flat(system: CRS) -> CRS:
    """Leave heights away: a map with them lies where one without them does."""
    return system.to_2d() if system.is_compound or len(system.axis_info) > 2 else system


def _system_problem(dataset: Any, system: CRS | None) -> str | None:
    """Return why a system cannot be used and the way out, or None."""
    if system is None:
        if dataset.gcps[0] or dataset.rpcs:
            return "is placed by control points alone: rectify it with `gdalwarp -t_srs EPSG:...`"
        return "has no coordinate system, nor is there a .prj beside it: assign one with `gdal_edit.py -a_srs EPSG:...`"
    if not (system.is_projected or system.is_geographic):
        return "has a local coordinate system without a place on Earth: georeference it first"
    ellipsoid = _flat(system).ellipsoid
    radius = ellipsoid.semi_major_metre if ellipsoid else 0.0
    if not _EARTH_M[0] < radius < _EARTH_M[1]:
        return f"is not of the Earth: the body of its coordinate system ({system.name}) has a radius of {radius:,.0f} m"
    return None


def _grid_problem(dataset: Any, transform: Affine) -> str | None:
    if transform.is_identity:
        return (
            "has a coordinate system but no position in it, nor is there a world file (.tfw) beside it: "
            "give it one with `gdal_edit.py -a_ullr`"
        )
    turned = abs(transform.b) * dataset.height, abs(transform.d) * dataset.width
    if (
        transform.a <= 0
        or transform.e >= 0
        or turned[0] > _TURNED_PX * transform.a
        or turned[1] > _TURNED_PX * -transform.e
    ):
        return "is rotated or not north up: straighten it with `gdalwarp`"
    return None


def _other_position(dataset: Any, path: Path) -> list[str]:
    """Say of a world file beside a map that has a position of its own that it says another."""
    try:
        placed = world_file(path)
    except AenetError as error:
        return [f"{error}; the map's own position is taken"]
    if placed is None or (pixels := _apart_px(dataset, placed[1])) <= _APART_PX:
        return []
    return [f"{placed[0].name} beside it lies {pixels:,.1f} px off the map's own position, which is taken"]


def _apart_px(dataset: Any, transform: Affine) -> float:
    """How many of a raster's pixels another transform puts its corners elsewhere, at most."""
    own = dataset.transform
    corners = np.array([[0, 0, 1], [dataset.width, dataset.height, 1]]).T
    apart = (np.array(own).reshape(3, 3) - np.array(transform).reshape(3, 3)) @ corners
    return float((np.abs(apart[:2]).max(axis=1) / np.abs([own.a, own.e])).max())
