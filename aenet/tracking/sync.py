"""Send to MLflow what the journals hold and it has not got; `aenet.tracking.follow` does so live."""

import math
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import filelock

from aenet.io.redaction import without_secrets
from aenet.tracking import events
from aenet.tracking.address import is_sent, store_answers, store_uri


class SyncSummary(NamedTuple):
    """What `sync_all` did: journals sent now, sent before, and those that failed with their reasons."""

    sent: int
    already: int
    failed: dict[str, str]

    def __str__(self) -> str:
        """Return it in words."""
        said = [f"{self.sent} runs sent, {self.already} had been sent before, {len(self.failed)} failed"]
        return "\n".join([*said, *(f"{name}: {reason}" for name, reason in self.failed.items())])


def sync_all(root: Path) -> SyncSummary:
    """Send what every journal of the project holds and the store has not got, in whole or in part.

    Models are registered in the order in which they were exported, whichever journals they are in: so every store
    numbers its versions alike and has the same champion. One journal that cannot be sent does not stop the others.
    """
    root = root.resolve()
    uri = store_uri(root)
    folders = sorted(path.parent for path in events.journals(root).glob(f"*/{events.EVENTS}"))
    failed: dict[str, str] = {}
    waiting, exports = _survey(folders, uri, failed)
    found = len(folders) - len(failed)
    stopped: set[Path] = set()
    for time, folder in [*sorted(exports), *((math.inf, folder) for folder in waiting)]:
        if folder in stopped:
            continue
        if not store_answers(uri):
            failed |= {left.name: f"MLflow at {without_secrets(uri)} does not answer" for left in waiting
                       if left.name not in failed and not is_sent(left, uri)}  # fmt: skip
            break
        refused, fault = _send_one(folder, root, time)
        if fault is not None:
            stopped.add(folder)
        if said := "; ".join([*refused, *filter(None, [fault])]):
            failed[folder.name] = without_secrets(said)
    sent = sum(folder.name not in failed for folder in waiting)
    return SyncSummary(sent, found - len(waiting), failed)


def _survey(folders: list[Path], uri: str, failed: dict[str, str]) -> tuple[list[Path], list[tuple[float, Path]]]:
    """Return the journals to be sent, in the order of their first sessions, and when they exported models."""
    waiting: list[tuple[float, Path]] = []
    exports: list[tuple[float, Path]] = []
    for folder in folders:
        try:
            if not is_sent(folder, uri):
                found = [event for event, _ in events.read_events(folder)]
                waiting.append((float(found[0].get("time", 0)), folder))
                exports += [(float(event["time"]), folder) for event in found if event["event"] == "register"]
        except Exception as error:  # noqa: BLE001  whatever is wrong with a journal, the others are sent
            failed[folder.name] = _said(error)
    return [folder for _, folder in sorted(waiting)], exports


def _send_one(folder: Path, root: Path, until: float) -> tuple[list[str], str | None]:
    """Send the events of a journal up to a time; return which were refused, and what stopped the sending."""
    from aenet.tracking.send import Sender
    from aenet.tracking.store import connect

    with ExitStack() as stack:
        try:
            stack.enter_context(filelock.FileLock(folder / events.SENDER_LOCK, timeout=0))
        except filelock.Timeout:
            return [], "another process is sending it"
        try:
            sender = Sender(folder, connect(root))
            sender.drain(until)
            start = events.last_session(folder)
            last = until == math.inf and start is not None and not events.has_ended(folder, start["session"])
            if last and _writer_is_gone(folder):
                sender.finish("KILLED")
        except Exception as error:  # noqa: BLE001  likewise
            return [], _said(error)
    return sender.refused, None


def _said(error: Exception) -> str:
    known = isinstance(error, ValueError | OSError | LookupError) or type(error).__module__.startswith("mlflow")
    return str(error) if known and str(error) else f"{type(error).__name__}: {error}"


def _writer_is_gone(folder: Path) -> bool:
    try:
        with filelock.FileLock(folder / events.WRITER_LOCK, timeout=0):
            return True
    except filelock.Timeout:
        return False
