"""Locks: one waits, the other refuses, and both end with their process."""

import os
import resource
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from aenet.io.errors import AenetError
from aenet.io.locks import hold, wait_for

_HOLD = """
import sys
from pathlib import Path
from aenet.io.locks import wait_for
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


@pytest.mark.parametrize("lock", [wait_for, lambda path: hold(path, "it")])
def test_no_room_for_a_lock_is_a_sentence_and_leaves_it_free(
    tmp_path: Path, lock: Callable[[Path], AbstractContextManager[None]]
) -> None:
    path, before = tmp_path / "lock", resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))  # a full disk answers at the same place
    try:
        with (
            pytest.raises(AenetError, match=rf"{tmp_path} cannot be written \(File too large; .* make room"),
            lock(path),
        ):
            pass
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    with lock(path):
        size = path.stat().st_size
    with lock(path):  # to sign again takes no more room, whoever did before
        assert path.stat().st_size == size == 20
