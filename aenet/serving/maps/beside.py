"""Files beside a GeoTIFF: what of them is used, and what is only named.

    map.tfw, map.tifw, map.wld   six numbers that place the pixels: used where the map itself has no position
    map.prj                      a coordinate system as WKT: used where the map itself has none
    map.tif.msk                  a GeoTIFF of one band, zero where there is no map: used
    map.tif.aux.xml, .ovr        never read: the first may refer to any file, the second only repeats the map

They come from anybody, as the map does. So none is left to GDAL, which would open them with any driver: text is read
here, up to a bound, and a mask passes the same door as the map.
"""

import re
from pathlib import Path

import numpy as np
from affine import Affine
from pyproj import CRS
from pyproj.exceptions import CRSError

from aenet.errors import AenetError
from aenet.serving.maps.systems import system_of

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
