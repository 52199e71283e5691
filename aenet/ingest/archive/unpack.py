"""Unpack an archive from a stranger: only plain files below the folder, only so many, only so large.

Sizes are counted from the bytes that come out, never taken from headers; permissions, owners and times are not taken
at all. One refused member refuses the archive, and nothing of it remains.
"""

import io
import lzma
import re
import shutil
import stat
import struct
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO, Any, Protocol, cast, runtime_checkable

from aenet.ingest.archive.archiveconfig import NotedProgress, SourceConfig
from aenet.ingest.archive.bounds import Inflated, check_directory, decoder_of, too_many
from aenet.io.errors import AenetError
from aenet.io.plainfiles import SHORT, open_plain

# Read the members of an archive one by one, each in bounded memory; refuse what is not a plain file or folder.

_TAR_HEADERS = 4096  # bytes of headers and padding allowed a tar member
_LONGEST_HEADER = 16 * 1024
_LONGEST_NOTES = 1 << 20  # Linux allows an attribute 64 KiB, which pax may hold twice; those of macOS are longer
_LONGEST_NOTE = 8 * 1024  # of those that say what is unpacked
_PAX = (b"x", b"g", b"X")  # pax, pax global, Solaris pax
_TAR_NOTES = (*_PAX, b"L", b"K")  # and GNU's long name and long link
_NOTES_USED = (b"path", b"linkpath", b"size", b"hdrcharset")
_NOTE = re.compile(rb"(\d{1,7}) ([^=\n]{1,1024})=")
_ZIP_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


@runtime_checkable
class Stream(Protocol):
    """Anything bytes can be read from: gzip's, zipfile's and tarfile's streams share no nearer type."""

    def read(self, size: int, /) -> bytes: ...


# (name as the archive has it, stream of a file's bytes or None for a folder)
Member = tuple[str, Stream | None]


def members(archive: Path, config: SourceConfig) -> Iterator[Member]:
    """Yield the members in order; a stream is to be read before the next member is asked for.

    Raises:
        AenetError: another format, an encrypted member, a link, a device, or more bytes or members than
            `config` allows.
    """
    with open_plain(archive) as file:
        head = file.read(512)
        file.seek(0)
        if head.startswith((b"PK\3\4", b"PK\5\6")):
            check_directory(file, archive.name, config)
            yield from _zip_members(archive.name, file)
        elif (make := decoder_of(head)) is not None:
            yield from _tar_members(archive.name, Inflated(file, make), config)
        elif head[257:262] == b"ustar":
            yield from _tar_members(archive.name, file, config)
        else:
            raise AenetError(
                f"{archive.name} is neither zip nor tar (plain, .gz, .bz2 or .xz): pack it as one of these"
            )


def _zip_members(name: str, file: BufferedReader) -> Iterator[Member]:
    with zipfile.ZipFile(file) as packed:
        for info in packed.infolist():
            kind = stat.S_IFMT(info.external_attr >> 16)
            if info.flag_bits & 1:
                raise AenetError(f"{name}: {info.filename!r} is encrypted: pack it without a password")
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise AenetError(f"{name}: {info.filename!r} is a link or a device: refused")
            if info.compress_type not in _ZIP_METHODS:  # zipfile cannot bound the memory of the others
                method = f"zip method {info.compress_type}"
                raise AenetError(f"{name}: {info.filename!r} uses {method}: pack with deflate, or as a tar")
            if info.is_dir():
                yield info.orig_filename, None
                continue
            with packed.open(info) as stream:
                yield info.orig_filename, stream


