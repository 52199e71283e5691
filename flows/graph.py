"""The graph of stages, asked of DVC: which exist, and what each waits for."""

import difflib
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from graphlib import CycleError, TopologicalSorter

from aenet.io.errors import AenetError

Graph = dict[str, tuple[str, ...]]
"""Stage -> the stages it waits for. Stages stand in DVC's own order, each after those it waits for."""

_EDGE = re.compile(r'^\s*"(?P<before>[^"]+)"\s*->\s*"(?P<after>[^"]+)";?$')
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
    try:
        return {stage: tuple(waits[stage]) for stage in TopologicalSorter(waits).static_order()}
    except CycleError as error:
        raise AenetError(f"dvc.yaml has a cycle: {' waits for '.join(error.args[1])}") from error


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
