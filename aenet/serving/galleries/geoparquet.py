"""A table of places as GeoParquet 1.1 (https://geoparquet.org): points in WGS84, without loading geopandas for it."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from aenet.atomic import atomic_file

_POINT = np.dtype([("order", "u1"), ("type", "<u4"), ("x", "<f8"), ("y", "<f8")])  # well-known binary


def write_points(path: Path, frame: pd.DataFrame) -> None:
    """Write a table with its columns longitude and latitude as points `geometry`, wholly or not at all."""
    points = np.zeros(len(frame), _POINT)
    points["order"], points["type"] = 1, 1
    points["x"], points["y"] = frame["longitude"], frame["latitude"]
    table = pa.Table.from_pandas(frame, preserve_index=False)
    table = table.append_column("geometry", pa.array([point.tobytes() for point in points], pa.binary()))
    # No `crs`: longitude and latitude in WGS84 is what the format takes then.
    column = {"encoding": "WKB", "geometry_types": ["Point"]}
    geo = json.dumps({"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": column}})
    with atomic_file(path) as temporary:
        pq.write_table(
            table.replace_schema_metadata({**(table.schema.metadata or {}), b"geo": geo.encode()}), temporary
        )
