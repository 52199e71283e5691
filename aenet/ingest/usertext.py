"""Text files that people write: decoded by what their first bytes say, and the names in them found on disk."""

import codecs
import os
import re
import unicodedata
from pathlib import Path

from aenet.io.errors import AenetError
from aenet.io.plainfiles import read_plain

MAX_BYTES = 1_000_000_000
_FORMULA = frozenset("=+-@|;\N{MINUS SIGN}")  # what a spreadsheet takes for the beginning of one, or of another cell
_NULS = 16  # or a hundredth of the characters: more of them are no slips
_MARKS = (  # a longer one first: UTF-32's begins as UTF-16's
    (codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF32_LE, "utf-32-le"), (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"),
)  # fmt: skip


def read_list(path: Path) -> list[str]:
    """Return the names in a text list, one a line; where it holds a NUL, one up to each NUL (`find -print0`).

    Names are the file system's bytes (`os.fsdecode`), but for those in a list of UTF-16.

    Raises:
        AenetError: the file cannot be read or lists nothing.
    """
    content = _bytes(path)
    encoding = _encoding(content)
    if encoding != "utf-8":
        names = _decoded(path, content, encoding).splitlines()
    else:
        content = content.removeprefix(codecs.BOM_UTF8)
        parts = content.split(b"\0") if b"\0" in content else re.split(rb"\r?\n", content)
        names = [os.fsdecode(part) for part in parts]
    if not (names := [name for name in names if name.strip()]):
        raise AenetError(f"{path} lists nothing")
    return names


def found_name(name: str, folder: Path) -> str:
    """Return the name under which a file lies below `folder`: as written, else less quotes and outer spaces, else with
    slashes for backslashes; as written where it lies under none of them.
    """
    trimmed = name.strip().strip('"').strip()
    if name == trimmed and "\\" not in name:
        return name
    tried = (name, trimmed, name.replace("\\", "/"), trimmed.replace("\\", "/"))
    return next((one for one in tried if one and os.path.exists(folder / one)), name)  # noqa: PTH110  never raises


def read_text(path: Path) -> str:
    """Return a text file's content, lines ending in a line feed or as they are.

    Raises:
        AenetError: it cannot be read, is not what its first bytes say, or is full of NULs as no text is.
    """
    content = _bytes(path)
    text = _decoded(path, content, _encoding(content))
    # One in a path further down costs that path; see `plainfiles`.
    if (at := text.find("\0")) >= 0 and ("\n" not in text[:at] or text.count("\0") > max(_NULS, len(text) // 100)):
        raise AenetError(f"{path}, line {text.count(chr(10), 0, at) + 1} holds a NUL byte: this is no table of text")
    return text if "\n" in text else text.replace("\r", "\n")  # as old Macintoshes end lines


def _bytes(path: Path) -> bytes:
    return read_plain(path, MAX_BYTES)


def _encoding(content: bytes) -> str:
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return encoding
    # UTF-16 without a mark: every other byte of plain letters is a NUL. A list of names of one letter is the same
    # bytes, but for the points and slashes that paths have.
    for first, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
        zeros, letters = content[first::2], content[1 - first :: 2]
        if len(content) % 2 == 0 and zeros.count(0) > len(zeros) / 2 and not letters.count(0) and b"." in letters:
            return encoding
    return "utf-8"


def _decoded(path: Path, content: bytes, encoding: str) -> str:
    try:
        return content.decode(encoding).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise AenetError(f"{path}, line {line} is not {encoding.upper()}: save the file as UTF-8") from error


def safe_cell(text: str) -> str:
    """Return text that no spreadsheet runs as a formula: with an apostrophe before it where one might.

    Some strip white space and invisible characters before they look, begin a new cell at a semicolon, or take the wide
    and small forms of East Asian type for the signs themselves.
    """
    if not text:
        return text
    hidden = text[0].isspace() or unicodedata.category(text[0]) in ("Cc", "Cf")
    return f"'{text}" if hidden or unicodedata.normalize("NFKC", text[0])[0] in _FORMULA else text
