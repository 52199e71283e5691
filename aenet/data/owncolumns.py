"""Names under which the columns of a user's table are known."""

import pandas as pd

from aenet.errors import AenetError

ALIASES = {
    "pair_id": ("id", "name"),
    "ground": ("ground_path", "panorama", "panorama_path", "street", "streetview", "query"),
    "aerial": ("aerial_path", "satellite", "satellite_path", "tile", "tile_path", "reference"),
    "latitude": ("lat", "ground_latitude", "ground_lat"),
    "longitude": ("lon", "lng", "long", "ground_longitude", "ground_lon"),
    "aerial_latitude": ("aerial_lat", "satellite_latitude", "satellite_lat", "tile_latitude", "tile_lat"),
    "aerial_longitude": ("aerial_lon", "satellite_longitude", "satellite_lon", "tile_longitude", "tile_lon"),
    "heading_deg": ("heading", "bearing", "compass"),
    "split": ("subset", "part"),
}
_NEEDED = ("ground", "aerial")
_TOGETHER = (("latitude", "longitude"), ("aerial_latitude", "aerial_longitude"))


def named(table: pd.DataFrame, name: str) -> tuple[pd.DataFrame, list[str]]:
    """Return the table under our own column names, and what the user should read.

    Case and surrounding spaces do not count. Columns of other names are left out, and named.

    Raises:
        AenetError: a column is missing, or two mean the same.
    """
    meaning = {alias: column for column, aliases in ALIASES.items() for alias in (column, *aliases)}
    found: dict[str, str] = {}
    unused = []
    for column in map(str, table.columns):
        known = meaning.get(column.strip().lower())
        if known is None:
            unused.append(column)
        elif known in found:
            raise AenetError(f"{name}: the columns {found[known]!r} and {column!r} both mean {known}: remove one")
        else:
            found[known] = column
    for column in _NEEDED:
        if column not in found:
            known_as = ", ".join((column, *ALIASES[column]))
            raise AenetError(f"{name} lacks a column for {column} ({known_as}); found: {_list(table.columns)}")
    for pair in _TOGETHER:
        if len(both := [column for column in pair if column in found]) == 1:
            raise AenetError(f"{name} has {both[0]} without {next(c for c in pair if c not in both)}: add it")
    notices = [f"{name}: columns not used: {_list(unused)}"] if unused else []
    if "latitude" not in found:
        notices.append(f"{name} has no latitude and longitude: no errors in metres can be reported")
    elif "aerial_latitude" not in found:
        notices.append(f"{name} has no aerial_latitude and aerial_longitude: no errors in metres can be reported")
    if "heading_deg" not in found:
        notices.append(f"{name} has no heading: every panorama is taken to have north in its centre column")
    renamed = table.rename(columns={column: known for known, column in found.items()})
    return renamed[list(found)], notices


def _list(columns: pd.Index | list[str]) -> str:
    return ", ".join(map(str, columns)) or "none"
