"""Write the table of places: GeoParquet for machines, CSV for spreadsheets."""

import re
from io import BytesIO, StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, assert_never

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from aenet.ingest.usertext import safe_cell
from aenet.io.atomic import atomic_file, write_bytes
from aenet.io.errors import CorruptArtifact

if TYPE_CHECKING:
    from geopandas import GeoDataFrame

# The columns of a places table.

SCHEMA = pa.schema(
    [
        ("photo", pa.string()),
        ("status", pa.string()),
        ("latitude", pa.float64()),
        ("longitude", pa.float64()),
        ("score", pa.float32()),
        ("margin", pa.float32()),
        ("tiles", pa.list_(pa.string())),
        ("scores", pa.list_(pa.float32())),
        ("reason", pa.string()),
        ("true_latitude", pa.float64()),
        ("true_longitude", pa.float64()),
        ("error_m", pa.float64()),
        ("heading_deg", pa.float64()),
        ("heading_from", pa.string()),
        ("confidence", pa.float64()),
        ("radius_m", pa.float64()),
        ("spread_m", pa.float64()),
        ("notes", pa.string()),
        ("photo_sha256", pa.string()),
    ]
)
"""The columns of a places table::

    photo           name in the photo list
    status          `ok`; `error` (then `reason` says why and the place is null); or `abstain`: the confidence is below
                    the one asked for, and the place is the best guess all the same
    latitude, longitude   WGS84 degrees of the best tile's centre, or near it where a refined place was asked for
    score           cosine similarity of photo and best tile, in [-1, 1]
    margin          score minus that of the best tile of another place, that is one farther from the best tile than
                    the gallery's spacing (a data set's tiles: half a tile). Where all of the first 32 tiles are the
                    same place it is taken from the last of them and is a lower bound; null with a single tile.
    tiles, scores   the best tiles, best first
    true_latitude, true_longitude   where it is known to be taken: the table's columns, else EXIF GPS; never used
                    for the search
    error_m         geodesic metres from the truth
    heading_deg     true azimuth of the photo's middle, 0 to 360
    heading_from    where it is from: `photo`, `table`, `matched` (the azimuth at which it fits the best tile best), or
                    `assumed north`
    confidence      probability that the photo was taken within 25 m of the place, if it was taken in the area that
                    was searched; this and the next two are null where the model has no calibration, and notes
                    say so
    radius_m        metres around the place that hold 90 % of the probability, the ground between tiles and the tiles
                    that are not listed among it
    spread_m        root mean square distance in metres of the listed tiles from the place, by their probability
    notes           what the photo says of itself that was corrected or left aside, and why; why there is no radius
    photo_sha256    digest of the file's bytes as read
"""


# The table of places in the formats of geographic information systems: GeoJSON, GeoPackage and KML.

Format = Literal["geojson", "gpkg", "kml"]
_LISTS = ("tiles", "scores")  # none of the three has a type for them
# https://www.w3.org/TR/xml/#charsets
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write_format(folder: Path, places: pa.Table, kind: Format) -> Path:
    """Write `folder/places.KIND`, wholly or not at all, and return its path.

    All rows are kept; a photo without a place has no geometry. KML shows a photo's name and status in its balloon, and
    only photos that have a place, for Google Earth shows nothing of others.
    """
    frame = places.to_pandas()
    for column in _LISTS:
        frame[column] = [" ".join(map(str, values)) if values is not None else None for values in frame[column]]
    table = with_points(frame)
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


def with_points(places: pd.DataFrame) -> "GeoDataFrame":
    """Return a places table as a GeoDataFrame in WGS84; rows without a place have no geometry."""
    import geopandas

    points = geopandas.points_from_xy(places["longitude"], places["latitude"])
    geometry = np.where(places["latitude"].notna().to_numpy(), points, None)
    return geopandas.GeoDataFrame(places, geometry=geometry, crs="EPSG:4326")


def _placemarks(table: Any) -> Any:
    """Rows with a place, under the two names KML has for text; characters that XML has not as Python writes them."""
    placed = table[table["latitude"].notna()].copy()
    for column in (name for name, kind in placed.dtypes.items() if kind in ("object", "str")):
        placed[column] = [_for_xml(cell) if isinstance(cell, str) else None for cell in placed[column]]
    return placed.assign(Name=placed["photo"], Description=placed["status"])


def _for_xml(text: str) -> str:
    return _NO_XML.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def write_geoparquet(path: Path, places: pa.Table) -> None:
    """Write the places with their points in WGS84 (no geometry for error rows), wholly or not at all."""
    with atomic_file(path) as temporary:
        with_points(places.to_pandas()).to_parquet(temporary, index=False)


def write_csv(path: Path, places: pa.Table) -> None:
    """Write the places as UTF-8 CSV, wholly or not at all.

    Lists become words separated by spaces. Text that a spreadsheet would take for a formula gets a leading apostrophe
    (see `usertext.safe_cell`); newlines and other characters stand as they are.
    """
    frame = places.to_pandas()
    frame["tiles"] = [" ".join(tiles) if tiles is not None else "" for tiles in frame["tiles"]]
    frame["scores"] = [_numbers(scores) for scores in frame["scores"]]
    for column in ("photo", "status", "tiles", "reason", "heading_from", "notes"):
        frame[column] = [safe_cell(cell) if isinstance(cell, str) else "" for cell in frame[column]]
    frame = frame.round({"latitude": 7, "longitude": 7, "true_latitude": 7, "true_longitude": 7, "error_m": 2})
    frame = frame.round({"heading_deg": 1, "confidence": 4, "radius_m": 1, "spread_m": 1})
    text = StringIO(newline="")
    frame.to_csv(text, index=False, lineterminator="\n")
    # Through bytes of known length: to_csv on a full disk leaves a short file without an error.
    write_bytes(path, text.getvalue().encode())


def read_places(path: Path) -> pd.DataFrame:
    """Read `places.parquet` back as a plain table, without geometry.

    Raises:
        CorruptArtifact: it is damaged, or lacks a column.
    """
    try:
        table = pq.read_table(path, columns=SCHEMA.names).cast(SCHEMA)
        table.validate(full=True)
        frame: pd.DataFrame = table.to_pandas()
    except Exception as error:  # pyarrow raises a dozen unrelated kinds
        raise CorruptArtifact(
            f"{path} is damaged: remove _SUCCESS beside it and run the job again, which makes it anew from its shards"
        ) from error
    return frame


def _numbers(values: np.ndarray | None) -> str:
    return "" if values is None else " ".join(f"{value:.4f}" for value in values)
