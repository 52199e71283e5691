"""Which way the rows of a tile tree count: from the north (XYZ) or from the south (TMS).

Numbers cannot tell: a tree read the wrong way is a tree as far in the other hemisphere. A `tilemapresource.xml` at its
root, as gdal2tiles and MapTiler write it, says TMS and which profile the tiles have. Else the pictures tell: rows of
pixels that meet are alike.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from xml.parsers import expat

import numpy as np

from aenet.errors import AenetError
from aenet.serving.maps.canvas import Pixels

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


def check_rows(root: Path, tiles: Mapping[tuple[int, int], Path], read: Callable[[Path], Pixels], tms: bool) -> bool:
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
        way_out = "add --tms"
        if tms:
            way_out = f"remove {RESOURCE}" if (root / RESOURCE).is_file() else "leave --tms away"
        raise AenetError(
            f"{root}: its tiles do not fit together with y counted from the {'south' if tms else 'north'} (their edges "
            f"differ by {here:.1f} grey levels, by {other:.1f} when counted the other way): {way_out}"
        )
    return bool(here < _DECISIVE * other)


def _steps(upper: Pixels, lower: Pixels) -> tuple[float, float] | None:
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
        raise AenetError(f"{file} has a document type, which is not read: delete it, and say --tms where y counts so")

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
            f"{file} is not readable XML ({fault}): delete it, and add --tms if y counts from the south"
        ) from error
    return found[0] if found else "none"
