"""Unpack an archive from a stranger: only plain files below the folder, only so many, only so large.

Sizes are counted from the bytes that come out, never taken from headers; permissions, owners and times are not taken
at all. One refused member refuses the archive, and nothing of it remains.
"""

import lzma
import shutil
import struct
import tarfile
import unicodedata
import zipfile
import zlib
from pathlib import Path, PurePosixPath, PureWindowsPath

from aenet.data.archive.config import Progress, SourceConfig
from aenet.data.archive.members import Stream, members, too_large
from aenet.data.archive.zipdirectory import too_many
from aenet.errors import AenetError
from aenet.plainfiles import SHORT

_CHUNK = 1024 * 1024
_DAMAGED = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    OSError,  # bz2's own; those of the disk have a number
    RuntimeError,  # NotImplementedError and RecursionError too
    ValueError,  # names in no encoding, numbers without end
    LookupError,
    ArithmeticError,
    struct.error,
)
_LONGEST_NAME, _DEEPEST = 1024, 32


def unpack(archive: Path, folder: Path, config: SourceConfig, progress: Progress | None = None) -> None:
    """Unpack a zip or tar (plain, gzip, bzip2, xz) into the existing, empty `folder`.

    Raises:
        AenetError: another format, a damaged or encrypted archive, a name that is absolute, climbs out, stands twice or
            collides with another where case does not count, a link or device, or more bytes or members than
            `config` allows. The folder is then empty again.
    """
    writer = _Writer(archive.name, folder, config, progress)
    try:
        for name, stream in members(archive, config):
            writer.add(name, stream)
    except AenetError as error:
        _empty(folder)
        raise AenetError(_named(archive.name, str(error))) from error
    except _DAMAGED as error:
        _empty(folder)
        if isinstance(error, OSError) and error.errno in SHORT:
            raise
        if isinstance(error, OSError) and error.errno is not None:
            raise AenetError(
                f"{archive.name} cannot be unpacked into {folder} ({error.strerror}): nothing of it is kept; mend that "
                "and run it again"
            ) from error
        raise AenetError(
            f"{archive.name} cannot be unpacked: it is damaged or cut short; fetch it or pack it again"
        ) from error
    except BaseException:  # whatever it was, Ctrl-C too, nothing half unpacked may remain
        _empty(folder)
        raise


class _Writer:
    """Writes members below a folder and keeps the count of what came."""

    def __init__(self, archive: str, folder: Path, config: SourceConfig, progress: Progress | None) -> None:
        self._archive, self._folder, self._config, self._progress = archive, folder, config, progress
        self._bytes = self._members = 0
        self._spelling: dict[str, str] = {}  # every path so far, folded -> as written
        self._files: set[str] = set()  # folded

    def add(self, name: str, stream: Stream | None) -> None:
        """Create one file or, with no stream, one folder."""
        self._members += 1
        if self._members > self._config.max_members:
            raise too_many(self._archive, self._config, self._members)
        path = self._checked(name, is_file=stream is not None)
        if stream is None:
            path.mkdir(parents=True, exist_ok=True)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            while chunk := stream.read(_CHUNK):
                self._bytes += len(chunk)
                if self._bytes > self._config.max_unpacked_bytes:
                    raise AenetError(too_large(self._archive, self._config))
                file.write(chunk)
        if self._progress is not None:
            self._progress(self._bytes, 0, "unpack")

    def _checked(self, name: str, is_file: bool) -> Path:
        if len(name) > _LONGEST_NAME or name.count("/") >= _DEEPEST:
            raise AenetError(
                f"{self._archive}: a name of {len(name):,} characters, {name.count('/')} folders deep, the limits are "
                f"{_LONGEST_NAME:,} and {_DEEPEST}: refused"
            )
        parts = PurePosixPath(name).parts
        absolute = name.startswith("/") or PureWindowsPath(name).anchor
        if absolute or ".." in parts or "\\" in name or not name.isprintable():
            raise AenetError(f"{self._archive}: the name {name!r} is absolute, leads out or is not plain: refused")
        if is_file and not parts:
            raise AenetError(f"{self._archive}: a file without a name: refused")
        for depth in range(1, len(parts) + 1):
            path = "/".join(parts[:depth])
            folded = unicodedata.normalize("NFC", path).casefold()
            is_last = is_file and depth == len(parts)
            known = self._spelling.get(folded)
            if folded in self._files or known not in (None, path) or (is_last and known is not None):
                raise AenetError(f"{self._archive}: the name {name!r} stands twice or collides with another: refused")
            self._spelling[folded] = path
            if is_last:
                self._files.add(folded)
        return self._folder.joinpath(*parts)


def _named(archive: str, said: str) -> str:
    return said if archive in said else f"{archive}: {said}"


def _empty(folder: Path) -> None:
    for child in folder.iterdir():
        if child.is_dir():
            shutil.rmtree(child)
        else:
            child.unlink()
