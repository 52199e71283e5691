"""Locks: one waits, the other refuses, and both end with their process."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from aenet.errors import AenetError
from aenet.locks import hold, wait_for

_HOLD = """
import sys
from pathlib import Path
from aenet.locks import wait_for
with wait_for(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_one_waits_and_the_other_names_the_process_in_its_way(tmp_path: Path) -> None:
    path, order = tmp_path / "new" / "lock", []

    def second() -> None:
        with wait_for(path):
            order.append("second")

    waiting = threading.Thread(target=second)
    with wait_for(path):
        refusal = rf"the cache is in use by another run \(process {os.getpid()}\)"
        with pytest.raises(AenetError, match=refusal), hold(path, "the cache"):
            pass
        waiting.start()
        waiting.join(0.2)
        order.append("first")
    waiting.join()
    assert order == ["first", "second"]


def test_a_killed_holder_lets_go(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    command = [sys.executable, "-c", _HOLD, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(AenetError, match=str(holder.pid)), hold(path, "it"):
            pass
        holder.kill()
        holder.wait()
        with hold(path, "it"):
            pass
