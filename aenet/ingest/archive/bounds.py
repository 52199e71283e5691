"""Bounds on archives before they are read: how long a zip's directory is, how far a compressed tar may inflate.

Layout of the end record, of its 64-bit form and of an entry: APPNOTE.TXT 6.3.10, sections 4.3.12 to 4.3.16.
"""

import bz2
import lzma
import os
import struct
import zlib
from collections.abc import Callable
from io import BufferedReader
from typing import Protocol, runtime_checkable

from aenet.ingest.archive.archiveconfig import SourceConfig
from aenet.io.errors import AenetError

# A compressed tar's bytes, in bounded memory and with an end to everything.
#
# Python's own readers take whatever dictionary an xz file asks for (up to 4 GiB), and read on through millions of empty
# streams, of which any number may follow one another.

MAX_DICTIONARY = 160 << 20  # bytes an xz decoder may take: 65 MiB at `xz -9`
_CHUNK = 64 * 1024
_EMPTY = 64  # streams in a row without a byte in them
_WITH_GZIP_HEADER = 31  # zlib's window bits

XZ, GZIP, BZIP2 = b"\xfd7zXZ\0", b"\x1f\x8b", b"BZh"


@runtime_checkable
class _Decoder(Protocol):
    """What the three libraries' decoders share."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


def decoder_of(head: bytes) -> Callable[[], _Decoder] | None:
    """Return what makes decoders for a compressed file that begins so; None where it is not compressed."""
    if head.startswith(GZIP):
        return lambda: zlib.decompressobj(_WITH_GZIP_HEADER)
    if head.startswith(BZIP2):
        return bz2.BZ2Decompressor
    if head.startswith(XZ):
        return lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MAX_DICTIONARY)
    return None


class Inflated:
    """The bytes of one compressed stream after another, as `read` asks for them."""

    def __init__(self, file: BufferedReader, make: Callable[[], _Decoder]) -> None:
        self._file, self._make = file, make
        self._decoder, self._waiting = make(), b""
        self._empty, self._any = 0, False

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes, none at the end.

        Raises:
            AenetError: a dictionary of more than MAX_DICTIONARY, or empty streams without end.
            EOFError, LZMAError, OSError, zlib.error: the file is damaged or cut short.
        """
        while True:
            if self._decoder.eof and not self._next():
                return b""
            # A decoder that holds back is not fed: it would keep the whole file in memory.
            fed = b"" if _holds_back(self._decoder) else self._waiting or self._file.read(_CHUNK)
            if not fed and self._decoder.eof is False and not _holds_back(self._decoder):
                raise EOFError("it ends within its compressed data")
            out = self._inflate(fed, size)
            if out:
                self._any, self._empty = True, 0
                return out

    def _inflate(self, fed: bytes, size: int) -> bytes:
        try:
            out = self._decoder.decompress(fed, size)
        except lzma.LZMAError as error:
            if "limit" in str(error):
                limit = f"{MAX_DICTIONARY >> 20} MiB"
                raise AenetError(f"its xz dictionary needs more than {limit}: pack with `xz -9` or less") from error
            raise
        # zlib hands back what it did not take; the others keep it.
        self._waiting = getattr(self._decoder, "unconsumed_tail", b"")
        return out

    def _next(self) -> bool:
        """Go on to the next stream; False at the end of the file."""
        rest = (self._decoder.unused_data or self._file.read(_CHUNK)).lstrip(b"\0")  # padding
        if not rest:
            return False
        self._empty += 1
        if self._empty > _EMPTY:
            raise AenetError(f"it holds more than {_EMPTY} empty compressed streams in a row: refused")
        self._decoder, self._waiting = self._make(), rest
        return True


def _holds_back(decoder: _Decoder) -> bool:
    """True for a decoder that has more to give without being fed."""
    return not getattr(decoder, "needs_input", True)


_END, _END_BYTES, _LONGEST_COMMENT = b"PK\5\6", 22, 65535
_LOCATOR, _LOCATOR_BYTES = b"PK\6\7", 20
_END64, _END64_BYTES = b"PK\6\6", 56
_ENTRY, _ENTRY_BYTES = b"PK\1\2", 46
_BESIDE_BYTES = 512  # of names, comments and extra fields, an entry on average


def check_directory(file: BufferedReader, name: str, config: SourceConfig) -> None:
    """Refuse a directory of more than `max_members` entries, counted one by one, or one full of something else.

    What is no directory is let pass: it is for the reader to say so.

    Raises:
        AenetError: see above; `name` stands for the archive.
    """
    found = _find(file)
    if found is None:
        return
    start, size, declared = found
    if declared > config.max_members:
        raise too_many(name, config, declared)
    entries = 0
    file.seek(start)
    left = size
    while left >= _ENTRY_BYTES and (head := file.read(_ENTRY_BYTES))[:4] == _ENTRY and len(head) == _ENTRY_BYTES:
        entries += 1
        if entries > config.max_members:
            raise too_many(name, config, entries)
        beside = sum(struct.unpack_from("<HHH", head, 28))  # name, extra field, comment
        left -= _ENTRY_BYTES + beside
        file.seek(beside, os.SEEK_CUR)
    if size > (entries + 128) * (_ENTRY_BYTES + _BESIDE_BYTES):
        raise AenetError(f"{name} has a directory of {size:,} bytes for {entries:,} members: refused")


def too_many(name: str, config: SourceConfig, members: int) -> AenetError:
    """The sentence for an archive of more than `max_members`."""
    return AenetError(f"{name} has more than max_members = {config.max_members} members ({members} so far): refused")


def _find(file: BufferedReader) -> tuple[int, int, int] | None:
    """Return where the directory begins, its bytes and the entries that it claims."""
    end = file.seek(0, os.SEEK_END)
    tail_at = max(0, end - _END_BYTES - _LONGEST_COMMENT)
    file.seek(tail_at)
    tail = file.read()
    at = tail.rfind(_END, 0, len(tail) - _END_BYTES + len(_END))
    if tail[-_END_BYTES:].startswith(_END) and tail.endswith(b"\0\0"):
        at = len(tail) - _END_BYTES  # without a comment, as Python's reader tries first
    if at < 0:
        return None
    entries, size = struct.unpack_from("<H", tail, at + 10)[0], struct.unpack_from("<I", tail, at + 12)[0]
    record = tail_at + at
    larger = _find64(file, record)
    if larger is not None:
        record, entries, size = larger
    # Where it lies is taken from where it ends: what comes before an archive moves it.
    return (record - size, size, entries) if 0 < size <= record else None


def _find64(file: BufferedReader, record: int) -> tuple[int, int, int] | None:
    """Return where the 64-bit end record begins, the entries and the bytes that it claims."""
    if record < _LOCATOR_BYTES + _END64_BYTES:
        return None
    file.seek(record - _LOCATOR_BYTES)
    if file.read(4) != _LOCATOR:
        return None
    at = record - _LOCATOR_BYTES - _END64_BYTES
    file.seek(at)
    body = file.read(_END64_BYTES)
    if body[:4] != _END64:
        return None
    entries, size = struct.unpack_from("<QQ", body, 32)
    return at, entries, size
