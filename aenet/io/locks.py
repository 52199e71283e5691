"""One writer at a time: advisory file locks that the kernel releases when their process dies."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aenet.io.diskspace import writing
from aenet.io.errors import AenetError
from aenet.io.nolinks import open_unlinked

_SIGNATURE_BYTES = 20  # always as many: to sign again takes no new room on the disk


@contextmanager
def hold(path: Path, what: str) -> Iterator[None]:
    """Hold an exclusive lock on `path` (made if absent, left in place), or refuse.

    Raises:
        AenetError: another process, or another thread of this one, holds it; `what` names the thing locked. Or there
            is no room for the lock on the disk.
        CorruptArtifact: a link or something else that is no file lies there.
    """
    with _opened(path) as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(handle, 32, 0).decode(errors="replace").strip() or "unknown"
            raise AenetError(
                f"{what} is in use by another run (process {owner}): wait for it, or give another output folder"
            ) from None
        _sign(handle, path)
        yield


@contextmanager
def wait_for(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on `path` (made if absent, left in place); wait for as long as another holds it.

    Raises:
        AenetError: there is no room for the lock on the disk.
        CorruptArtifact: as `hold`.
    """
    with _opened(path) as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        _sign(handle, path)
        yield


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    with writing(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = open_unlinked(path, os.O_RDWR | os.O_CREAT)
    try:
        yield handle
    finally:
        os.close(handle)  # closing releases the lock


def _sign(handle: int, path: Path) -> None:
    with writing(path.parent):
        os.pwrite(handle, str(os.getpid()).ljust(_SIGNATURE_BYTES).encode(), 0)
