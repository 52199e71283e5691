"""What a disk refuses, said in one sentence."""

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import disk_usage

from aenet.io.errors import AenetError
from aenet.io.plainfiles import SHORT

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_READ_ONLY = (errno.EACCES, errno.EPERM, errno.EROFS)
_CUT = re.compile(r"\d+ requested and \d+ written")  # numpy's words, without a number


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turn what goes wrong with writing into `folder`, which need not exist, into a sentence.

    Errors about other files pass as they are. The sentence promises that nothing finished is lost: for writers that go
    on where they stopped, and replace files in one step (`atomic.atomic_file`).

    Raises:
        AenetError: the disk is full, or does not let us write; which of them, and the way out.
    """
    try:
        yield
    except OSError as error:
        if error.errno in SHORT or not _is_ours(folder, error):
            raise
        # By number: libraries put sentences of their own, or of Arrow's, in place of the system's.
        reason = os.strerror(error.errno) if error.errno else f"a write came short: {error}"
        raise AenetError(
            f"{folder} cannot be written ({reason}{_room(folder) if _is_full(error) else ''}): "
            f"what is finished is kept; {_way_out(error)}"
        ) from error


def _is_ours(folder: Path, error: OSError) -> bool:
    """True for what happened to a file below the folder.

    An error that names no file is about one that was open: those that grow are written here, but others are only read.
    """
    if isinstance(error.filename, str | bytes):
        return Path(os.fsdecode(error.filename)).absolute().is_relative_to(folder.absolute())
    return _is_full(error) or error.errno in _READ_ONLY or error.errno == errno.EIO


def _is_full(error: OSError) -> bool:
    return error.errno in _FULL or (error.errno is None and bool(_CUT.search(str(error))))


def _room(folder: Path) -> str:
    free = disk_usage(next(path for path in (folder, *folder.absolute().parents) if path.exists())).free
    return f"; {free / 1e6:,.3f} MB free on its disk"


def _way_out(error: OSError) -> str:
    if _is_full(error):
        return "make room and run the same command again to go on"
    if error.errno in _READ_ONLY:
        return "give yourself the right to write there, or another folder, and run the same command again to go on"
    return "fix that and run the same command again to go on"
