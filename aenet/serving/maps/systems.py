"""Coordinate systems as WKT from anybody: they may name files, which PROJ would open by whatever name stands there."""

import re
from pathlib import Path

from pyproj import CRS

from aenet.errors import AenetError

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
