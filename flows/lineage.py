"""What a localization came from: model, gallery and code, written beside its results and told to MLflow."""

from pathlib import Path

import pandas as pd

from aenet.artifacts import sha256_file
from aenet.atomic import write_json
from aenet.params import Config
from aenet.serving.galleries.manifest import MANIFEST, read_gallery
from aenet.serving.jobs.files import SUCCESS
from aenet.serving.jobs.job import Job
from aenet.serving.jobs.table import read_places
from aenet.tracking.context import source_tags
from aenet.tracking.events import project_root
from aenet.tracking.journal import Run
from flows.drift import Drift, drift
from flows.models import Model

LINEAGE = "lineage.json"
PLACES = "places.parquet"


class Lineage(Config):
    """Where a job's places come from.

    Attributes:
        model: digest of weights and view.
        model_uri: version in the registry, or folder.
        model_run: id of the MLflow run that registered it.
        training: key of the training that made it.
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


def trace(job: Job, model: Model) -> Lineage:
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
