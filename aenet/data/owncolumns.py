"""Names under which the columns of a user's table are known."""

from aenet import usertables
from aenet.usertables import HEADING, LATITUDE, LONGITUDE, UserTable

ALIASES = {
    "pair_id": ("id", "name"),
    "ground": ("ground_path", "panorama", "panorama_path", "street", "streetview", "query"),
    "aerial": ("aerial_path", "satellite", "satellite_path", "tile", "tile_path", "reference"),
    "latitude": (*LATITUDE, "ground_latitude", "ground_lat"),
    "longitude": (*LONGITUDE, "ground_longitude", "ground_lon"),
    "aerial_latitude": ("aerial_lat", "satellite_latitude", "satellite_lat", "tile_latitude", "tile_lat"),
    "aerial_longitude": ("aerial_lon", "satellite_longitude", "satellite_lon", "tile_longitude", "tile_lon"),
    "heading_deg": HEADING,
    "split": ("subset", "part"),
}
_NEEDED = ("ground", "aerial")
TOGETHER = (("latitude", "longitude"), ("aerial_latitude", "aerial_longitude"))


def named(table: UserTable) -> tuple[UserTable, list[str]]:
    """Return the table under our own column names, and what the user should read.

    Raises:
        AenetError: a column is missing, or two mean the same.
    """
    known = usertables.named(table, ALIASES, _NEEDED, TOGETHER)
    notices, found = known.notices(), set(known.rows)
    if "latitude" not in found:
        notices.append(f"{table.path} has no latitude and longitude: no errors in metres can be reported")
    elif "aerial_latitude" not in found:
        notices.append(f"{table.path} has no aerial_latitude and aerial_longitude: no errors in metres can be reported")
    if "heading_deg" not in found:
        notices.append(f"{table.path} has no heading: every panorama is taken to have north in its centre column")
    return known, notices
