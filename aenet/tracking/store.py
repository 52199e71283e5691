"""The MLflow store itself: its first creation (which races unless locked) and its experiments."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import filelock

from aenet.tracking.address import ARTIFACTS, VARIABLE, own_database, shared_lock, store_uri  # first: the environment
from aenet.tracking.moved import mend_locations

from mlflow.exceptions import MlflowException  # isort: skip
from mlflow.tracking import MlflowClient  # isort: skip

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
    """Return the store, created first where it is a local file that does not exist yet; mended where it was moved."""
    uri = store_uri(root)
    with shared_lock(root, "store"):
        if uri == own_database(root):
            mend_locations(root.resolve())
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
