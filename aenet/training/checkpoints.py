"""Training checkpoints on disk: atomic, digested, the last two kept, outside DVC's outs.

The caller keys the folder by a fingerprint of everything that decides the outcome; `persist`ed outs would survive a
change of code or parameters, and then training would do nothing.
"""

import errno
import hashlib
import io
import logging
import shutil
from pathlib import Path
from typing import Any

import torch

from aenet.io.atomic import atomic_file
from aenet.io.errors import AenetError, CorruptArtifact
from aenet.training import step as rng
from aenet.training.engine import Engine
from aenet.training.state import Position
from aenet.training.stopping import Stop, Stopped

log = logging.getLogger("aenet.training.loop")

KEPT = 2
_PATTERN = "step-*.pt"
_DIGEST = hashlib.sha256().digest_size
# Disk full, quota used up, and a file larger than the system allows.
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def write_checkpoint(folder: Path, step: int, content: dict[str, Any]) -> None:
    """Write the state after `step` steps, wholly or not at all, and remove all but the last two.

    Raises:
        AenetError: there is no room for it; what was there before is untouched.
    """
    # In memory first: torch's own writer answers a full disk with an unreadable error, and not always with one.
    buffer = io.BytesIO()
    torch.save(content, buffer)
    payload = buffer.getbuffer()
    try:
        with atomic_file(folder / f"step-{step:09d}.pt") as temporary, temporary.open("wb") as stream:
            stream.write(payload)
            stream.write(hashlib.sha256(payload).digest())
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        raise AenetError(_no_room(folder, step, len(payload), error)) from error
    for old in _newest_first(folder)[KEPT:]:
        old.unlink(missing_ok=True)


def read_checkpoint(folder: Path) -> tuple[Path, dict[str, Any]] | None:
    """Return the newest checkpoint that can be read and its content, or None where there is none.

    Raises:
        CorruptArtifact: there are some, and none can be read.
    """
    found = _newest_first(folder)
    for path in found:
        try:
            return path, read_file(path)
        except CorruptArtifact as error:
            log.warning("%s", error)
    if found:
        raise CorruptArtifact(f"every checkpoint in {folder} is damaged: delete it to train from the beginning")
    return None


def read_file(path: Path) -> dict[str, Any]:
    """Return the content of one checkpoint.

    Raises:
        CorruptArtifact: its bytes are not those that were written.
    """
    written = path.read_bytes()
    payload, digest = written[:-_DIGEST], written[-_DIGEST:]
    if hashlib.sha256(payload).digest() != digest:
        raise CorruptArtifact(f"{path} is damaged: the checkpoint before it is used, if there is one")
    content: dict[str, Any] = torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
    return content


def _newest_first(folder: Path) -> list[Path]:
    return sorted(folder.glob(_PATTERN), reverse=True)


def _no_room(folder: Path, step: int, size: int, error: OSError) -> str:
    kept = _newest_first(folder)
    left = f"the one of step {int(kept[0].stem.split('-')[1])} is kept" if kept else "there is none before it"
    free = shutil.disk_usage(folder).free
    return (
        f"no room for the checkpoint of step {step} in {folder} ({error.strerror}: it takes {size / 1e6:.1f} MB, "
        f"{free / 1e6:.1f} MB are free); {left}: make room and run the same command, which goes on from there"
    )


# Writes and reads a run's whole state, in step with all processes or, when time is short, without them.


class Keeper:
    """The checkpoints of one run in one folder, which all processes see and the main one writes."""

    def __init__(self, folder: Path, engine: Engine, position: Position, stop: Stop) -> None:
        self.folder = folder
        self._engine, self._position, self._stop = engine, position, stop

    def save(self) -> None:
        """Write the state as it is; to be called by all processes at the same step."""
        states = self._engine.processes.collect(rng.capture())
        if self._engine.processes.main:
            self._write(states)

    def save_late(self) -> None:
        """Write the state before the step under way, from another thread; the other processes are not asked."""
        if self._engine.processes.main:
            guard = self._engine.guard
            self._write([guard.rng if guard.under_way else rng.capture()])

    def load(self) -> None:
        """Go on from the newest checkpoint, if there is one."""
        processes = self._engine.processes
        found = read_checkpoint(self.folder) if processes.main else None
        path = processes.from_main(lambda: None if found is None else found[0])
        if path is None:
            return
        content = found[1] if found is not None else read_file(path)
        self._engine.load_state_dict(content["engine"])
        self._position.load_state_dict(content["position"])
        if processes.rank < len(content["rng"]):
            rng.restore(content["rng"][processes.rank])

    def stop_if_asked(self) -> None:
        """Write a checkpoint and stop, if any process was asked to.

        Raises:
            Stopped: with the signal's number.
        """
        signal = self._engine.processes.largest(self._stop.signal)
        if signal:
            with self._stop.lock:
                self.save()
                self._stop.saved()
            raise Stopped(signal)

    def _write(self, states: list[dict[str, Any]]) -> None:
        step = self._position.epoch * self._engine.steps + self._position.step
        content = {"engine": self._engine.state_dict(), "position": self._position.state_dict(), "rng": states}
        write_checkpoint(self.folder, step, content)
