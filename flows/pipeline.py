"""The DVC pipeline as a Prefect flow: `python -m flows.pipeline`.

Prefect decides when a stage runs; what is out of date is DVC's to say, and it alone caches. Stages run in
parallel where the graph allows. A stage that fails is tried once more after a pause (it resumes from its
checkpoint), unless it blamed its input. Stages that do not depend on a failed one still finish.
"""

import argparse
import json
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_link_artifact, create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.futures import PrefectFuture, as_completed
from prefect.states import Completed, Failed
from prefect.task_runners import ThreadPoolTaskRunner
from prefect.tasks import Task

import flows.settings  # noqa: F401  (Prefect reads its environment when it is imported)
from aenet.io.errors import AenetError
from aenet.io.params import PARAMS_FILE, check_sections, read_yaml
from aenet.io.redaction import without_secrets
from aenet.tracking.address import store_uri
from aenet.tracking.events import dvc_root, project_root
from flows import endings  # noqa: F401  # a run that outlives the processes beside it
from flows.graph import Graph, ask_dvc, read_graph
from flows.subprocesses import Outcome, StageProcesses

# What a run of the pipeline shows for itself: a table of stages, a table of metrics.

REPORTS = Path("reports")


def stages_table(outcomes: Mapping[str, Outcome]) -> str:
    """Return a Markdown table: stage, state, seconds."""
    rows = [f"| {stage} | {outcome.state} | {outcome.seconds:.1f} |" for stage, outcome in outcomes.items()]
    return "\n".join(["| stage | state | seconds |", "|---|---|---:|", *rows])


def metrics_table() -> str:
    """Return a Markdown table of what `dvc metrics show` knows; empty if nothing."""
    try:
        shown = json.loads(ask_dvc("metrics", "show", "--json"))
    except AenetError:  # no metrics yet: a pipeline that failed early
        return ""
    files = shown.get("", {}).get("data", {})
    rows = [
        f"| {file} | {name} | {value:.6g} |" if isinstance(value, float) else f"| {file} | {name} | {value} |"
        for file, content in sorted(files.items())
        for name, value in _leaves(content.get("data", {}))
    ]
    return "\n".join(["| file | metric | value |", "|---|---|---:|", *rows]) if rows else ""


def reports_list() -> str:
    """Return the tables below reports/ and links to the rest of it; empty if there is nothing yet."""
    tables = [file.read_text(encoding="utf-8") for file in sorted(REPORTS.rglob("*.md"))]
    shown = sorted(file for ending in ("md", "html", "png") for file in REPORTS.rglob(f"*.{ending}"))
    links = [f"- [{file.as_posix()}]({file.absolute().as_uri()})" for file in shown]
    return "\n\n".join([*tables, "\n".join(["Reports:", "", *links])]) if links else ""


def failure_sentence(outcomes: Mapping[str, Outcome]) -> str | None:
    """Return a sentence for each stage that failed, with its last lines; None if none did."""
    parts = []
    for stage, outcome in outcomes.items():
        if outcome.state == "Failed":
            waiting = [name for name, other in outcomes.items() if other.state == "NotRun"]
            blocked = f" (not run because of it: {', '.join(waiting)})" if waiting else ""
            parts.append("\n".join([f"stage {stage} failed{blocked}:", *(f"    {line}" for line in outcome.lines)]))
    return "\n".join(parts) or None


