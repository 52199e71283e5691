"""The graph of stages, asked of DVC: which exist, and what each waits for."""

import difflib
import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from aenet.io.atomic import write_bytes, write_json
from aenet.io.errors import AenetError

Graph = dict[str, tuple[str, ...]]
"""Stage -> the stages it waits for. Stages stand in DVC's own order, each after those it waits for."""

_EDGE = re.compile(r'^\s*"(?P<before>[^"]+)"\s*->\s*"(?P<after>[^"]+)";?$')
_VISITED = re.compile(r"^(?:Running stage|Stage) '(?P<stage>[^']+)'")
_NODE = re.compile(r'^\s*"(?P<stage>[^"]+)";?$')


def dvc(*arguments: str) -> list[str]:
    """Return the command that runs DVC in this interpreter's environment."""
    return [sys.executable, "-m", "dvc", *arguments]


def ask_dvc(*arguments: str) -> str:
    """Return what a DVC command prints.

    Raises:
        AenetError: DVC refused; its own last sentence is repeated.
    """
    done = subprocess.run(dvc(*arguments), capture_output=True, text=True, check=False)
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.strip()]
        reason = next((line for line in said if line.startswith("ERROR")), said[-1] if said else "no reason given")
        raise AenetError(f"`dvc {' '.join(arguments)}` failed: {reason.removeprefix('ERROR: ')}")
    return done.stdout


def repro_order(stages: Sequence[str] = ()) -> list[str]:
    """Return the stages in the order in which `dvc repro STAGES` goes through them: those whose inputs exist."""
    command = dvc("repro", "--dry", "--keep-going", *stages)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return [found["stage"] for line in done.stdout.splitlines() if (found := _VISITED.match(line))]


def read_graph(stages: Sequence[str] | None = None) -> Graph:
    """Return the graph of all stages, or of `stages` and what they wait for, as `dvc repro` would.

    A name of a `foreach` or `matrix` group stands for all its members.

    Raises:
        AenetError: no DVC project here, or a stage is not in it (the nearest name is offered).
    """
    graph = parse_dot(ask_dvc("dag", "--dot"))
    return graph if not stages else _with_ancestors(graph, _resolve(graph, stages))


def parse_dot(text: str) -> Graph:
    """Return the graph that `dvc dag --dot` prints, sorted so that every stage follows what it waits for."""
    waits: dict[str, list[str]] = {}
    for line in text.splitlines():
        if node := _NODE.match(line):
            waits.setdefault(node["stage"], [])
        elif edge := _EDGE.match(line):
            waits.setdefault(edge["before"], [])
            waits.setdefault(edge["after"], []).append(edge["before"])
    return _sorted(waits)


def _sorted(waits: Mapping[str, Sequence[str]]) -> Graph:
    graph: Graph = {}
    left = dict(waits)
    while left:
        ready = [stage for stage, before in left.items() if all(name in graph for name in before)]
        if not ready:
            raise AenetError(f"the stages {', '.join(left)} wait for one another: dvc.yaml has a cycle")
        for stage in ready:
            graph[stage] = tuple(left.pop(stage))
    return graph


def _resolve(graph: Graph, names: Sequence[str]) -> list[str]:
    found: list[str] = []
    for name in names:
        members = [stage for stage in graph if stage == name or stage.startswith(f"{name}@")]
        if not members:
            near = difflib.get_close_matches(name, [*graph, *(stage.split("@")[0] for stage in graph)], n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(graph)}"
            raise AenetError(f"dvc.yaml has no stage {name}: {hint}")
        found += members
    return found


def _with_ancestors(graph: Graph, stages: Sequence[str]) -> Graph:
    wanted: set[str] = set()
    todo = list(stages)
    while todo:
        stage = todo.pop()
        if stage not in wanted:
            wanted.add(stage)
            todo += graph[stage]
    return {stage: before for stage, before in graph.items() if stage in wanted}


# Keep `dvc.lock` as a plain `dvc repro` would have written it.
#
# DVC appends a stage's entry when the stage ends. Stages that run side by side end in any order, so their new
# entries are put into the order of `dvc repro` afterwards. Entries move whole; not a byte of theirs changes.

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
