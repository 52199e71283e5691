"""A download in progress: its bytes, and what the server said of the file when it began."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aenet.atomic import write_json


@dataclass(frozen=True)
class Part:
    """The bytes so far of a download, and beside them what the server said of the file (`.json`)."""

    path: Path

    @property
    def notes(self) -> Path:
        return self.path.with_name(self.path.name + ".json")

    def size(self) -> int:
        """Bytes so far; without readable notes they are worth nothing and are dropped."""
        if not self.path.exists() or not self.said():
            self.delete()
            return 0
        return self.path.stat().st_size

    def said(self) -> dict[str, Any]:
        """Return what the server said when this part began: `validator` and `total`, either may be None."""
        try:
            return dict(json.loads(self.notes.read_bytes()))
        except (OSError, ValueError):
            return {}

    def begin(self, validator: str | None, total: int | None) -> None:
        """Start from nothing."""
        self.delete()
        write_json(self.notes, {"validator": validator, "total": total})
        self.path.touch()

    def delete(self) -> None:
        """Remove the bytes and the notes."""
        self.path.unlink(missing_ok=True)
        self.notes.unlink(missing_ok=True)