class _TarInfo(tarfile.TarInfo):
    """Refuses long names and notes larger than a header may be, for tarfile reads them into memory whole."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> "_TarInfo":
        info = super().frombuf(buf, encoding, errors)
        if info.type in _TAR_NOTES and info.size > (_LONGEST_NOTES if info.type in _PAX else _LONGEST_HEADER):
            raise AenetError(f"a tar header of {info.size} bytes: refused")
        if info.type == tarfile.GNUTYPE_SPARSE:
            raise AenetError(f"{info.name!r} is a link, a device or a sparse file: refused")
        return info

    def _proc_pax(self, tar: tarfile.TarFile) -> tarfile.TarInfo:
        """Let tarfile see of a pax header only what it needs, in little room.

        Attributes and comments may be long, and until Python 3.11.10 and 3.12.6 tarfile takes time with the square of
        a row of digits in them.
        """
        plain = cast(Stream, tar.fileobj)
        notes = _used_notes(plain.read(self._block(self.size)))  # type: ignore[attr-defined]
        tar.fileobj = cast(Any, _First(notes, plain))
        self.size = len(notes)
        try:
            return super()._proc_pax(tar)  # type: ignore[misc, no-any-return]
        finally:
            tar.fileobj = cast(Any, plain)

    def _proc_gnusparse_00(self, *_: object) -> None:
        """Refuse a sparse file of any of pax's three kinds, whose maps tarfile reads into memory whole."""
        raise AenetError(f"{self.name!r} is a link, a device or a sparse file: refused")

    _proc_gnusparse_01 = _proc_gnusparse_10 = _proc_gnusparse_00


def _used_notes(block: bytes) -> bytes:
    """Return of a pax header ("LENGTH KEY=VALUE\\n" one after another) what decides what is unpacked.

    Raises:
        AenetError: damaged, or one of these is longer than any name may be.
    """
    used, at = [], 0
    while at < len(block) and block[at]:
        note = _NOTE.match(block, at)
        end = at + int(note[1]) if note else 0
        if not note or end <= note.end() or block[end - 1 : end] != b"\n":
            raise AenetError("a tar header of attributes is damaged: refused")
        if note[2] in _NOTES_USED or note[2].startswith(b"GNU.sparse."):
            if end - at > _LONGEST_NOTE:
                raise AenetError(f"a {note[2].decode(errors='replace')} of {end - at} bytes in a tar header: refused")
            used.append(block[at:end])
        at = end
    return b"".join(used)


class _First:
    """A stream before which some bytes are read."""

    def __init__(self, first: bytes, then: Stream) -> None:
        self._first: bytes | None = first
        self._then = then

    def read(self, size: int) -> bytes:
        first, self._first = self._first, None
        return self._then.read(size) if first is None else first

    def __getattr__(self, name: str) -> Any:
        return getattr(self._then, name)


def _tar_members(name: str, plain: Stream, config: SourceConfig) -> Iterator[Member]:
    bounded = cast(IO[bytes], _Bounded(plain, name, config))
    with tarfile.open(fileobj=bounded, mode="r|", tarinfo=_TarInfo) as packed:
        for info in packed:
            packed.members.clear()  # type: ignore[attr-defined]  # tarfile keeps all it has met, and typeshed hides it
            if info.isdir():
                yield info.name, None
            elif info.type in (tarfile.REGTYPE, tarfile.AREGTYPE) and not info.issparse():
                yield info.name, packed.extractfile(info)
            else:
                raise AenetError(f"{name}: {info.name!r} is a link, a device or a sparse file: refused")


class _Bounded(io.RawIOBase):
    """A stream that ends in an error where it grows beyond what the archive may hold, headers included."""

    def __init__(self, plain: Stream, name: str, config: SourceConfig) -> None:
        super().__init__()
        self._plain, self._name, self._config = plain, name, config
        self._left = config.max_unpacked_bytes + _TAR_HEADERS * (config.max_members + 16)

    def read(self, size: int = -1) -> bytes:
        chunk = self._plain.read(size)
        self._left -= len(chunk)
        if self._left < 0:
            raise AenetError(too_large(self._name, self._config))
        return chunk


def too_large(name: str, config: SourceConfig) -> str:
    """The sentence for an archive that outgrows `max_unpacked_bytes`."""
    return f"{name} unpacks to more than max_unpacked_bytes = {config.max_unpacked_bytes}: refused"


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


def unpack(archive: Path, folder: Path, config: SourceConfig, progress: NotedProgress | None = None) -> None:
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
                f"{archive.name} cannot be unpacked into {folder} ({error.strerror}): nothing of it is kept; fix that "
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

    def __init__(self, archive: str, folder: Path, config: SourceConfig, progress: NotedProgress | None) -> None:
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
