"""The table of places in the formats of geographic information systems: GeoJSON, GeoPackage and KML."""

import re
from io import BytesIO
from pathlib import Path
from typing import Any, Literal, assert_never

import numpy as np
import pyarrow as pa

from aenet.atomic import write_bytes

Format = Literal["geojson", "gpkg", "kml"]
_LISTS = ("tiles", "scores")  # none of the three has a type for them
# https://www.w3.org/TR/xml/#charsets
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write_format(folder: Path, places: pa.Table, kind: Format) -> Path:
    """Write `folder/places.KIND`, wholly or not at all, and return its path.

    All rows are kept; a photo without a place has no geometry. KML shows a photo's name and status in its balloon, and
    only photos that have a place, for Google Earth shows nothing of others.
    """
    import geopandas

    frame = places.to_pandas()
    for column in _LISTS:
        frame[column] = [" ".join(map(str, values)) if values is not None else None for values in frame[column]]
    points = geopandas.points_from_xy(frame["longitude"], frame["latitude"])
    geometry = np.where(frame["latitude"].notna().to_numpy(), points, None)
    table = geopandas.GeoDataFrame(frame, geometry=geometry, crs="EPSG:4326")
    path = folder / f"places.{kind}"
    # In memory first: GDAL's KML writer answers a full disk with a short file and no error, the others with riddles.
    content = BytesIO()
    match kind:
        case "geojson":
            table.to_file(content, driver="GeoJSON", layer="places", engine="pyogrio")
        case "gpkg":
            table.to_file(content, driver="GPKG", layer="places", engine="pyogrio")
        case "kml":
            _placemarks(table).to_file(content, driver="KML", layer="places", engine="pyogrio")
        case _:
            assert_never(kind)
    write_bytes(path, content.getvalue())
    return path


def _placemarks(table: Any) -> Any:
    """Rows with a place, under the two names KML has for text; characters that XML has not as Python writes them."""
    placed = table[table["latitude"].notna()].copy()
    for column in (name for name, kind in placed.dtypes.items() if kind in ("object", "str")):
        placed[column] = [_for_xml(cell) if isinstance(cell, str) else None for cell in placed[column]]
    return placed.assign(Name=placed["photo"], Description=placed["status"])


def _for_xml(text: str) -> str:
    return _NO_XML.sub(lambda found: found[0].encode("unicode_escape").decode(), text)
