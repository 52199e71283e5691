"""Where an opened raster lies: its own coordinate system and position, else those of the files beside it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from affine import Affine
from pyproj import CRS
from pyproj.exceptions import CRSError

from aenet.errors import AenetError
from aenet.serving.maps.beside import system_file, unread, world_file
from aenet.serving.maps.canvas import Frame, check_corners
from aenet.serving.maps.systems import system_of

_EARTH_M = (6.3e6, 6.4e6)  # every ellipsoid and sphere ever used for the Earth has its radius in here
_TURNED_PX = 0.01  # by which rotation may move a pixel over the whole map: less is rounding
_APART_PX = 0.5  # by which a world file may be off the map's own position


@dataclass(frozen=True)
class Place:
    """Where a raster lies, the files beside it that say so, and what is to be said of that."""

    frame: Frame
    beside: tuple[Path, ...]
    notes: tuple[str, ...]


def place(dataset: Any, path: Path) -> Place:
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
    return Place(frame, tuple(used), tuple(notes))


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
