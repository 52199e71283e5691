"""Send one journal to MLflow live, behind a running stage: `python -m aenet.tracking.follow FOLDER ...`."""

import argparse
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

import filelock

from aenet.io.atomic import write_json
from aenet.io.redaction import Redacted, without_secrets
from aenet.tracking import events
from aenet.tracking.address import is_remote, store_answers, store_uri

# CPU, memory, disk, network and (where there is one) GPU of the machine, as MLflow's system metrics.

SAMPLE_SECONDS = 5.0


@contextmanager
def machine_metrics(uri: str, run_id: str) -> Iterator[None]:
    """Sample the machine into `system/...` metrics of a running run; a run shorter than 5 s has none."""
    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

    # MLflow's monitor carries no annotations: hence the three ignores.
    monitor = SystemMetricsMonitor(  # type: ignore[no-untyped-call]
        run_id, SAMPLE_SECONDS, resume_logging=True, tracking_uri=uri
    )
    monitor.start()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        monitor.finish()  # type: ignore[no-untyped-call]


log = logging.getLogger("aenet.tracking")

POLL_SECONDS = 0.25
RETRY_SECONDS = 10.0
AFTER_DEATH_SECONDS = 10.0  # the longest a follower outlives a stage that died
AFTER_END_SECONDS = 600.0  # and one that ended in order, to finish sending its files


class _Following:
    """One follower: polls the journal until its session has ended or the stage is gone."""

    def __init__(self, folder: Path, session: str, stage_pid: int) -> None:
        self._folder, self._session, self._stage_pid = folder, session, stage_pid
        self._stop = False
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the stage's to handle; it tells us
        signal.signal(signal.SIGTERM, self._on_sigterm)

    def _on_sigterm(self, number: int, frame: FrameType | None) -> None:
        self._stop = True

    def _gone(self) -> bool:
        return self._stop or os.getppid() != self._stage_pid

    def _watch(self) -> None:
        """End the process when it has outlived the stage too long, also while a call to the store hangs."""
        while not self._gone():
            time.sleep(1)
        time.sleep(AFTER_END_SECONDS if events.has_ended(self._folder, self._session) else AFTER_DEATH_SECONDS)
        os._exit(1)

    def _say(self, state: str, detail: str = "") -> None:
        record = {"session": self._session, "state": state, "detail": without_secrets(detail)}
        write_json(self._folder / events.STATUS, record)

    def run(self) -> int:
        """Follow to the end; 0 if everything was sent."""
        root = events.project_root()
        uri = store_uri(root)
        threading.Thread(target=self._watch, daemon=True).start()
        with filelock.FileLock(self._folder / events.SENDER_LOCK, timeout=60):
            while True:
                if not store_answers(uri):
                    self._say("lost", f"{uri} does not answer")
                else:
                    self._say("alive")
                    if self._serve(root):
                        return 0
                    if is_remote(uri):
                        self._say("lost", f"{uri} stopped answering")
                    elif self._is_over():
                        return 1  # the stage says so; a file that refuses what it is sent is broken, not late
                if self._pause(RETRY_SECONDS):
                    return 1

    def _is_over(self) -> bool:
        return self._gone() or events.has_ended(self._folder, self._session)

    def _pause(self, seconds: float) -> bool:
        """Wait; return True at once when the stage is gone."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self._gone():
                return True
            time.sleep(POLL_SECONDS)
        return False

    def _serve(self, root: Path) -> bool:
        """Send until the session ends (True) or the store is lost (False)."""
        from mlflow.exceptions import MlflowException

        pass
        from aenet.tracking.send import Sender
        from aenet.tracking.store import connect

        try:
            sender = Sender(self._folder, connect(root))
            self._say("connected", sender.run_id)
            with machine_metrics(sender.store.uri, sender.run_id):
                while self._session not in sender.ended and not self._gone():
                    if not sender.drain():
                        time.sleep(POLL_SECONDS)
            sender.drain()
            if self._session not in sender.ended and self._is_last():
                sender.finish("KILLED")
        except (MlflowException, OSError) as error:
            log.warning("%s", error)
            self._say("failed", str(error)[:500])
            return False
        return True

    def _is_last(self) -> bool:
        """Whether no newer session has taken over the journal."""
        start = events.last_session(self._folder)
        return start is not None and start["session"] == self._session


def main() -> int:
    """Follow one journal; the stages start this."""
    parser = argparse.ArgumentParser(prog="python -m aenet.tracking.follow")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--session", required=True)
    parser.add_argument("--stage-pid", type=int, required=True)
    arguments = parser.parse_args()
    # What MLflow says and tracebacks name the store by its whole address; the journal's folder keeps them.
    streams = Redacted(sys.stdout), Redacted(sys.stderr)
    sys.stdout, sys.stderr = streams
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s")
    with suppress(OSError):
        os.nice(5)  # the stage's work comes first
    try:
        return _Following(arguments.folder, arguments.session, arguments.stage_pid).run()
    finally:
        for stream in streams:
            stream.finish()


if __name__ == "__main__":
    code = main()
    logging.shutdown()
    os._exit(code)  # MLflow's own teardown takes half a second, and the stage is waiting
