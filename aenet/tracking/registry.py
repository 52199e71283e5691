"""The model registry: one model, both branches in one version; the alias `champion` moves as one step.

It moves by recall on the validation split. Recall on the test split is a tag beside it: a model that was chosen for it
would no longer be tested by it.

A version is a folder exactly as the export stage finished it, plus an `MLmodel` file that tells MLflow's
pages the signature. That file names no loader: models are opened by onnxruntime after their digests were
checked, never through `pyfunc`, which runs code from the artefact.
"""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.models import Model, ModelSignature
from mlflow.types import ColSpec, Schema, TensorSpec

from aenet.data.card import CARD, ModelCard
from aenet.io.artifacts import read_manifest
from aenet.tracking.events import CHAMPION_METRIC as RECALL
from aenet.tracking.events import Event
from aenet.tracking.store import Store

CHAMPION = "champion"
DIGEST = "aenet.digest"
MEASURED_ON = "aenet.measured_on"


def register(store: Store, run_id: str, folder: Path, event: Event) -> dict[str, Any]:
    """Give a model folder a version, make it champion if it deserves it, and say why or why not.

    The same folder from the same run keeps its version.
    """
    name = event["name"]
    with store.lock("registry"):
        _ensure_model(store, name)
        version = _version(store, name, run_id, event["digest"]) or _create(store, run_id, folder, event)
        champion = _champion(store, name)
        refusal = _refusal(event, version, champion)
        if refusal is None:
            store.client.set_registered_model_alias(name, CHAMPION, version.version)
        reason = refusal or f"version {version.version} is the champion: {RECALL} {event['metrics'][RECALL]:.4f}"
        store.client.set_model_version_tag(name, version.version, "aenet.reason", reason)
    return {"version": int(version.version), "champion": refusal is None, "reason": reason}


def _refusal(event: Event, version: ModelVersion, champion: ModelVersion | None) -> str | None:
    reason = _unfit(event)
    if reason is None and champion is not None and champion.version != version.version:
        reason = _not_better(event, champion)
    return None if reason is None else f"version {version.version} has no alias: {reason}"


def _unfit(event: Event) -> str | None:
    if not event["passed"]:
        return "its parity report failed"
    if RECALL not in event["metrics"]:  # a journal of an earlier release
        return f"no {RECALL} was recorded with it; export the model again"
    return None


def _not_better(event: Event, champion: ModelVersion) -> str | None:
    recall, before = event["metrics"][RECALL], float(champion.tags.get(RECALL, "nan"))
    if RECALL not in champion.tags:
        return (
            f"its {RECALL} is {recall:.4f}, and champion {champion.version} was registered without one, when champions "
            "were chosen by recall on the test split; choose by hand in MLflow's UI"
        )
    if event["measured_on"] != champion.tags.get(MEASURED_ON, ""):
        return (
            f"its {RECALL} {recall:.4f} and that of champion {champion.version}, {before:.4f}, were measured on "
            "different data; choose by hand in MLflow's UI"
        )
    if not recall >= before:  # also refuses NaN
        return f"its {RECALL} {recall:.4f} is below the {before:.4f} of champion {champion.version}"
    return None


def _ensure_model(store: Store, name: str) -> None:
    try:
        store.client.get_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        store.client.create_registered_model(name, description="Both branches: ground.onnx and aerial.onnx")


def _champion(store: Store, name: str) -> ModelVersion | None:
    number = store.client.get_registered_model(name).aliases.get(CHAMPION)
    return store.client.get_model_version(name, number) if number else None


def _version(store: Store, name: str, run_id: str, digest: str) -> ModelVersion | None:
    found = store.client.search_model_versions(f"name = '{name}' and run_id = '{run_id}'")
    return next((version for version in found if version.tags.get(DIGEST) == digest), None)


def _create(store: Store, run_id: str, folder: Path, event: Event) -> ModelVersion:
    run = store.client.get_run(run_id)
    tags = {key: str(value) for key, value in event["metrics"].items()}
    tags |= {DIGEST: event["digest"], MEASURED_ON: event["measured_on"], "aenet.parity": str(event["passed"])}
    logged = store.client.create_logged_model(run.info.experiment_id, event["name"], run_id, tags)
    description = Model(run_id=run_id, flavors={"aenet": {"files": sorted(read_manifest(folder).files)}})
    description.model_id = logged.model_id
    description.signature = _signature(folder)
    with tempfile.TemporaryDirectory() as temporary:
        description.save(str(Path(temporary) / "MLmodel"))
        store.client.log_model_artifacts(logged.model_id, str(folder))
        store.client.log_model_artifacts(logged.model_id, temporary)
    store.client.finalize_logged_model(logged.model_id, "READY")
    with store.as_default():
        return store.client.create_model_version(
            event["name"], f"models:/{logged.model_id}", run_id, tags, model_id=logged.model_id
        )


def _signature(folder: Path) -> ModelSignature | None:
    try:
        card = ModelCard.model_validate_json((folder / CARD).read_bytes())
    except (OSError, ValueError):  # a folder without a card is stored all the same
        return None
    images: list[ColSpec | TensorSpec] = [
        TensorSpec(np.dtype(np.uint8), (-1, view.height, view.width, 3), name)
        for name, view in (("ground", card.view.ground), ("aerial", card.view.aerial))
    ]
    descriptor = TensorSpec(np.dtype(np.float32), (-1, card.descriptor_dim), "descriptor")
    return ModelSignature(inputs=Schema(images), outputs=Schema([descriptor]))
