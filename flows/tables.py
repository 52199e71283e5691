"""What a run of the pipeline shows for itself: a table of stages, a table of metrics."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from aenet.errors import AenetError
from flows.graph import ask_dvc
from flows.processes import Outcome

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


def failure(outcomes: Mapping[str, Outcome]) -> str | None:
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
