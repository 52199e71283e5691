"""How long a zip's directory is, found out before Python's reader takes all of it into memory.

Layout of the end record, of its 64-bit form and of an entry: APPNOTE.TXT 6.3.10, sections 4.3.12 to 4.3.16.
"""

import os
import struct
from io import BufferedReader

from aenet.data.archive.config import SourceConfig
from aenet.errors import AenetError

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
