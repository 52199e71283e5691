"""The Earth is round: longitudes beyond 180 degrees, systems whose x comes round again, and what lies on both sides.

A map across 180 degrees keeps its pixels side by side: its x goes on beyond the meridian (or begins before -180), as a
map of 0 to 360 degrees does. Places come out between -180 and 180 all the same, and what is projected anew is brought
to the turn on which the map lies.
"""

import math
import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float
from pyproj import CRS, Transformer

from aenet.io.errors import AenetError

# Coordinate systems as WKT from anybody: they may name files, which PROJ would open by whatever name stands there.

_MOST = 1 << 16  # characters; the longest of EPSG's has some thousands
_NOTHING = re.compile(r"\+?nadgrids=@null(?=[\s\"])", re.IGNORECASE)  # GDAL's Web Mercator: no file
# Where a system or its way to WGS84 takes numbers from a file (grids of shifts or heights, lists of definitions), and
# PROJ's own language, in which anything may stand.
_FILES = re.compile(r"grids|parameterfile|\binit=|\bfile=|\bmodel=|proj-based|pipeline", re.IGNORECASE)


def system_of(text: str, said_by: Path) -> CRS:
    """Return the coordinate system of a text in WKT.

    Args:
        text: from a map, from beside it, or from a gallery.
        said_by: the file it stands in, for errors.

    Raises:
        AenetError: it names a file, or is longer than any system.
        pyproj.exceptions.CRSError: it is no WKT.
    """
    if len(text) > _MOST:
        raise AenetError(f"{said_by} names a coordinate system of {len(text):,} characters, which is none")
    if found := _FILES.search(_NOTHING.sub("", text)):
        raise AenetError(
            f"{said_by} has a coordinate system that takes numbers from a file ({found[0]}), which is not opened: "
            "assign an EPSG code instead with `gdal_edit.py -a_srs EPSG:...`"
        )
    return CRS.from_wkt(text)


_ROUND = 1e-9  # relative: by which degrees may differ in width, where all are said to be of one


def wrap(longitude: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Return longitudes in degrees between -180 and 180; those that are stay what they are, to the last bit."""
    return np.where(np.abs(longitude) <= 180, longitude, (longitude + 180) % 360 - 180)


@lru_cache(maxsize=32)
def turn_of(crs: str) -> float | None:
    """Return by how much x grows once around the Earth, in units of the system `crs` (WKT).

    None for systems whose x does not come round: all but degrees and cylindrical projections that are not transverse.
    """
    system = CRS.from_wkt(crs)
    degrees = system.geodetic_crs
    if degrees is None:
        return None
    around = 2 * math.pi / degrees.axis_info[0].unit_conversion_factor
    if system.is_geographic:
        return around
    to_grid = Transformer.from_crs(degrees, system, always_xy=True)
    unit = around / 360
    # One of the six may cross the seam, wherever that is.
    begins = np.arange(6) * 60 * unit + unit / 2
    steps = []
    for latitude in (0.0, 40 * unit):
        left, right = (to_grid.transform(x, np.full(6, latitude))[0] for x in (begins, begins + unit))
        with np.errstate(invalid="ignore"):  # projections that end somewhere
            steps.append(np.asarray(right) - np.asarray(left))
    step = float(np.median(steps))
    same = np.abs(np.concatenate(steps) - step) <= _ROUND * abs(step) + 1e-7
    return 360 * step if same.sum() >= 10 and step > 0 else None


def onto(x: Float[np.ndarray, "..."], middle: float, turn: float | None) -> Float[np.ndarray, "..."]:
    """Return x moved by whole turns to within half a turn of `middle`; as it is where the system has no turn."""
    return x if turn is None else np.asarray(x - turn * np.round((x - middle) / turn))


def side_by_side(spans: Sequence[tuple[float, float]], turn: float | None) -> list[int]:
    """Return by how many turns each span (left, right) is to be moved so that all lie together.

    They are where they are unless going round makes them lie closer: then the widest gap on the circle is outside.
    """
    nothing = [0] * len(spans)
    if turn is None or len(spans) == 1:
        return nothing
    base = spans[0][0]
    turns = [-math.floor((left - base) / turn + 1e-9) for left, _ in spans]
    order = sorted(range(len(spans)), key=lambda at: spans[at][0] + turns[at] * turn)
    reach, gap, first = -math.inf, -math.inf, 0
    for number, at in enumerate(order):
        left = spans[at][0] + turns[at] * turn
        if number and left - reach > gap:
            gap, first = left - reach, number
        reach = max(reach, spans[at][1] + turns[at] * turn)
    if spans[order[0]][0] + turns[order[0]] * turn + turn - reach < gap:
        for at in order[:first]:
            turns[at] += 1
    # The first file stays where it says it is.
    turns = [number - turns[0] for number in turns]
    return turns if _width(spans, turns, turn) < _width(spans, nothing, turn) * (1 - _ROUND) else nothing


def _width(spans: Sequence[tuple[float, float]], turns: Sequence[int], turn: float) -> float:
    moved = [(left + number * turn, right + number * turn) for (left, right), number in zip(spans, turns, strict=True)]
    return max(right for _, right in moved) - min(left for left, _ in moved)


def extent(latitude: Float[np.ndarray, " n"], longitude: Float[np.ndarray, " n"]) -> tuple[float, float, float, float]:
    """Return west, south, east, north of places in degrees; `west` above `east` goes across 180 degrees."""
    ordered = np.sort(longitude)
    gaps = np.append(np.diff(ordered), ordered[0] + 360 - ordered[-1])
    widest = int(np.argmax(gaps))
    west, east = ordered[(widest + 1) % len(ordered)], ordered[widest]
    return float(west), float(latitude.min()), float(east), float(latitude.max())


def in_box(
    box: tuple[float, float, float, float], latitude: Float[np.ndarray, " n"], longitude: Float[np.ndarray, " n"]
) -> Bool[np.ndarray, " n"]:
    """Return which places lie within west, south, east, north; `west` above `east` goes across 180 degrees."""
    west, south, east, north = box
    inside = (latitude >= south) & (latitude <= north)
    east_of, west_of = longitude >= west, longitude <= east
    return np.asarray(inside & (east_of & west_of if west <= east else east_of | west_of))
