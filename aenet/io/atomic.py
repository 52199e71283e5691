"""A file whole or not at all: write beside, sync, rename.

A killed process leaves at most a temporary sibling (`.name.PID.XXXX.tmp`), which the next write of the
same file sweeps away.
"""

import glob
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it is synced and renamed onto `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sweep(path)
    temporary = temporary_sibling(path)
    temporary.touch(exist_ok=False)  # with the rights that the umask leaves; nobody's link is followed
    try:
        yield temporary
        sync_to_disk(temporary)
        temporary.replace(path)
        sync_to_disk(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path`, wholly or not at all."""
    with atomic_file(path) as temporary:
        temporary.write_bytes(content)


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON; NaN is refused because it is not JSON."""
    write_bytes(path, (json.dumps(value, indent=2, allow_nan=False) + "\n").encode())


def write_parquet(path: Path, frame: "pd.DataFrame") -> None:
    """Write a data frame as Parquet, wholly or not at all."""
    with atomic_file(path) as temporary:
        frame.to_parquet(temporary, index=False)


def temporary_sibling(path: Path) -> Path:
    """Return a new name beside `path`, which `sweep` finds once this process is dead."""
    return path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")


def sweep(path: Path) -> None:
    """Remove what dead writers of `path` left behind."""
    for orphan in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        writer = orphan.name.removeprefix(f".{path.name}.").split(".")[0]
        # No number: a neighbour, as `.town.png.PID...` is of `town`.
        if not writer.isdigit() or _alive(int(writer)):
            continue
        if orphan.is_dir():
            shutil.rmtree(orphan, ignore_errors=True)
        else:
            orphan.unlink(missing_ok=True)


def sync_to_disk(path: Path) -> None:
    """Wait until a file's bytes, or a folder's names, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
