"""The journal on disk: one folder a (stage, fingerprint), one JSON line an event, one cursor a store.

<root>/.aenet/journal/train-0123456789ab/
    events.jsonl      what happened, append-only; a line cut short by a kill is skipped on reading
    figures/ tables/  copies, kept
    pending/          artefacts not yet sent (hard links where the file system allows)
    answers/          what the model registry answered
    cursor.json       how far each store has been sent
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from aenet.io.artifacts import sha256_file
from aenet.io.errors import AenetError
from aenet.io.nolinks import check_tree, open_unlinked
from aenet.io.redaction import clean

EVENTS = "events.jsonl"
STATUS = "status.json"
WRITER_LOCK = "writer.lock"
SENDER_LOCK = "sender.lock"
CHAMPION_METRIC = "val_recall_at_1"  # of a `register` event: what champions are compared by

_FREE_TEXT = ("params", "tags", "reason", "source")  # of events; all else names things

Event = dict[str, Any]


def project_root() -> Path:
    """Return the project's root: `$DVC_ROOT` (also inside DVC's temporary experiments), or `dvc_root()`."""
    given = os.environ.get("DVC_ROOT")
    return Path(given).resolve() if given else dvc_root()


def dvc_root() -> Path:
    """Return the DVC project that the current folder is in, as DVC finds it; the current folder if it is in none."""
    here = Path.cwd().resolve()
    return next((folder for folder in (here, *here.parents) if (folder / ".dvc").is_dir()), here)


def journals(root: Path) -> Path:
    """Return the folder of all journals of a project."""
    return root / ".aenet" / "journal"


def journal_folder(root: Path, stage: str, fingerprint: str) -> Path:
    """Return the folder of one stage and fingerprint."""
    return journals(root) / f"{_plain(stage)}-{_plain(fingerprint)[:12]}"


class EventLog:
    """Appends events to a journal; each is one `write` of one line, so a kill can only cut the last."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / EVENTS
        self._handle = open_unlinked(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        torn = path.stat().st_size > 0 and not path.read_bytes().endswith(b"\n")
        if torn:  # close the torn line, or the next event would be lost with it
            os.write(self._handle, b"\n")

    def append(self, event: Mapping[str, Any]) -> None:
        """Write one event."""
        os.write(self._handle, (json.dumps(recorded(event), default=str) + "\n").encode())

    def close(self) -> None:
        """Sync the events to the disk and close."""
        os.fsync(self._handle)
        os.close(self._handle)


def recorded(event: Mapping[str, Any]) -> Event:
    """Return an event as a journal holds it: without the secrets of its free text; what names things is untouched."""
    return {key: clean(value) if key in _FREE_TEXT else value for key, value in event.items()}


def read_events(folder: Path, offset: int = 0) -> Iterator[tuple[Event, int]]:
    """Yield each whole event from byte `offset` on, with the offset just behind it."""
    path = folder / EVENTS
    if not path.exists():
        return
    with path.open("rb") as stream:
        stream.seek(offset)
        for line in stream:
            if not line.endswith(b"\n"):
                return  # still being written, or cut short by a kill
            offset += len(line)
            try:
                event = json.loads(line)
            except ValueError:  # the closed remains of a torn line
                continue
            if isinstance(event, dict) and isinstance(event.get("event"), str):
                yield event, offset


def last_session(folder: Path) -> Event | None:
    """Return the newest `start` event of a journal, with the time of the first: when its run began."""
    starts = [event for event, _ in read_events(folder) if event["event"] == "start"]
    return {**starts[-1], "time": starts[0]["time"]} if starts else None


def has_ended(folder: Path, session: str) -> bool:
    """Return whether a session has written its last event."""
    return any(event.get("session") == session and event["event"] == "end" for event, _ in read_events(folder))


def read_small_json(path: Path) -> dict[str, Any]:
    """Return a small JSON object, or an empty one where there is none (or it is not one)."""
    try:
        record = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def metric_name(name: str) -> str:
    """Return a name MLflow accepts: `R@1%` becomes `R_at_1_percent`."""
    return re.sub(r"[^\w\-./ ]", "_", name.replace("@", "_at_").replace("%", "_percent"))


def flatten(values: Mapping[str, object], prefix: str = "") -> dict[str, str]:
    """Return nested parameters as dotted names and short text (MLflow cuts at 6,000 characters)."""
    flat: dict[str, str] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            flat.update(flatten(value, f"{name}."))
        else:
            flat[metric_name(name)] = str(value)[:6000]
    return flat


def _plain(text: str) -> str:
    return re.sub(r"[^\w\-]", "_", text)


# Copies the journal keeps of what a stage hands it, so that late sending sends what was meant.

COPY_BELOW_BYTES = 1_000_000


def keep(source: Path, target: Path) -> str:
    """Copy a file or folder to `target` and return a digest of its content.

    Files of a megabyte or more are hard-linked where possible: finished artefacts are replaced, never
    edited in place, so the link keeps what was there without its disk space.

    Raises:
        AenetError: `source` does not exist.
        CorruptArtifact: it is a folder that holds a link, a pipe or a device.
    """
    if not source.exists():
        raise AenetError(f"{source} cannot be tracked because it does not exist")
    if target.exists():
        remove(target)
    if source.is_file():
        _keep_file(source, target)
        return content_digest(target)
    check_tree(source)  # what a link leads to is not the folder's to give away
    for file in _files(source):
        _keep_file(file, target / file.relative_to(source))
    return content_digest(target)


def content_digest(path: Path) -> str:
    """Return a digest of what a file, or a folder of plain files, holds."""
    if path.is_file():
        return sha256_file(path)
    lines = [f"{sha256_file(file)} {file.relative_to(path).as_posix()}" for file in _files(path)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def remove(path: Path) -> None:
    """Remove a kept file or folder."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _keep_file(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.stat().st_size >= COPY_BELOW_BYTES:
        try:
            os.link(source.resolve(), target)
        except OSError:  # another file system, or one without links
            pass
        else:
            return
    shutil.copyfile(source, target)
