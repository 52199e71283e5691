"""What a disk refuses, said in one sentence."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import disk_usage

from aenet.errors import AenetError


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turn what goes wrong with writing into `folder`, which need not exist, into a sentence.

    Errors about other files pass as they are. The sentence promises that nothing finished is lost: for writers that go
    on where they stopped, and replace files in one step (`atomic.atomic_file`).

    Raises:
        AenetError: the disk is full, or does not let us write.
    """
    try:
        yield
    except OSError as error:
        if not _is_below(folder, error.filename):
            raise
        free = disk_usage(next(path for path in (folder, *folder.absolute().parents) if path.exists())).free
        # By number: libraries put sentences of their own, or of Arrow's, in place of the system's.
        reason = os.strerror(error.errno) if error.errno else f"a write came short: {error}"
        raise AenetError(
            f"{folder} cannot be written ({reason}; {free / 1e6:,.3f} MB free on its disk): "
            "what is finished is kept; make room and run the same command again to go on"
        ) from error


def _is_below(folder: Path, name: object) -> bool:
    """True also where the error names no file: then it is about a file that was open, and those are written here."""
    if not isinstance(name, str | bytes):
        return True
    return Path(os.fsdecode(name)).absolute().is_relative_to(folder.absolute())
