"""Lists of photos that people write: a text file of paths, or a table with what is known of each photo."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from aenet.serving.photos.lens import NARROWEST_DEG
from aenet.usertables import HEADING, LATITUDE, LONGITUDE, PATH, check_together, is_header, named, read_table
from aenet.usertext import found_name, read_list

# Column of the user's table -> column of the photo list, and the values that are possible.
_KNOWN = {
    "latitude": ("true_latitude", -90.0, 90.0),
    "longitude": ("true_longitude", -180.0, 180.0),
    "heading": ("heading_deg", -360.0, 360.0),
    "fov": ("fov_deg", NARROWEST_DEG, 360.0),
}
_ALIASES = {
    "path": PATH,
    "latitude": LATITUDE,
    "longitude": LONGITUDE,
    "heading": HEADING,
    "fov": ("field_of_view", "hfov", "horizontal_fov", "horizontal_field_of_view"),
}


class PhotoTable(NamedTuple):
    """What a table says of photos.

    Attributes:
        names: paths as written, or as they lie there (`usertext.found_name`).
        told: for each known column its values, NaN where empty, under its name in the photo list.
        notices: what the user should read.
    """

    names: list[str]
    told: dict[str, Float64[np.ndarray, " n"]]
    notices: tuple[str, ...]


def read_photo_list(file: Path) -> list[str] | PhotoTable:
    """Return the paths in a text list, or what the file says if it begins as a table does.

    Raises:
        AenetError: the file cannot be read or lists nothing, or see `read_photo_table`.
    """
    if is_header(file, _ALIASES):
        return read_photo_table(file)
    return [found_name(name, file.parent) for name in read_list(file)]


def read_photo_table(file: Path) -> PhotoTable:
    """Return the paths of a CSV or Parquet table and what it says of the photos.

    Optional columns, in degrees, empty where unknown: `latitude` and `longitude` (WGS84, the true position),
    `heading` (of the centre column, clockwise from true north) and `fov` (horizontal field of view, 360 for a whole
    panorama). They override what the photo's own metadata say. See `usertables` for how they may be written.

    Raises:
        AenetError: not a readable table, no column `path`, no rows, an empty path, or a value that is no number or
            out of range.
    """
    table = named(read_table(file), _ALIASES, ("path",), (("latitude", "longitude"),))
    names = [found_name(name, file.parent) for name in table.texts("path", "the path of a photo")]
    known = {name: table.numbers(name, low, high) for name, (_, low, high) in _KNOWN.items() if name in table.rows}
    if "latitude" in known:
        check_together(table, "latitude", "longitude", known)
    told = {_KNOWN[name][0]: values for name, values in known.items()}
    return PhotoTable(names, told, tuple(table.notices()))
