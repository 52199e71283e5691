"""End what a flow that was killed leaves running: `kill -9` leaves it no moment to do so itself.

The flow starts this module as a process of its own and holds the only writing end of the pipe that is its standard
input. A line `+123` there says that process group 123 runs, `-123` that it is done. When the flow is gone, however
it went, the kernel closes the pipe; whatever groups still run are then ended. (Linux's PR_SET_PDEATHSIG would reach
only DVC, not the stage below it, and belongs to the thread that started the process, not to the flow.)
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import TextIO

import psutil

GRACE_SECONDS = 15.0
_POLL_SECONDS = 0.05
_SHELLS = {"sh", "bash", "dash", "zsh"}


class Watchdog:
    """The flow's end of the pipe. Starts its process with the first group; calls must not overlap.

    Args:
        grace: see `end_groups`.
    """

    def __init__(self, grace: float = GRACE_SECONDS) -> None:
        self._grace = grace
        self._process: subprocess.Popen[str] | None = None

    def watch(self, group: int) -> None:
        """Have the process group `group` ended should this process die."""
        if self._process is None:
            # A session of its own: what ends the flow's whole group must not end its watchdog.
            self._process = subprocess.Popen(
                [sys.executable, "-P", __file__, str(self._grace)],
                stdin=subprocess.PIPE, text=True, start_new_session=True,
            )  # fmt: skip
        self._say(f"+{group}")

    def forget(self, group: int) -> None:
        """Leave `group` alone from now on: its number may come to mean another."""
        self._say(f"-{group}")

    def dismiss(self) -> None:
        """Let the watchdog go; it ends what is still watched."""
        if self._process is not None:
            with suppress(BrokenPipeError):
                self._process.communicate()
            self._process = None

    def _say(self, line: str) -> None:
        if self._process is not None and self._process.stdin is not None:
            with suppress(BrokenPipeError):  # somebody ended the watchdog: the stages run all the same
                self._process.stdin.write(f"{line}\n")
                self._process.stdin.flush()


def end_groups(leaders: Iterable[int], grace: float = GRACE_SECONDS) -> None:
    """End process groups led by `dvc repro`; returns when none of their processes is left.

    DVC, when killed, leaves its stage running. So the stage is ended first (SIGTERM, time to put things in order),
    DVC sees that and releases its locks, and the whole group is killed only after `grace` seconds.
    """
    groups = list(leaders)
    for leader in groups:
        for process in _stage_processes(leader):
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGTERM)
    end = time.monotonic() + grace
    while any(map(_runs, groups)) and time.monotonic() < end:
        time.sleep(_POLL_SECONDS)
    for leader in groups:
        with suppress(ProcessLookupError):  # the leader being gone does not mean that its group is
            os.killpg(leader, signal.SIGKILL)


def _stage_processes(leader: int) -> list[int]:
    """Return DVC's children, and where a child is only a shell, the shell's children as well."""
    found: list[int] = []
    with suppress(psutil.NoSuchProcess):
        for child in psutil.Process(leader).children():
            found += [inner.pid for inner in child.children()] if child.name() in _SHELLS else []
            found.append(child.pid)
    return found


def _runs(process: int) -> bool:
    with suppress(psutil.NoSuchProcess):
        return bool(psutil.Process(process).status() != psutil.STATUS_ZOMBIE)
    return False


def main(lines: TextIO, grace: float = GRACE_SECONDS) -> None:
    """Follow the flow's lines until it is gone, then end what it left."""
    groups: set[int] = set()
    for line in lines:
        if line.endswith("\n"):  # a line cut short by a kill names no whole number
            (groups.add if line[0] == "+" else groups.discard)(int(line[1:]))
    end_groups(groups, grace)


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # it ends with the flow, not before
    main(sys.stdin, float(sys.argv[1]))
