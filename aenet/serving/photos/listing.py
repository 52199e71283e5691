"""Which photos: a file, a folder, a glob pattern, a text list, or a table with a `path` column.

The photo list is ordered and carries size and time of every file: it is part of a job's identity, so that a
resumed job answers for the same photos. It is a snapshot: what comes to the folder later is no part of it
(`newcomers` counts that), what changes or goes meanwhile becomes an error row. Nothing is decoded here.
"""

import glob
import hashlib
import os
from pathlib import Path

import numpy as np
import pandas as pd

from aenet.errors import AenetError
from aenet.serving.photos.decoding import HEIC_SUFFIXES
from aenet.serving.photos.phototable import read_list, read_table

SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp", *HEIC_SUFFIXES)
TABLES = (".csv", ".parquet")
LISTS = (".txt", ".lst")
COLUMNS = ("photo", "path", "bytes", "mtime_ns", "true_latitude", "true_longitude", "heading_deg", "fov_deg")


def list_photos(source: str | Path) -> pd.DataFrame:
    """Return one row per photo.

    Args:
        source: an image file; a folder, searched recursively in sorted order for files whose name ends in one
            of SUFFIXES (hidden ones left out); a glob pattern (`**` recurses); a list (.txt, .lst) of one path a
            line, or of paths that each end in a NUL as `find -print0` writes them; or a CSV or Parquet table with a
            column `path`, see `phototable.read_table`. Paths are relative to the list or table.

    Returns:
        Columns COLUMNS: `photo` is the name shown to people (relative to the folder or table, unique), `path`
        the file system's own bytes, `bytes` -1 where the file is missing (that photo becomes an error row);
        `true_*`, `heading_deg` and `fov_deg` are the table's own, NaN where it says none. `attrs["ignored"]` counts
        a folder's files that no name ending makes a photo.

    Raises:
        AenetError: nothing there, a table without `path` or with impossible values, or a photo listed twice.
    """
    path = Path(source)
    ignored = 0
    if path.is_dir():
        (files, ignored), root = _walk(path), path
    elif path.is_file() and path.suffix.lower() in TABLES:
        names, told = read_table(path)
        return _frame(names, [path.parent / name for name in names]).assign(**told)
    elif path.is_file() and path.suffix.lower() in LISTS:
        files = read_list(path)
        return _frame([readable(file) for file in files], [path.parent / file for file in files])
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


def newcomers(source: str | Path, photos: pd.DataFrame) -> int:
    """Return how many photos `source` has by now that the list `photos`, made of it earlier, has not."""
    try:
        return int((~list_photos(source)["path"].isin(set(photos["path"]))).sum())
    except AenetError:  # gone altogether
        return 0


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


def _frame(names: list[str], files: list[Path]) -> pd.DataFrame:
    stats = [_stat(file) for file in files]
    frame = pd.DataFrame(
        {
            "photo": names,
            "path": [os.fsencode(file.absolute()) for file in files],
            "bytes": [size for size, _ in stats],
            "mtime_ns": [time for _, time in stats],
        }
        | {name: np.full(len(files), np.nan) for name in COLUMNS[4:]},
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
