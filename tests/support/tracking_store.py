"""A project with a real, migrated SQLite store: migrated once, then copied."""

import functools
import shutil
import tempfile
from pathlib import Path

import pytest
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from aenet.tracking.store import connect


@functools.cache
def _template() -> bytes:
    folder = Path(tempfile.mkdtemp())
    try:
        connect(folder)
        return (folder / "mlflow.db").read_bytes()
    finally:
        shutil.rmtree(folder)


def new_project(root: Path, patch: pytest.MonkeyPatch) -> Path:
    """Make `root` a project whose store exists; records stay in the journal until they are sent."""
    for name in ("MLFLOW_TRACKING_URI", "DVC_EXP_NAME", "DVC_STAGE", "RANK"):
        patch.delenv(name, raising=False)
    patch.setenv("AENET_TRACKING", "journal")
    patch.setenv("DVC_ROOT", str(root))
    patch.chdir(root)
    (root / "mlflow.db").write_bytes(_template())
    return root


def client(root: Path) -> MlflowClient:
    """Return a client of the project's own store."""
    return MlflowClient(tracking_uri=f"sqlite:///{root / 'mlflow.db'}")


def runs_of(root: Path, experiment: str = "aenet") -> list[Run]:
    """Return all runs of an experiment, parents included."""
    mlflow = client(root)
    found = mlflow.get_experiment_by_name(experiment)
    return list(mlflow.search_runs([found.experiment_id])) if found else []
