"""Write the table of places: GeoParquet for machines, CSV for spreadsheets."""

from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from aenet.atomic import atomic_file, write_bytes
from aenet.errors import CorruptArtifact
from aenet.serving.jobs.schema import SCHEMA
from aenet.usertext import safe_cell


def write_geoparquet(path: Path, places: pa.Table) -> None:
    """Write the places with their points in WGS84 (no geometry for error rows), wholly or not at all."""
    import geopandas

    frame = places.to_pandas()
    placed = frame["latitude"].notna().to_numpy()
    points = geopandas.points_from_xy(frame["longitude"], frame["latitude"])
    geometry = np.where(placed, points, None)
    with atomic_file(path) as temporary:
        geopandas.GeoDataFrame(frame, geometry=geometry, crs="EPSG:4326").to_parquet(temporary, index=False)


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
