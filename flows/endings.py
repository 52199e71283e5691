"""A run ends when its work is done, not when a process beside it does.

Two of them take a run with them if Prefect is left alone (3.8): the worker that reads its output, and the server that
a run by hand starts inside. And such a server is left running by a run that is told to stop.
"""

# isort: off
import flows.settings  # noqa: F401  (Prefect reads its environment when it is imported)

# isort: on
import atexit
import os
import subprocess
from functools import partial
from types import SimpleNamespace
from typing import Any

from prefect.settings import PREFECT_API_URL
from rich.console import Console

from flows.watchdog import Watchdog

_OUTPUT = (1, 2)  # file descriptors
_watchdog = Watchdog(grace=0)


def outlive_reader() -> None:
    """Let this process go on when the one that reads its output is gone.

    Prefect's worker (and `serve`) reads a run's output through a pipe. With the worker killed the next line that the
    run logs meets a broken pipe, and rich, through which Prefect writes it, then ends the process. The log itself goes
    to the server all the same. Python's own streams raise no more once they lead nowhere.
    """
    console: Any = Console  # rich's own hook, but the consoles are Prefect's
    console.on_broken_pipe = _write_nowhere


def _write_nowhere(_console: Console) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for output in _OUTPUT:
        os.dup2(nowhere, output)
    os.close(nowhere)


def outlive_server() -> None:
    """Let an inner server end after this process, whatever signal reaches them, and never stay behind.

    Ctrl-C, or SIGTERM to the process group, would end the server first: for two minutes and more the run then tries to
    tell it how it ended. In a session of its own the server hears none of that. Prefect ends it when the interpreter
    exits; a run that SIGTERM or SIGKILL ends does not get there, so a watchdog sees to it.
    """
    import prefect.server.api.server as module  # a second or two: only where it is needed

    inner: Any = module  # what follows is not for others to set, as Prefect has it
    start = inner.SubprocessASGIServer._run_uvicorn_command

    def start_apart(server: object) -> "subprocess.Popen[Any]":
        # All that Prefect's own method needs of this module.
        inner.subprocess = SimpleNamespace(Popen=partial(subprocess.Popen, start_new_session=True))
        try:
            process: subprocess.Popen[Any] = start(server)
        finally:
            inner.subprocess = subprocess
        _watchdog.watch(process.pid)
        atexit.register(_watchdog.forget, process.pid)  # called after Prefect's own, which is registered later
        return process

    inner.SubprocessASGIServer._run_uvicorn_command = start_apart


if "PREFECT__FLOW_RUN_ID" in os.environ:
    outlive_reader()
elif not PREFECT_API_URL.value():
    outlive_server()
