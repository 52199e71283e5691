"""Keep `dvc.lock` as a plain `dvc repro` would have written it.

DVC appends a stage's entry when the stage ends. Stages that run side by side end in any order, so their new
entries are put into the order of `dvc repro` afterwards. Entries move whole; not a byte of theirs changes.
"""

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from aenet.atomic import write_bytes, write_json
from flows.graph import Graph, repro_order

LOCK = Path("dvc.lock")
NOTE = Path(".aenet") / "lock-order.json"

_ENTRY = re.compile(r"^  (?P<stage>\S.*):$")


@contextmanager
def in_repro_order(graph: Graph, stages: Sequence[str] | None = None) -> Iterator[None]:
    """Put the entries added inside into the order of `dvc repro STAGES`, however the block is left.

    A run that is cancelled, fails or is killed leaves a note of the entries there were before it. The next run then
    orders what both added, as if there had been one run.

    Args:
        graph: the stages that run.
        stages: those that were asked for; all if none.
    """
    noted = _noted()
    before = _locked() if noted is None else noted
    write_json(NOTE, before)
    try:
        yield
    finally:
        order = repro_order(stages or ()) if LOCK.exists() else []
        reorder(before, order)
        entered = {stage for stage in graph if not stage.endswith(".dvc")}  # a file under DVC has no entry
        if entered <= set(order) & set(_locked()):
            NOTE.unlink(missing_ok=True)


def reorder(before: Sequence[str], order: Sequence[str]) -> None:
    """Put the entries that are not in `before` into `order`; any it does not name stay ahead of them."""
    if not LOCK.exists():
        return
    text = LOCK.read_text()
    head, entries = _split(text)
    place = {stage: number for number, stage in enumerate(order) if stage not in before}
    sorted_stages = sorted(entries, key=lambda stage: place.get(stage, -1))
    sorted_text = head + "".join(entries[stage] for stage in sorted_stages)
    if sorted_text != text:
        write_bytes(LOCK, sorted_text.encode())


def _locked() -> list[str]:
    return list(_split(LOCK.read_text())[1]) if LOCK.exists() else []


def _noted() -> list[str] | None:
    """Return the entries there were before a run that did not finish; None if the last one did."""
    if LOCK.exists():
        with suppress(OSError, ValueError):
            return list(map(str, json.loads(NOTE.read_bytes())))
    return None


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
