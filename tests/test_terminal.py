"""What reaches the terminal: one sentence where the machine is too small, and nothing that a library says by itself."""

import errno
import os
import resource
import subprocess
import sys

import pytest

from aenet.errors import AenetError
from aenet.terminal import shortage


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (MemoryError(), "not enough memory"),
        (OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)), "not enough memory"),
        (RuntimeError("std::bad_alloc"), "not enough memory"),
        (ImportError("libx.so: failed to map segment from shared object"), "not enough memory"),
        (Exception("OpenCV(4.14) error: (-4:Insufficient memory) Failed to allocate 9 bytes"), "not enough memory"),
        (OSError(errno.EMFILE, os.strerror(errno.EMFILE)), "too many files are open"),
        (RuntimeError("can't start new thread"), "no further thread"),
    ],
)
def test_c13_what_a_machine_lacks_is_named(error: Exception, sentence: str) -> None:
    wrapped = AenetError("a.jpg is damaged")
    wrapped.__cause__ = error
    for one in (error, wrapped):
        assert str(shortage(one)).startswith(sentence)


@pytest.mark.parametrize("error", [ValueError("no"), AenetError("no"), RuntimeError("CUDA out of memory"), KeyError(1)])
def test_c13_other_errors_are_no_shortage(error: Exception) -> None:
    assert shortage(error) is None


_COMMAND = """
import resource, sys
resource.setrlimit(getattr(resource, sys.argv[1]), (int(sys.argv[2]),) * 2)
from aenet.cli import main
sys.argv = ["aenet", "locate", ".", "--gallery", "none", "-o", "out"]
main()
"""


@pytest.mark.parametrize(("limit", "value", "said"), [("RLIMIT_NOFILE", 4, "too many files are open")])
def test_c13_under_a_limit_a_job_ends_in_one_sentence(limit: str, value: int, said: str, tmp_path: os.PathLike) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", _COMMAND, limit, str(value)], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    if resource.getrlimit(getattr(resource, limit))[1] >= value:
        assert "Traceback" not in ran.stderr and ran.returncode == 2, ran.stderr
        assert ran.stderr.count("\n") == 1 and said in ran.stderr


def test_c14_warnings_and_logs_of_libraries_stay_out() -> None:
    script = (
        "import logging, warnings; from aenet.terminal import quiet; quiet(); warnings.warn('noise');"
        "logging.getLogger('rasterio._env').warning('noise'); logging.getLogger('PIL').error('noise')"
    )
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONWARNINGS"}
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment)
    assert (ran.stdout, ran.stderr) == ("", "")
    script += ";logging.getLogger('aenet.tracking').warning('MLflow was not reached')"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment)
    assert (ran.stdout, ran.stderr) == ("", "MLflow was not reached\n")


def test_a_refused_lock_is_no_want_of_threads() -> None:
    """What an error hides on purpose (`from None`) does not speak for it."""
    try:
        try:
            raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
        except BlockingIOError:
            raise AenetError("gallery g is in use by another run") from None
    except AenetError as refused:
        assert shortage(refused) is None
    assert shortage(BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")) is None
    assert "no further thread" in str(shortage(RuntimeError("can't start new thread")))
