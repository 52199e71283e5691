"""Which photos: a file, a folder, a glob pattern, a text list, or a table with a `path` column.

The photo list is ordered and carries size and time of every file: it is part of a job's identity, so that a
resumed job answers for the same photos. It is a snapshot: what is added to the folder later is no part of it
(`newcomers` counts that), what changes or goes meanwhile becomes an error row. Nothing is decoded here.
"""

import glob
import hashlib
import os
from collections import deque
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float64

from aenet.ingest.usertables import HEADING, LATITUDE, LONGITUDE, PATH, check_together, is_header, named, read_table
from aenet.ingest.usertables import SUFFIXES as TABLES
from aenet.ingest.usertext import found_name, read_list
from aenet.io.errors import AenetError
from aenet.io.plainfiles import CannotRead, read_plain
from aenet.serving.photos.decoding import HEIC_SUFFIXES
from aenet.serving.photos.metadata.lens import NARROWEST_DEG

# Lists of photos that people write: a text file of paths, or a table with what is known of each photo.

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


SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp", *HEIC_SUFFIXES)
LISTS = (".txt", ".lst")
WORKBOOKS = (".xlsx", ".xls", ".ods", ".numbers")
_LINK_BYTES = 1024  # of a path
COLUMNS = ("photo", "path", "bytes", "mtime_ns", "true_latitude", "true_longitude", "heading_deg", "fov_deg")


Source = str | Path | tuple[str, ...]


def source_name(source: Source) -> str:
    """Return what stands for a source in a job's record: equal names are equal sources."""
    if not isinstance(source, tuple):
        return str(source)
    digest = hashlib.sha256("\0".join(source).encode("utf-8", "surrogateescape")).hexdigest()
    return f"a list of {len(source):,} photos ({digest[:12]})"


def list_photos(source: Source) -> pd.DataFrame:
    """Return one row per photo.

    Args:
        source: a tuple of paths of images; or an image file; a folder, searched recursively in sorted order for files
            whose name ends in one of SUFFIXES (hidden ones left out; linked folders are followed, each real folder
            once); a glob pattern (`**` recurses); a list (.txt, .lst) of one path a line, or of paths that each end in
            a NUL as `find -print0` writes them; or a CSV or Parquet table with a column `path`, see
            `read_photo_table`. Paths are relative to the list or table.

    Returns:
        Columns COLUMNS: `photo` is the name shown to people (relative to the folder or table, unique), `path`
        the file system's own bytes, `bytes` -1 where the file is missing (that photo becomes an error row);
        `true_*`, `heading_deg` and `fov_deg` are the table's own, NaN where it says none. `attrs["ignored"]` counts
        a folder's files that no name ending makes a photo; `attrs["notices"]` says what else the user should read.

    Raises:
        AenetError: nothing there, a table without `path` or with impossible values, or a photo listed twice.
    """
    if isinstance(source, tuple):
        return _frame([readable(Path(name)) for name in source], [Path(name) for name in source])
    path = Path(source)
    ignored = 0
    notices: list[str] = []
    if path.is_dir():
        (files, ignored, notices), root = _walk(path), path
    elif path.is_file() and path.suffix.lower() in TABLES:
        return _of_table(path, read_photo_table(path))
    elif path.is_file() and path.suffix.lower() in LISTS:
        listed = read_photo_list(path)
        if isinstance(listed, PhotoTable):
            return _of_table(path, listed)
        return _frame([readable(Path(name)) for name in listed], [path.parent / name for name in listed])
    elif path.is_file() and path.suffix.lower() in WORKBOOKS:
        raise AenetError(f"{path} is a spreadsheet's own file: save the table in it as CSV")
    elif path.is_file():
        files, root = [path], path.parent
    elif glob.has_magic(str(source)):
        names = sorted(glob.glob(str(source), recursive=True))  # noqa: PTH207  Path.glob takes no absolute pattern
        files, notices = _once([Path(name) for name in names if Path(name).is_file()])
        root = _common_folder(names)
    else:
        raise AenetError(f"{source} does not exist: give a photo, a folder, a pattern or a table with a path column")
    if not files:
        raise AenetError(f"{source}: no photos there (names ending in {', '.join(SUFFIXES)})")
    frame = _frame([readable(file.relative_to(root)) for file in files], files)
    frame.attrs |= {"ignored": ignored, "notices": notices}
    return frame


