"""Lists of photos that people write: a text file of paths, or a table with what is known of each photo."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float64

from aenet.errors import AenetError
from aenet.serving.photos.lens import NARROWEST_DEG

# Column of the user's table -> column of the photo list, and the values that are possible.
_KNOWN = {
    "latitude": ("true_latitude", -90.0, 90.0),
    "longitude": ("true_longitude", -180.0, 180.0),
    "heading": ("heading_deg", -360.0, 360.0),
    "fov": ("fov_deg", NARROWEST_DEG, 360.0),
}


def read_list(file: Path) -> list[Path]:
    """Return the paths of a text list, one a line; where the file holds a NUL, one up to each NUL.

    Raises:
        AenetError: the file cannot be read or lists nothing.
    """
    try:
        content = file.read_bytes().removeprefix(b"\xef\xbb\xbf")
    except OSError as error:
        raise AenetError(f"{file} cannot be read ({error.strerror})") from error
    parts = content.split(b"\0") if b"\0" in content else [line.rstrip(b"\r") for line in content.split(b"\n")]
    paths = [Path(os.fsdecode(part)) for part in parts if part.strip()]
    if not paths:
        raise AenetError(f"{file} lists no photos")
    return paths


def read_table(file: Path) -> tuple[list[str], dict[str, Float64[np.ndarray, " n"]]]:
    """Return the paths of a CSV or Parquet table, as written, and what it says of the photos.

    Optional columns, in degrees, empty where unknown: `latitude` and `longitude` (WGS84, the true position),
    `heading` (of the centre column, clockwise from true north) and `fov` (horizontal field of view, 360 for a whole
    panorama). They override what the photo's own metadata say.

    Returns:
        The paths, and for each known column its values (NaN where empty) under its name in the photo list.

    Raises:
        AenetError: not a readable table, no column `path`, no rows, an empty path, or a value that is no number or
            out of range.
    """
    rows = _read(file)
    if "path" not in rows.columns:
        raise AenetError(f"{file} has no column 'path'; it has {', '.join(map(str, rows.columns))}")
    if rows.empty:
        raise AenetError(f"{file} lists no photos")
    empty = rows["path"].isna() | (rows["path"].astype(str).str.strip() == "")
    if empty.any():
        raise AenetError(f"{file}: row {int(np.flatnonzero(empty)[0]) + 1} has an empty path")
    if len({"latitude", "longitude"} & set(rows.columns)) == 1:
        raise AenetError(f"{file} has one of the columns latitude and longitude: give both or none")
    told = {to: _numbers(file, rows, name, low, high) for name, (to, low, high) in _KNOWN.items() if name in rows}
    return [str(name) for name in rows["path"]], told


def _read(file: Path) -> pd.DataFrame:
    try:
        if file.suffix.lower() == ".parquet":
            return pd.read_parquet(file)
        # As text: `001`, `NA` and `null` are names that files have.
        return pd.read_csv(file, dtype=str, keep_default_na=False)
    except Exception as error:
        raise AenetError(f"{file} is not a readable table ({' '.join(str(error).split())})") from error


def _numbers(file: Path, rows: pd.DataFrame, name: str, low: float, high: float) -> Float64[np.ndarray, " n"]:
    given = rows[name]
    blank = given.isna() | given.astype(str).str.strip().str.lower().isin({"", "nan", "na", "null", "none"})
    values = pd.to_numeric(given.where(~blank), errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    if (broken := np.isnan(values) & ~blank.to_numpy()).any():
        raise AenetError(f"{file}: {name} {str(given[broken].iloc[0])!r} is no number")
    if (outside := (values < low) | (values > high)).any():
        limits = f"+-{high:g}" if low == -high else f"{low:g} to {high:g}"
        raise AenetError(f"{file}: {name} {values[outside][0]} is outside {limits} degrees")
    return np.asarray(values, dtype=np.float64)
