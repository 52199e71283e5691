"""Keep what a benchmark printed: the command, the day, the machine, then its lines."""

import os
import platform
import shlex
import sys
from datetime import UTC, datetime
from pathlib import Path

from aenet.cores import usable_cores


def keep(path: Path | None, lines: list[str]) -> None:
    """Print lines and, if a path is given, append them to it under the command that led to them."""
    print(*lines, sep="\n")
    if path is None:
        return
    words = [f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]]
    if "--write" in words:  # where it is kept decides nothing
        at = words.index("--write")
        words[at : at + 2] = []
    head = [f"$ python {shlex.join(words)}", f"{datetime.now(UTC):%Y-%m-%d}, {processor()}, {os.uname().sysname}"]
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as stream:  # one write: several may append at once
        stream.write("\n".join([*head, *lines]) + "\n\n")


def processor() -> str:
    """Return the processor's name and how many of its cores this process may use."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.exists() else []
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    return f"{model} {usable_cores()} cores"
