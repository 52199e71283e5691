"""One `dvc repro` a stage, each in a process group of its own, all of which can be stopped at once.

A flow that is killed cannot stop anything: `flows.watchdog`, a process beside it, then does.
"""

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple

from aenet.io.redaction import without_secrets
from flows.graph import dvc
from flows.watchdog import Watchdog, end_groups

KEPT_LINES = 20
BAD_INPUT = 2  # exit status of a stage that was given bad input: trying again cannot help

StageState = Literal["Completed", "Unchanged", "Restored", "Failed", "Cancelled", "NotRun"]

_EXITED = re.compile(r"exited with (-?\d+)")
_HINTS = (
    "To track the changes with git", "git add", "To enable auto staging", "dvc config core.autostage",
    "Use `dvc push`", "Updating lock file", "Generating lock file",
)  # fmt: skip


class Outcome(NamedTuple):
    """How one stage ended, how long it took, and the last lines it said."""

    state: StageState
    seconds: float = 0.0
    lines: tuple[str, ...] = ()

    @property
    def bad_input(self) -> bool:
        """Whether the stage blamed its input."""
        return any((found := _EXITED.search(line)) and int(found[1]) == BAD_INPUT for line in self.lines)


class StageProcesses:
    """Runs stages and remembers which are running, so that `stop` reaches all of them, now and later."""

    def __init__(self, force: bool = False) -> None:
        self._force = force
        self._running: dict[int, subprocess.Popen[str]] = {}
        self._lock = threading.Lock()
        self._watchdog = Watchdog()
        self.stopping = False

    def run(self, stage: str, say: Callable[[str], None]) -> Outcome:
        """Reproduce one stage; `say` gets its output line by line."""
        begun = time.monotonic()
        process = self._start(stage)
        if process is None:
            return Outcome("Cancelled")
        lines: list[str] = []
        try:
            assert process.stdout is not None  # noqa: S101 (it was opened as a pipe)
            for line in process.stdout:
                text = without_secrets(line.rstrip())  # lines end in Prefect's database
                if text and not text.strip().startswith(_HINTS):
                    say(text)
                    lines.append(text)
            code = process.wait()
        finally:
            with self._lock:
                self._running.pop(process.pid)
                self._watchdog.forget(process.pid)
        return Outcome(self._state(stage, code, lines), time.monotonic() - begun, tuple(lines[-KEPT_LINES:]))

    def stop(self) -> None:
        """End every running stage and let none start again; returns when no process is left."""
        with self._lock:
            self.stopping = True
            running = list(self._running.values())
        end_groups([process.pid for process in running])
        with self._lock:
            self._watchdog.dismiss()

    def _start(self, stage: str) -> subprocess.Popen[str] | None:
        command = dvc("--wait-for-lock", "repro", "--single-item", *(["--force"] if self._force else []), stage)
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
        with self._lock:
            if self.stopping:
                return None
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                bufsize=1, errors="replace", start_new_session=True,
                env={**os.environ, "PATH": path, "PYTHONUNBUFFERED": "1"},
            )  # fmt: skip
            self._running[process.pid] = process
            self._watchdog.watch(process.pid)
        return process

    def _state(self, stage: str, code: int, lines: list[str]) -> StageState:
        if self.stopping:
            return "Cancelled"
        if code:
            return "Failed"
        if any(line.startswith(f"Stage '{stage}' didn't change, skipping") for line in lines):
            return "Unchanged"
        if any(line.startswith(f"Stage '{stage}' is cached - skipping run") for line in lines):
            return "Restored"
        return "Completed"
