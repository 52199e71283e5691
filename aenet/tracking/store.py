"""The MLflow store itself: its creation (which races unless locked), its moves, its experiments and runs."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.request import url2pathname

import filelock

from aenet.tracking.address import (  # first: the environment
    ARTIFACTS,
    DATABASE,
    VARIABLE,
    own_database,
    shared_lock,
    store_uri,
)

from mlflow.exceptions import MlflowException  # isort: skip
from mlflow.tracking import MlflowClient  # isort: skip
from typing import Any

from mlflow.entities import Run, RunStatus, ViewType

from aenet.tracking.events import Event

# A project that was moved or copied: MLflow keeps whole paths of artefacts in `mlflow.db`; they are turned to here.

_COLUMNS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "storage_location"),
    ("model_versions", "source"),
)


def repair_locations(root: Path) -> int:
    """Turn locations of artefacts in the project's own store to the project's own folder; return how many.

    Only locations below a folder `mlartifacts`, which this project gives its experiments, and only where the artefacts
    lie here or are no longer there: an experiment that somebody keeps elsewhere stays there.
    """
    database, here = root / DATABASE, (root / ARTIFACTS).as_uri()
    if not database.exists():
        return 0
    with closing(sqlite3.connect(database, timeout=60)) as connection, connection:
        present = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        moved = 0
        for table, column in (pair for pair in _COLUMNS if pair[0] in present):
            found = connection.execute(
                f"SELECT DISTINCT {column} FROM {table} WHERE {column} LIKE ?",  # noqa: S608  names of ours
                (f"file://%/{ARTIFACTS}/%",),
            ).fetchall()
            for before in (place for (place,) in found if not place.startswith(f"{here}/")):
                inner = before.rpartition(f"/{ARTIFACTS}/")[2]
                if _is_here(root, before, inner):
                    change = f"UPDATE {table} SET {column} = ? WHERE {column} = ?"  # noqa: S608  likewise
                    moved += connection.execute(change, (f"{here}/{inner}", before)).rowcount
    return moved


def _is_here(root: Path, before: str, inner: str) -> bool:
    return (root / ARTIFACTS / url2pathname(inner)).exists() or not Path(
        url2pathname(before[len("file://") :])
    ).exists()


# MLflow's pages then open on curves and models instead of on traces of language models.
_KIND = {"mlflow.experimentKind": "custom_model_development"}


class Store(NamedTuple):
    """A store that has answered.

    Attributes:
        uri: tracking URI.
        root: the project's root; its locks live there.
        client: a client of both the runs and the model registry.
    """

    uri: str
    root: Path
    client: MlflowClient

    def lock(self, name: str) -> filelock.BaseFileLock:
        """Return the lock that this project's processes share under `name`."""
        return shared_lock(self.root, name)

    @contextmanager
    def as_default(self) -> Iterator[None]:
        """Be what MLflow's own parts find that ask for no store by name.

        Its registry looks a version's model up that way: in the current folder's `mlflow.db`, were it left to itself.
        """
        before = os.environ.get(VARIABLE)
        os.environ[VARIABLE] = self.uri
        try:
            yield
        finally:
            del os.environ[VARIABLE]
            if before is not None:
                os.environ[VARIABLE] = before


def connect(root: Path) -> Store:
    """Return the store, created first where it is a local file that does not exist yet; repaired where it was moved."""
    uri = store_uri(root)
    with shared_lock(root, "store"):
        if uri == own_database(root):
            repair_locations(root.resolve())
        client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        client.search_experiments(max_results=1)
    return Store(uri, root, client)


def experiment_id(store: Store, name: str) -> str:
    """Return the id of an experiment, created once.

    A local store keeps its files in `mlartifacts/` beside it; a server decides for itself.
    """
    with store.lock("experiments"):
        if found := store.client.get_experiment_by_name(name):
            if found.lifecycle_stage == "deleted":
                store.client.restore_experiment(found.experiment_id)
            return str(found.experiment_id)
        local = store.uri.startswith("sqlite:")
        location = (store.root / ARTIFACTS / name).as_uri() if local else None
        try:
            return str(store.client.create_experiment(name, artifact_location=location, tags=_KIND))
        except MlflowException as error:  # another machine was faster
            found = store.client.get_experiment_by_name(name)
            if found is None or error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            return str(found.experiment_id)


# Find or create MLflow runs: one a (stage, fingerprint), one parent a group.

FINGERPRINT = "aenet.fingerprint"
STAGE = "aenet.stage"
GROUP = "aenet.group"


def find_or_create(store: Store, start: Event, known: str = "") -> tuple[str, bool]:
    """Return the id of the run of `start` and whether it had to be created.

    Args:
        start: the journal's `start` event.
        known: the id the journal remembers; used if that run still exists.
    """
    if known and _active(store, known):
        return known, False
    tags = {STAGE: start["stage"], FINGERPRINT: start["fingerprint"]}
    experiment = experiment_id(store, start["experiment"])
    with store.lock(f"run-{start['experiment']}-{start['stage']}"):
        if found := _search(store, experiment, tags):
            return found, False
        if start.get("group"):
            tags["mlflow.parentRunId"] = parent_of(store, start) or ""
        created = store.client.create_run(experiment, start["time"], {**start["tags"], **tags}, start["name"])
    return str(created.info.run_id), True


def parent_of(store: Store, start: Event) -> str | None:
    """Return the id of the run all runs of the same group are nested under, created by the first."""
    group = start.get("group")
    if not group:
        return None
    experiment = experiment_id(store, start["experiment"])
    with store.lock(f"group-{start['experiment']}"):
        found = _search(store, experiment, {GROUP: group})
        if found:
            return found
        created = store.client.create_run(experiment, start["time"], {GROUP: group}, group)
    return str(created.info.run_id)


def reopen(store: Store, run_id: str) -> None:
    """Show a run as running (again)."""
    if store.client.get_run(run_id).info.status != RunStatus.to_string(RunStatus.RUNNING):
        store.client.update_run(run_id, status="RUNNING")


def read(store: Store, run_id: str) -> Run:
    """Return a run as the store knows it."""
    return store.client.get_run(run_id)


def _active(store: Store, run_id: str) -> bool:
    try:
        return bool(store.client.get_run(run_id).info.lifecycle_stage == "active")
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return False
        raise


def _search(store: Store, experiment: str, tags: dict[str, Any]) -> str | None:
    clauses = [f"tags.`{name}` = '{_quoted(value)}'" for name, value in tags.items()]
    found = store.client.search_runs(
        [experiment], " and ".join(clauses), run_view_type=ViewType.ACTIVE_ONLY, max_results=1,
        order_by=["attributes.start_time ASC"],
    )  # fmt: skip
    return str(found[0].info.run_id) if found else None


def _quoted(value: str) -> str:
    return value.replace("'", "")
