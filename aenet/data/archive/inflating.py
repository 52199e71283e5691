"""A compressed tar's bytes, in bounded memory and with an end to everything.

Python's own readers take whatever dictionary an xz file asks for (up to 4 GiB), and read on through millions of empty
streams, of which any number may follow one another.
"""

import bz2
import lzma
import zlib
from collections.abc import Callable
from io import BufferedReader
from typing import Protocol, runtime_checkable

from aenet.errors import AenetError

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
