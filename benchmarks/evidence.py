"""Keep what a benchmark printed: the command, the day, the machine, then its lines."""

import os
import shlex
import sys
from datetime import UTC, datetime
from pathlib import Path

from hardware import processor


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
