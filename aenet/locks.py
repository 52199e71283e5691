"""One writer at a time: advisory file locks that the kernel releases when their process dies."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aenet.errors import AenetError


@contextmanager
def hold(path: Path, what: str) -> Iterator[None]:
    """Hold an exclusive lock on `path` (made if absent, left in place), or refuse.

    Raises:
        AenetError: another process, or another thread of this one, holds it; `what` names the thing locked.
    """
    with _opened(path) as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(handle, 32, 0).decode(errors="replace").strip() or "unknown"
            raise AenetError(
                f"{what} is in use by another run (process {owner}): wait for it, or give another output folder"
            ) from None
        _sign(handle)
        yield


@contextmanager
def wait_for(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on `path` (made if absent, left in place); wait for as long as another holds it."""
    with _opened(path) as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        _sign(handle)
        yield


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        yield handle
    finally:
        os.close(handle)  # closing releases the lock


def _sign(handle: int) -> None:
    os.ftruncate(handle, 0)
    os.pwrite(handle, str(os.getpid()).encode(), 0)
