"""Which photos: a file, a folder, a glob pattern, or a table with a `path` column.

The photo list is ordered and carries size and time of every file: it is part of a job's identity, so that a
resumed job answers for the same photos. Nothing is decoded here.
"""

import glob
import hashlib
import os
from pathlib import Path

import numpy as np
import pandas as pd

from aenet.errors import AenetError

SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp")
TABLES = (".csv", ".parquet")
COLUMNS = ("photo", "path", "bytes", "mtime_ns", "true_latitude", "true_longitude")


def list_photos(source: str | Path) -> pd.DataFrame:
    """Return one row per photo.

    Args:
        source: an image file; a folder, searched recursively in sorted order for files whose name ends in one
            of SUFFIXES (hidden ones left out); a glob pattern (`**` recurses); or a CSV or Parquet table with
            a column `path` (relative to the table) and, if known, `latitude` and `longitude` in WGS84 degrees.

    Returns:
        Columns COLUMNS: `photo` is the name shown to people (relative to the folder or table, unique), `path`
        the file system's own bytes, `bytes` -1 where the file is missing (that photo becomes an error row),
        `true_*` NaN where the table knows none. `attrs["ignored"]` counts a folder's files that no name ending
        makes a photo.

    Raises:
        AenetError: nothing there, a table without `path`, or a photo listed twice.
    """
    path = Path(source)
    ignored = 0
    if path.is_dir():
        (files, ignored), root = _walk(path), path
    elif path.is_file() and path.suffix.lower() in TABLES:
        return _from_table(path)
    elif path.is_file():
        files, root = [path], path.parent
    elif glob.has_magic(str(source)):
        names = sorted(glob.glob(str(source), recursive=True))  # noqa: PTH207  Path.glob takes no absolute pattern
        files, root = [Path(name) for name in names if Path(name).is_file()], _common_folder(names)
    else:
        raise AenetError(f"{source} does not exist: give a photo, a folder, a pattern or a table with a path column")
    if not files:
        raise AenetError(f"{source}: no photos there (names ending in {', '.join(SUFFIXES)})")
    frame = _frame([readable(file.relative_to(root)) for file in files], files)
    frame.attrs["ignored"] = ignored
    return frame


def photos_digest(photos: pd.DataFrame) -> str:
    """Return one digest of the list: names, files, sizes, times and the known positions, in order."""
    hasher = hashlib.sha256()
    for row in photos.itertuples(index=False):
        hasher.update(repr(tuple(row)).encode("utf-8", "backslashreplace") + b"\n")
    return hasher.hexdigest()


def readable(path: Path) -> str:
    """Return a path as text that can be written as UTF-8, whatever bytes the file system holds."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _walk(folder: Path) -> tuple[list[Path], int]:
    """Return the photos below a folder in order, and how many other visible files there are."""
    found: list[Path] = []
    ignored = 0
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        visible = [name for name in files if not name.startswith(".")]
        photos = [Path(parent, name) for name in visible if name.lower().endswith(SUFFIXES)]
        found += photos
        ignored += len(visible) - len(photos)
    return sorted(found, key=os.fsencode), ignored


def _common_folder(names: list[str]) -> Path:
    if not names:
        return Path()
    return Path(os.path.commonpath([str(Path(name).parent) for name in names]))


def _from_table(table: Path) -> pd.DataFrame:
    try:
        rows = pd.read_csv(table) if table.suffix.lower() == ".csv" else pd.read_parquet(table)
    except Exception as error:
        raise AenetError(f"{table} is not a readable table ({' '.join(str(error).split())})") from error
    if "path" not in rows.columns:
        raise AenetError(f"{table} has no column 'path'; it has {', '.join(map(str, rows.columns))}")
    if rows.empty:
        raise AenetError(f"{table} lists no photos")
    if rows["path"].isna().any():
        raise AenetError(f"{table}: row {int(np.flatnonzero(rows['path'].isna())[0]) + 1} has an empty path")
    names = [str(name) for name in rows["path"]]
    frame = _frame(names, [table.parent / name for name in names])
    if {"latitude", "longitude"} <= set(rows.columns):
        for column, limit in (("latitude", 90), ("longitude", 180)):
            values = pd.to_numeric(rows[column], errors="coerce").to_numpy(dtype=np.float64)
            if (outside := np.abs(values) > limit).any():
                raise AenetError(f"{table}: {column} {values[outside][0]} is outside +-{limit} degrees")
            frame[f"true_{column}"] = values
    return frame


def _frame(names: list[str], files: list[Path]) -> pd.DataFrame:
    stats = [_stat(file) for file in files]
    frame = pd.DataFrame(
        {
            "photo": names,
            "path": [os.fsencode(file.absolute()) for file in files],
            "bytes": [size for size, _ in stats],
            "mtime_ns": [time for _, time in stats],
            "true_latitude": np.full(len(files), np.nan),
            "true_longitude": np.full(len(files), np.nan),
        },
        columns=list(COLUMNS),
    )
    if (twice := frame["photo"].duplicated()).any():
        raise AenetError(f"photo {frame['photo'][twice].iloc[0]!r} is listed twice: every photo must stand once")
    return frame


def _stat(file: Path) -> tuple[int, int]:
    try:
        status = file.stat()
    except (OSError, ValueError):  # missing, or a name no file system takes
        return -1, 0
    return status.st_size, status.st_mtime_ns