def _leaves(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(inner, f"{prefix}.{key}" if prefix else str(key))
    elif not isinstance(value, list):
        yield prefix, value


# isort: off

# isort: on


RETRY_SECONDS = 5


@task(task_run_name="{stage}", cache_policy=NO_CACHE, persist_result=False)
def run_stage(stage: str, processes: StageProcesses, outcomes: dict[str, Outcome]) -> State:
    """Reproduce one stage; the state is named after what DVC found: Completed, Unchanged or Restored."""
    log = get_run_logger()
    outcome = outcomes[stage] = processes.run(stage, log.info)
    if outcome.state in {"Failed", "Cancelled"}:
        return Failed(name=outcome.state, message=outcome.lines[-1] if outcome.lines else "stopped")
    return Completed(name=outcome.state, message=f"{outcome.seconds:.1f} s")


# More threads than stages at a time: how many run is decided below. Prefect's own annotation of `task_runner` does
# not accept its own runners (they are invariant in their futures).
@flow(
    name="pipeline",
    task_runner=ThreadPoolTaskRunner(max_workers=64),  # type: ignore[arg-type]
    persist_result=False,
)
def pipeline(stages: list[str] | None = None, workers: int = 2, force: bool = False, retries: int = 1) -> State:
    """Bring the stages up to date, as `dvc repro` would.

    Args:
        stages: these and what they wait for; all if none is named. A `foreach` group's name means all its members.
        workers: stages at a time.
        force: run stages even if nothing changed.
        retries: further attempts of a stage that failed for another reason than bad input.
    """
    graph = _graph(stages)
    processes = StageProcesses(force)
    outcomes: dict[str, Outcome] = {}
    again = run_stage.with_options(
        retries=retries,
        retry_delay_seconds=RETRY_SECONDS,
        retry_condition_fn=lambda _task, run, _state: _may_retry(processes, outcomes, run),
    )
    try:
        _run_all(graph, workers, again, processes, outcomes)
    finally:
        processes.stop()
    outcomes = {stage: outcomes.get(stage, Outcome("NotRun")) for stage in graph}
    _publish(outcomes)
    if reason := failure_sentence(outcomes):
        return Failed(message=reason)
    return Completed(message=", ".join(f"{stage} {outcome.state}" for stage, outcome in outcomes.items()))


def _graph(stages: list[str] | None) -> Graph:
    """Return the graph of `stages`; refuse a params.yaml with a section of no stage, which DVC would overlook."""
    graph = read_graph(stages)
    if PARAMS_FILE.exists():
        check_sections(PARAMS_FILE, read_yaml(Path("dvc.yaml"))["stages"])
    return graph


def _run_all(
    graph: Graph,
    workers: int,
    run: "Task[..., State]",
    processes: StageProcesses,
    outcomes: dict[str, Outcome],
) -> None:
    """Submit each stage once all it waits for has succeeded, at most `workers` at a time."""
    futures: dict[str, PrefectFuture[State]] = {}
    running: dict[str, PrefectFuture[State]] = {}
    succeeded: set[str] = set()
    while True:
        ready = [stage for stage, before in graph.items() if stage not in futures and succeeded.issuperset(before)]
        for stage in ready[: max(1, workers) - len(running)]:
            waited = [futures[before] for before in graph[stage]]
            running[stage] = futures[stage] = run.submit(stage, processes, outcomes, wait_for=waited)
        if not running:
            return
        future = next(as_completed(list(running.values())))
        future.wait()  # the state is then this process's own, not what the server has heard of so far
        stage = next(stage for stage, other in running.items() if other is future)
        running.pop(stage)
        if future.state.is_completed():
            succeeded.add(stage)


def _may_retry(processes: StageProcesses, outcomes: dict[str, Outcome], run: TaskRun) -> bool:
    outcome = outcomes.get(run.name)
    return not processes.stopping and not (outcome and outcome.bad_input)


def _publish(outcomes: dict[str, Outcome]) -> None:
    parts = [stages_table(outcomes), metrics_table(), reports_list()]
    uri = without_secrets(store_uri(project_root()))  # it ends in Prefect's database
    if uri.startswith("http"):
        create_link_artifact(key="mlflow", link=uri, link_text="MLflow", description="runs, curves and models")
    else:
        parts.append("Runs, curves and models: `aenet ui`, then http://127.0.0.1:5000")
    create_markdown_artifact(key="pipeline", markdown="\n\n".join(filter(None, parts)), description="stages, metrics")


def main(arguments: list[str] | None = None) -> int:
    """Run the pipeline once; 0 if every stage is up to date, 1 if one failed, 2 for a bad request."""
    parser = argparse.ArgumentParser(prog="python -m flows.pipeline", description=pipeline.description)
    parser.add_argument("stages", nargs="*", help="these and what they wait for (default: all)")
    parser.add_argument("--workers", type=int, default=2, help="stages at a time (default 2)")
    parser.add_argument("--force", action="store_true", help="run stages even if nothing changed")
    parser.add_argument("--retries", type=int, default=1, help="further attempts of a failed stage (default 1)")
    given = parser.parse_args(arguments)
    os.chdir(dvc_root())  # from a sub folder, too: paths and state belong to the project
    try:
        _graph(given.stages)  # before a server is started for nothing
    except AenetError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    state = pipeline(given.stages or None, given.workers, given.force, given.retries, return_state=True)
    if not state.is_completed():
        sys.stderr.write(f"error: {state.message}\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
