"""The child process that carries a journal to MLflow while the stage works (the stage never imports MLflow)."""

import contextlib
import os
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

from aenet.io.errors import AenetError
from aenet.io.nolinks import open_unlinked
from aenet.io.redaction import without_secrets
from aenet.tracking.address import is_remote, store_answers, store_uri
from aenet.tracking.events import STATUS, project_root, read_small_json

SETTING = "AENET_TRACKING"  # live (default): follow the journal; journal: only write it
FINISH_SECONDS = 60.0  # the longest a stage waits at its end for a server that answers
FILE_SECONDS = 600.0  # and for a file: it cannot be unreachable, a busy machine is only slow to import MLflow


def wanted() -> bool:
    """Return whether journals are followed live.

    Raises:
        AenetError: the setting is neither `live` nor `journal`.
    """
    mode = os.environ.get(SETTING, "live")
    if mode not in {"live", "journal"}:
        raise AenetError(f"{SETTING}={mode} is not known: use live (send to MLflow) or journal (only write locally)")
    return mode == "live" and find_spec("mlflow") is not None


class Follower:
    """A running `python -m aenet.tracking.follow FOLDER`.

    It stays in the stage's process group, so whatever ends the group ends it too; on its own it ends soon
    after the stage does, however the stage ends.
    """

    def __init__(self, folder: Path, session: str) -> None:
        self._folder = folder
        self._session = session
        self._uri = store_uri(project_root())
        self._seconds = FINISH_SECONDS if is_remote(self._uri) else FILE_SECONDS
        package = str(Path(__file__).resolve().parents[2])
        path = os.pathsep.join([package, *filter(None, [os.environ.get("PYTHONPATH")])])
        self._asked, self._reached = False, True
        environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
        said = open_unlinked(folder / "sync.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        with os.fdopen(said, "ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "aenet.tracking.follow", str(folder),
                 "--session", session, "--stage-pid", str(os.getpid())],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment,
            )  # fmt: skip

    @property
    def state(self) -> str:
        """`unknown`, `alive` (the store answers), `connected`, `lost`, `done` or `ended`."""
        if self._process.poll() is not None:
            return "done" if self._process.returncode == 0 else "ended"
        record = read_small_json(self._folder / STATUS)
        return str(record.get("state", "unknown")) if record.get("session") == self._session else "unknown"

    @property
    def detail(self) -> str:
        """What the follower last said about the store, in words."""
        if not self._reached:
            return f"{without_secrets(self._uri)} does not answer"
        record = read_small_json(self._folder / STATUS)
        spoke = record.get("session") == self._session and record.get("state") in {"lost", "failed"}
        return str(record.get("detail")) if spoke else f"see {self._folder / 'sync.log'}"

    def finish(self, seconds: float | None = None) -> str:
        """Wait until everything is sent, as long as that is likely, and return the last state.

        A follower of a server that does not answer is ended at once; one that is still sending after `seconds` (the
        patience that its store deserves, if none are given) goes on by itself.
        """
        end = time.monotonic() + (self._seconds if seconds is None else seconds)
        while (state := self._judged()) not in {"done", "ended", "lost"} and time.monotonic() < end:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(0.05)
        if state == "lost":
            self.stop()
        return state

    def wait_for(self, path: Path) -> bool:
        """Wait until `path` exists; give up when the store is lost or has had its time."""
        end = time.monotonic() + self._seconds
        while not path.exists():
            if time.monotonic() > end or self._judged() in {"done", "ended", "lost"}:
                return path.exists()
            time.sleep(0.05)
        return True

    def _judged(self) -> str:
        """Return the state; of a follower that has not spoken yet, ask the server itself: imports take their time."""
        state = self.state
        if state == "unknown" and is_remote(self._uri) and not self._asked:
            self._asked, self._reached = True, store_answers(self._uri)
        return state if self._reached else "lost"

    def stop(self) -> None:
        """End the follower now; what it has not sent stays in the journal."""
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
