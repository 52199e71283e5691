"""The tables of `seeds.py`: mean and sample standard deviation over seeds, and every seed by itself."""

from collections.abc import Iterable, Sequence
from statistics import fmean, stdev
from typing import Any

Runs = Sequence[dict[str, Any]]

RECALLS = {"R@1": "recall_at_1", "R@5": "recall_at_5", "R@10": "recall_at_10"}
BASELINES = {
    "colour histogram of 16 azimuth sectors": "colour_histogram_by_azimuth",
    "colour histogram, plain": "colour_histogram",
}


def cell(values: Iterable[float], unit: str = " %") -> str:
    """Return `mean +- spread`, the sample standard deviation, or the value alone where there is one or all agree."""
    given = list(values)
    spread = stdev(given) if len(given) > 1 else 0.0
    return f"{fmean(given):,.1f}" + (f" +- {spread:.1f}" if spread else "") + unit


def markdown(result: dict[str, Any]) -> str:
    """Return a result as Markdown."""
    groups: dict[tuple[int, int], list[dict[str, Any]]] = {}
    for run in result["runs"]:
        groups.setdefault((run["epochs"], run["places_train"]), []).append(run)
    chosen = ", ".join(f"{name} {value}" for name, value in result["instructions"].items())
    head = [
        "# The town, seed by seed",
        f"`{result['command']}`, {result['date']}, {result['hardware']} ({chosen}).",
        "Mean and sample standard deviation over the seeds of each heading; a single run may be two of these away.",
    ]
    parts = [_curve(groups)] if len(groups) > 1 else []
    for (epochs, places), runs in groups.items():
        parts += [f"## {epochs} epochs, {places:,} training places, {len(runs)} seeds", *_group(runs)]
    return "\n\n".join([*head, *parts]) + "\n"


def _curve(groups: dict[tuple[int, int], list[dict[str, Any]]]) -> str:
    rows = []
    for (epochs, places), runs in groups.items():
        minutes = [run["train_minutes"] for run in runs if run["train_minutes"] is not None]
        recalls = [cell(_metric(runs, name)) for name in ("recall_at_1", "unknown_heading_360_recall_at_1")]
        rows.append([f"{epochs} epochs, {places:,} places", *recalls, cell(minutes, "") if minutes else "-"])
    return _table(["", "R@1", "R@1, heading unknown", "training, minutes"], rows)


def _group(runs: Runs) -> list[str]:
    tables = [_recalls(runs), _views(runs)]
    if all("placed" in run for run in runs):
        tables.append(_placed(runs))
    return [*tables, _seeds(runs)]


def _recalls(runs: Runs) -> str:
    rows = [
        ["AENet", *(cell(_metric(runs, name)) for name in RECALLS.values())],
        ["the same, heading unknown", *(cell(_metric(runs, f"unknown_heading_360_{k}")) for k in RECALLS.values())],
    ]
    for label, model in BASELINES.items():
        rows.append([label, *(cell(_metric(runs, name, model)) for name in RECALLS.values())])
    return _table([f"{_metric(runs, 'places')[0]:.0f} test places", *RECALLS], rows)


def _views(runs: Runs) -> str:
    """R@1 by how much of the horizon the query shows."""
    names = runs[0]["metrics"]["aenet"]
    degrees = sorted({int(name.split("_")[1]) for name in names if name.startswith("fov_")}, reverse=True)
    rows = [["360 degrees", "recall_at_1", "unknown_heading_360_recall_at_1"]]
    rows += [[f"{deg} degrees", f"fov_{deg}_recall_at_1", f"unknown_heading_{deg}_recall_at_1"] for deg in degrees]
    cells = [[label, *(cell(_metric(runs, name)) if name in names else "-" for name in keys)] for label, *keys in rows]
    return _table(["R@1", "heading known", "heading unknown"], cells)


def _placed(runs: Runs) -> str:
    rows = []
    for name in runs[0]["placed"]:
        jobs = [run["placed"][name] for run in runs]
        near = cell(100 * job["within_25m"] for job in jobs)
        error, floor = (cell((job[key] for job in jobs), " m") for key in ("median_error_m", "floor_median_m"))
        rows.append([f"map of the {name}", near, error, floor])
    return _table(["photos placed", "within 25 m", "median error", "the grid's floor"], rows)


def _seeds(runs: Runs) -> str:
    rows = []
    for run in runs:
        values = [run["metrics"]["aenet"][name] for name in ("recall_at_1", "unknown_heading_360_recall_at_1")]
        took = "-" if run["train_minutes"] is None else f"{run['train_minutes']:.1f}"
        rows.append([str(run["seed"]), *(f"{value:.1f} %" for value in values), str(run["best_epoch"]), took])
    return _table(["seed", "R@1", "R@1, heading unknown", "epoch taken", "training, minutes"], rows)


def _metric(runs: Runs, name: str, model: str = "aenet") -> list[float]:
    return [run["metrics"][model][name] for run in runs]


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
