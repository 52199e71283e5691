"""Keep `dvc.lock` as a plain `dvc repro` would have written it.

DVC appends a stage's entry when the stage ends. Stages that run side by side end in any order, so their new
entries are put into the order of `dvc repro` afterwards. Entries move whole; not a byte of theirs changes.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from aenet.artifacts import write_bytes
from flows.graph import repro_order

LOCK = Path("dvc.lock")

_ENTRY = re.compile(r"^  (?P<stage>\S.*):$")


def locked_stages() -> list[str]:
    """Return the stages `dvc.lock` has entries for, in its order."""
    return list(_split(LOCK.read_text())[1]) if LOCK.exists() else []


def reorder(before: Sequence[str]) -> None:
    """Put the entries that are not in `before` into the order of `dvc repro`."""
    if not LOCK.exists():
        return
    text = LOCK.read_text()
    head, entries = _split(text)
    new = [stage for stage in entries if stage not in before]
    if len(new) < 2:
        return
    place = {stage: number for number, stage in enumerate(repro_order())}
    new.sort(key=lambda stage: place.get(stage, len(place)))
    kept = [stage for stage in entries if stage in before]
    sorted_text = head + "".join(entries[stage] for stage in [*kept, *new])
    if sorted_text != text:
        write_bytes(LOCK, sorted_text.encode())


def _split(text: str) -> tuple[str, dict[str, str]]:
    """Return what stands above the entries, and each stage's entry."""
    head, entries, stage = "", {}, ""
    for line in text.splitlines(keepends=True):
        if found := _ENTRY.match(line.rstrip("\n")):
            stage = found["stage"].strip("'\"")
            entries[stage] = ""
        if stage:
            entries[stage] += line
        else:
            head += line
    return head, entries
