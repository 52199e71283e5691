"""Find or create MLflow runs: one a (stage, fingerprint), one parent a group."""

from typing import Any

from mlflow.entities import Run, RunStatus, ViewType
from mlflow.exceptions import MlflowException

from aenet.tracking.events import Event
from aenet.tracking.store import Store, experiment_id

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
