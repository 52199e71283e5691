"""What a localization came from: model, gallery and code, written beside its results and told to MLflow."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from prefect.artifacts import create_link_artifact, create_markdown_artifact

import flows.settings  # noqa: F401  (Prefect reads its environment when it is imported)
from aenet.io.artifacts import sha256_file
from aenet.io.atomic import write_json
from aenet.io.params import Config
from aenet.serving.galleries.manifest import MANIFEST, read_gallery
from aenet.serving.jobs.job import SUCCESS, Job
from aenet.serving.jobs.outputs import read_places
from aenet.serving.localize import Summary
from aenet.tracking.events import project_root
from aenet.tracking.journal import Run
from aenet.tracking.run import source_tags
from flows.drift import Drift, drift
from flows.models import FetchedModel

LINEAGE = "lineage.json"
PLACES = "places.parquet"


class Lineage(Config):
    """Where a job's places come from.

    Attributes:
        model: digest of weights and view.
        model_uri: version in the registry, or folder.
        model_run: id of the MLflow run that registered it.
        training: key of the training run that made it.
        gallery: digest of the gallery's manifest, which holds the digests of all else.
        asked: how the photos were taken and where they were sought; scores of jobs asked otherwise are others.
        calibrated: digest of the model with its calibration, which confidences come from.
        code: commit; empty where there is no repository.
        changed: whether files of that commit were edited.
    """

    model: str
    model_uri: str
    model_run: str | None
    training: str
    gallery: str
    gallery_folder: str
    asked: str
    calibrated: str
    code: str
    changed: bool

    def tags(self) -> dict[str, str]:
        """Return it as MLflow's tags; the code is there already (`mlflow.source.git.commit`)."""
        tags = {
            "aenet.model.digest": self.model, "aenet.model.uri": self.model_uri, "aenet.model.training": self.training,
            "aenet.gallery.digest": self.gallery, "aenet.gallery.folder": self.gallery_folder,
        }  # fmt: skip
        return tags | ({"aenet.model.run_id": self.model_run} if self.model_run else {})


def trace(job: Job, model: FetchedModel) -> Lineage:
    """Write down where the places of a job come from, before they are computed."""
    source = source_tags(project_root())
    lineage = Lineage(
        model=model.digest,
        model_uri=model.uri,
        model_run=model.run,
        training=model.training,
        gallery=sha256_file(job.gallery / MANIFEST),
        gallery_folder=str(job.gallery),
        asked=job.options.model_dump_json(include={"photos", "heading", "phases", "prior", "refine"}),
        calibrated=job.digests.model,
        code=source.get("mlflow.source.git.commit", ""),
        changed=source.get("aenet.git_dirty") == "true",
    )
    write_json(job.out / LINEAGE, lineage.model_dump(mode="json"))
    return lineage


def record_inputs(run: Run, job: Job, lineage: Lineage) -> None:
    """Tell MLflow which data went in."""
    manifest = read_gallery(job.gallery)
    run.dataset("gallery", lineage.gallery, str(job.gallery), manifest.tiles, context="localize")
    run.dataset("photos", job.key, str(job.out), job.photos, context="localize")


def drift_of(job: Job, lineage: Lineage) -> list[Drift]:
    """Compare a finished job with the one before it: in a folder beside it, of the same model and gallery, asked alike.

    Empty if there is none.
    """
    before = _before(job.out, lineage)
    if before is None:
        return []
    return drift(_answers(job.out), _answers(before), f"the job before, {before.name}")


def _answers(out: Path) -> pd.DataFrame:
    return read_places(out / PLACES)


def _before(out: Path, lineage: Lineage) -> Path | None:
    finished = (out / SUCCESS).stat().st_mtime_ns
    known = {}
    for file in out.resolve().parent.glob(f"*/{LINEAGE}"):
        success = file.with_name(SUCCESS)
        if success.exists() and (when := success.stat().st_mtime_ns) < finished and _same(file, lineage):
            known[when] = file.parent
    return known[max(known)] if known else None


def _same(file: Path, lineage: Lineage) -> bool:
    try:
        other = Lineage.model_validate_json(file.read_bytes())
    except ValueError:  # of an older version: nothing to compare with
        return False
    return (other.calibrated, other.gallery, other.asked) == (lineage.calibrated, lineage.gallery, lineage.asked)


# What a localization shows for itself: numbers, a sentence, a link to the report.

# isort: off

# isort: on


def result_metrics(summary: Summary, drifts: Sequence[Drift] = ()) -> dict[str, float]:
    """Return what is known of the result, as MLflow's metrics."""
    values: dict[str, Any] = {
        "photos": summary.photos, "ok": summary.ok, "abstain": summary.abstain, "errors": summary.errors,
        "median_error_m": summary.median_error_m, "p95_error_m": summary.p95_error_m,
        "within_25m": summary.within_25m, "within_floor": summary.within_floor,
        "calibration_error": summary.calibration_error, "floor_median_m": summary.floor_median_m,
        "median_heading_error_deg": summary.median_heading_error_deg, "newcomers": summary.newcomers,
        "photos_per_second": summary.photos_per_second,
    }  # fmt: skip
    for one in drifts:
        values |= {f"drift/{one.column}": one.distance, f"drift/{one.column}_chance": one.chance}
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
    rows = [f"| {name} | {value:.6g} |" for name, value in result_metrics(summary, drifts).items()]
    said = [f"{drift.sentence()}\n" for drift in drifts]
    create_markdown_artifact(key="localize", markdown="\n".join(["| | |", "|---|---:|", *rows, "", *said]))
    report = (summary.out / "report.html").resolve()
    create_link_artifact(key="localize-report", link=report.as_uri(), link_text="report")