def newcomers(source: Source, photos: pd.DataFrame) -> int:
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
    return os.fsencode(path).decode("utf-8", "backslashreplace").replace("\0", "\\x00")


def _of_table(file: Path, table: PhotoTable) -> pd.DataFrame:
    shown = [name.replace("\0", "\\x00") for name in table.names]
    frame = _frame(shown, [file.parent / name for name in table.names]).assign(**table.told)
    frame.attrs["notices"] = list(table.notices)
    return frame


def _walk(folder: Path) -> tuple[list[Path], int, list[str]]:
    """Return the photos below a folder in order, how many other visible files there are, and what there is to say.

    Links to folders are followed after the folders themselves, in order, each real folder once; not those to what
    holds this folder, which would bring in everything beside it.
    """
    found: list[Path] = []
    ignored, refused, written = 0, 0, 0
    above, seen = {_real(parent) for parent in (folder.resolve(), *folder.resolve().parents)}, {_real(folder)}
    links: deque[Path] = deque()
    waiting = deque([folder])
    while waiting:
        for parent, folders, files in os.walk(waiting.popleft()):
            visible = sorted(name for name in folders if not name.startswith("."))
            links += [Path(parent, name) for name in visible if Path(parent, name).is_symlink()]
            folders[:] = [name for name in visible if not Path(parent, name).is_symlink()]
            folders[:] = [name for name in folders if not _was_seen(Path(parent, name), seen)]
            shown = [name for name in files if not name.startswith(".")]
            photos = [Path(parent, name) for name in shown if name.lower().endswith(SUFFIXES)]
            found += photos
            ignored += len(shown) - len(photos)
            written += sum(_is_written_link(Path(parent, name)) for name in shown if "." not in name)
        while links and not waiting:
            link = links.popleft()
            if _real(link) in above:
                refused += 1
            elif not _was_seen(link, seen):
                waiting.append(link)
    notices = [f"{refused:,} links to folders that hold {folder} were not followed"] if refused else []
    if written:
        notices.append(f"{written:,} links to folders, which a copy has made into files of text, were not followed")
    return sorted(found, key=os.fsencode), ignored, notices


def _is_written_link(file: Path) -> bool:
    """True if a file holds nothing but the path of a folder: git and archives write links so where there are none."""
    try:
        text = os.fsdecode(read_plain(file, _LINK_BYTES))
        return "\n" not in text and "\0" not in text and bool(text) and (file.parent / text).is_dir()
    except (CannotRead, OSError):  # larger, or nothing to be read
        return False


def _once(files: list[Path]) -> tuple[list[Path], list[str]]:
    """Each file of each real folder once: a pattern follows links, in circles too."""
    kept = {(_real(file.parent), file.name): file for file in reversed(files)}
    chosen = [file for file in files if kept[_real(file.parent), file.name] is file]
    again = len(files) - len(chosen)
    return chosen, [f"{again:,} photos were met again by links, and count once"] if again else []


def _was_seen(folder: Path, seen: set[tuple[int, int]]) -> bool:
    """True if a real folder was met before; it is from now on."""
    before = len(seen)
    seen.add(_real(folder))
    return len(seen) == before


def _real(folder: Path) -> tuple[int, int]:
    """What a folder is, however it is called; a broken link is itself."""
    try:
        status = folder.stat()
    except OSError:
        status = folder.lstat()
    return status.st_dev, status.st_ino


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
