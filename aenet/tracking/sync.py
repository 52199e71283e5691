"""Send to MLflow what the journals hold and it has not got; `aenet.tracking.follow` does so live."""

from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import filelock

from aenet.tracking import events
from aenet.tracking.address import answers, store_uri


class Summary(NamedTuple):
    """What `sync_all` did: journals sent now, sent before, and those that failed with their reasons."""

    sent: int
    already: int
    failed: dict[str, str]

    def __str__(self) -> str:
        """Return it in words."""
        said = [f"{self.sent} runs sent, {self.already} had been sent before, {len(self.failed)} failed"]
        return "\n".join([*said, *(f"{name}: {reason}" for name, reason in self.failed.items())])


def sync_all(root: Path) -> Summary:
    """Send what every journal of the project holds and the store has not got."""
    root = root.resolve()
    uri = store_uri(root)
    folders = sorted(path.parent for path in events.journals(root).glob(f"*/{events.EVENTS}"))
    waiting = [folder for folder in folders if events.unsent_bytes(folder, uri)]
    failed: dict[str, str] = {}
    if waiting and not answers(uri):
        failed = {folder.name: f"MLflow at {uri} does not answer" for folder in waiting}
        return Summary(0, len(folders) - len(waiting), failed)
    for folder in waiting:
        if reason := _send_one(folder, root):
            failed[folder.name] = reason
    return Summary(len(waiting) - len(failed), len(folders) - len(waiting), failed)


def _send_one(folder: Path, root: Path) -> str | None:
    from mlflow.exceptions import MlflowException

    from aenet.tracking.send import Sender
    from aenet.tracking.store import connect

    with ExitStack() as stack:
        try:
            stack.enter_context(filelock.FileLock(folder / events.SENDER_LOCK, timeout=0))
        except filelock.Timeout:
            return "another process is sending it"
        try:
            sender = Sender(folder, connect(root))
            sender.drain()
            start = events.last_session(folder)
            if start and start["session"] not in sender.ended and _writer_is_gone(folder):
                sender.finish("KILLED")
        except (MlflowException, OSError, LookupError) as error:
            return str(error)
    return None


def _writer_is_gone(folder: Path) -> bool:
    try:
        with filelock.FileLock(folder / events.WRITER_LOCK, timeout=0):
            return True
    except filelock.Timeout:
        return False
