"""What a command tells the world and where it writes, seen from below Python: libraries in C++ look up hosts, too."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.skips import in_ci

STRACE = shutil.which("strace")
_CALLS = "connect,sendto,sendmsg,sendmmsg,open,openat,creat,mkdir,mkdirat"
_HERE = re.compile(r'inet_addr\("127\.[\d.]+"\)|inet_pton\(AF_INET6, "::1"')
_MADE = re.compile(r'(?:open|openat|creat|mkdir|mkdirat)\((?:AT_FDCWD, |\d+, )?"(/[^"]*)"(?!.*= -1)')


class Trace(NamedTuple):
    """What a command was seen to do.

    Attributes:
        said: what it printed.
        outside: calls to addresses beyond this machine, name servers included; none without strace.
        files: what it made outside its project and its temporary folder: in its home or, seen by strace, anywhere.
    """

    said: str
    outside: list[str]
    files: list[str]


def traced(folder: Path, *command: str, **environment: str) -> Trace:
    """Run Python with `command` in `folder`, with a home and a temporary folder of its own beside it.

    Without strace only what it leaves in its home is seen: in CI that is a failure.
    """
    if STRACE is None and in_ci():
        pytest.fail("needs strace to see what libraries in C++ look up; it is not there")
    home, temporary, log = (folder.with_name(f"{folder.name}-{name}") for name in ("home", "tmp", "trace"))
    for made in (home, temporary):
        made.mkdir(exist_ok=True)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "DO_NOT_TRACK"))}
    where = {"HOME": str(home), "TMPDIR": str(temporary), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
    strace = [STRACE, "-f", "--seccomp-bpf", "-qq", "-e", f"trace={_CALLS}", "-o", str(log)] if STRACE else []
    done = subprocess.run(
        [*strace, sys.executable, *command], cwd=folder, env={**kept, **where, **environment}, text=True, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:]
    lines = log.read_text(errors="replace").splitlines() if STRACE else []
    outside = [line for line in lines if "sa_family=AF_INET" in line and not _HERE.search(line)]
    opened = [found[1] for line in lines if ("O_CREAT" in line or "open" not in line) and (found := _MADE.search(line))]
    inside = (f"{folder}/", f"{temporary}/", "/dev/", "/proc/")
    files = {path for path in opened if not path.startswith(inside)}
    files |= {str(path) for path in home.rglob("*") if path.is_file()}
    return Trace(done.stdout, outside, sorted(files))
