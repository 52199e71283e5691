"""What a localization shows for itself: numbers, a sentence, a link to the report."""

# isort: off
import flows.settings  # noqa: F401  (Prefect reads its environment when it is imported)

# isort: on
from collections.abc import Sequence
from typing import Any

from prefect.artifacts import create_link_artifact, create_markdown_artifact

from aenet.serving.localize import Summary
from flows.drift import Drift


def numbers(summary: Summary, drifts: Sequence[Drift] = ()) -> dict[str, float]:
    """Return what is known of the result, as MLflow's metrics."""
    values: dict[str, Any] = {
        "photos": summary.photos, "ok": summary.ok, "abstain": summary.abstain, "errors": summary.errors,
        "median_error_m": summary.median_error_m, "p95_error_m": summary.p95_error_m,
        "within_25m": summary.within_25m, "within_floor": summary.within_floor,
        "calibration_error": summary.calibration_error, "floor_median_m": summary.floor_median_m,
        "median_heading_error_deg": summary.median_heading_error_deg, "newcomers": summary.newcomers,
        "photos_per_second": summary.photos_per_second,
    }  # fmt: skip
    for drift in drifts:
        values |= {f"drift/{drift.column}": drift.distance, f"drift/{drift.column}_chance": drift.chance}
    return {name: float(value) for name, value in values.items() if value is not None}


def sentence(summary: Summary, drifts: Sequence[Drift] = ()) -> str:
    """Return the result in one line."""
    said = f"{summary.ok} of {summary.photos} photos placed, {summary.abstain} abstained, {summary.errors} unreadable"
    if summary.median_error_m is not None:
        said += f"; median error {summary.median_error_m:.1f} m"
    if summary.floor_median_m is not None:
        said += f" (the gallery's floor is {summary.floor_median_m:.1f} m)"
    said += "".join(f"; {drift.sentence()}" for drift in drifts if drift.drifted)
    return f"{said}; on {summary.runs_on}; {summary.out / 'report.html'}"


def publish(summary: Summary, drifts: Sequence[Drift] = ()) -> None:
    """Show the numbers and the report on the flow run's page."""
    rows = [f"| {name} | {value:.6g} |" for name, value in numbers(summary, drifts).items()]
    said = [f"{drift.sentence()}\n" for drift in drifts]
    create_markdown_artifact(key="localize", markdown="\n".join(["| | |", "|---|---:|", *rows, "", *said]))
    report = (summary.out / "report.html").resolve()
    create_link_artifact(key="localize-report", link=report.as_uri(), link_text="report")
