"""A download in progress: its bytes, and what the server said of the file when it began."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pydantic import Field, ValidationError, field_validator

from aenet.atomic import write_json
from aenet.nolinks import open_unlinked
from aenet.params import Config
from aenet.plainfiles import CannotRead, read_plain

_NOTES_BYTES = 64 * 1024
_LONGEST_VALIDATOR = 1024


class Said(Config):
    """What the server said when a part began.

    Attributes:
        validator: an entity tag or a date, None where it gave none.
        total: bytes of the whole file, None where it did not say.
    """

    validator: str | None
    total: int | None = Field(ge=0)

    @field_validator("validator")
    @classmethod
    def _can_be_sent(cls, value: str | None) -> str | None:
        if value is not None and not is_validator(value):
            raise ValueError("no header can carry it")
        return value


_NOTHING = Said(validator=None, total=None)


def is_validator(value: str | None) -> bool:
    """True for what a header can carry back to the server."""
    return value is not None and value.isascii() and value.isprintable() and 0 < len(value) <= _LONGEST_VALIDATOR


@dataclass(frozen=True)
class Part:
    """The bytes so far of a download, and beside them what the server said of the file (`.json`)."""

    path: Path

    @property
    def notes(self) -> Path:
        return self.path.with_name(self.path.name + ".json")

    def size(self) -> int:
        """Bytes so far; behind a link or without readable notes they are worth nothing and are dropped."""
        if self.path.is_symlink() or not self.path.is_file() or self._read() is None:
            self.delete()
            return 0
        return self.path.stat().st_size

    def said(self) -> Said:
        """Return what the server said when this part began."""
        return self._read() or _NOTHING

    def begin(self, validator: str | None, total: int | None) -> None:
        """Start from nothing."""
        self.delete()
        write_json(self.notes, {"validator": validator, "total": total})
        self.open().close()

    def open(self) -> BinaryIO:
        """Open it to add bytes; never through a link, which anybody may have put into a shared cache.

        Raises:
            CorruptArtifact: it is a link, or no regular file.
        """
        return os.fdopen(open_unlinked(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), "ab")

    def delete(self) -> None:
        """Remove the bytes and the notes."""
        self.path.unlink(missing_ok=True)
        self.notes.unlink(missing_ok=True)

    def _read(self) -> Said | None:
        try:
            return Said.model_validate_json(read_plain(self.notes, _NOTES_BYTES))
        except (CannotRead, ValidationError):
            return None
