"""The one door to files that somebody names: in a table, a list, a card, or on the command line.

A pipe or a device is waited for or read for ever, and some of the system's files (/proc) have no end. So a file is
looked at before it is opened, opened without waiting, looked at again, and read no further than its size.
"""

import errno
import io
import os
import stat
from collections.abc import Collection
from pathlib import Path

import numpy as np

from aenet.io.errors import AenetError, CorruptArtifact

SHORT = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)  # what this machine lacks, and no fault of a file
_WITHOUT_WAITING = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
_PARQUET = b"PAR1"  # how such a file begins


class CannotRead(AenetError):
    """A file that is not there, may not be read, or is no regular file; `reason` is the sentence without its name."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path} {reason}")
        self.reason = reason


def open_plain(path: Path) -> io.BufferedReader:
    """Open a regular file (links are followed) to read its bytes; anything else is never opened.

    Raises:
        CannotRead: missing, forbidden, or a folder, pipe, device or socket.
        OSError: this machine has no handle or memory left.
    """
    try:
        _check_regular(path, path.stat())
        stream = os.fdopen(os.open(path, _WITHOUT_WAITING), "rb")
    except OSError as error:
        if error.errno in SHORT:
            raise
        raise CannotRead(path, f"cannot be read ({error.strerror})") from error
    except ValueError as error:
        if isinstance(error, AenetError):
            raise
        raise CannotRead(path, "cannot be read (its name holds a NUL byte, so no file has it)") from error
    try:
        _check_regular(path, os.fstat(stream.fileno()))  # it may have been exchanged meanwhile
    except CannotRead:
        stream.close()
        raise
    return stream


def read_plain(path: Path, limit: int) -> bytes:
    """Return the bytes of a regular file, as many as its size says.

    Raises:
        CannotRead: as `open_plain`, or it has more than `limit` bytes.
        OSError: this machine has no handle or memory left.
    """
    with open_plain(path) as stream:
        return read_opened(path, stream, size_within(path, stream, limit))


def size_within(path: Path, stream: io.BufferedReader, limit: int) -> int:
    """Return the bytes of an opened file.

    Raises:
        CannotRead: more than `limit`.
    """
    size = os.fstat(stream.fileno()).st_size
    if size > limit:
        raise CannotRead(path, f"has {_mb(size)} MB, the limit is {_mb(limit)} MB")
    return size


def read_opened(path: Path, stream: io.BufferedReader, size: int) -> bytes:
    """Return the next `size` bytes of an opened file.

    Raises:
        CannotRead: the disk does not give them.
        OSError: this machine has no memory left.
    """
    try:
        return stream.read(size)
    except OSError as error:
        if error.errno in SHORT:
            raise
        raise CannotRead(path, f"cannot be read ({error.strerror})") from error


def no_parquet(path: Path) -> str:
    """Say why a file is no table of Parquet that can be read, in our words: pyarrow has a dozen others."""
    with open_plain(path) as stream:
        begins = stream.read(len(_PARQUET))
    return "it is damaged or cut short" if begins == _PARQUET else "it does not begin as Parquet does"


def check_plain(path: Path) -> None:
    """Refuse what `open_plain` refuses, for libraries that open a file by its name.

    Raises:
        CannotRead: missing, forbidden, or a folder, pipe, device or socket.
    """
    open_plain(path).close()


def _check_regular(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise CannotRead(path, "cannot be read (not a regular file)")


def _mb(size: int) -> str:
    return f"{size / 1e6:,.0f}" if size >= 1e6 else f"{size / 1e6:.3g}"


# Arrays in files of numpy's: the one door through which those come that may be damaged, or anybody's.


def open_array(path: Path, kinds: Collection[str], shape: tuple[int | None, ...]) -> np.ndarray:
    """Return the read-only memory map of an array in a `.npy` file.

    Args:
        path: the file.
        kinds: numpy's names of the types it may be of: `float32`.
        shape: its length on every axis; None where any will do.

    Raises:
        CorruptArtifact: it is no such file, or of another type or shape.
    """
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # numpy raises half a dozen kinds for damaged files
        raise CorruptArtifact(f"{path} is no array, or damaged: make {path.parent} again") from error
    if not isinstance(array, np.ndarray):
        raise CorruptArtifact(f"{path} is an archive, an array is needed: make {path.parent} again")
    right = array.dtype.isnative and array.dtype.name in kinds and array.flags.c_contiguous
    if (
        not right
        or len(shape) != array.ndim
        or any(n not in (None, m) for n, m in zip(shape, array.shape, strict=True))
    ):
        wanted = " x ".join("any" if length is None else f"{length:,}" for length in shape)
        raise CorruptArtifact(
            f"{path} holds {array.dtype} of {' x '.join(f'{length:,}' for length in array.shape)}, "
            f"{' or '.join(kinds)} of {wanted} is needed: make {path.parent} again"
        )
    return array
