"""Fetch a model from the registry: by alias or version, every file checked against its manifest."""

import shutil
import tempfile
from pathlib import Path

import mlflow.artifacts
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from aenet.artifacts import MANIFEST, folder_digest, read_manifest, verify_folder
from aenet.errors import AenetError, CorruptArtifact
from aenet.nolinks import listed_path, read_listed
from aenet.tracking.events import project_root
from aenet.tracking.registry import CHAMPION, DIGEST
from aenet.tracking.store import Store, connect


def fetch(uri: str, dest: Path) -> Path:
    """Download a registered model (`models:/NAME@ALIAS` or `models:/NAME/VERSION`) and verify every file.

    The folder is named by its digest, so it is downloaded once, and a job that uses it keeps its key.

    Raises:
        AenetError: no such model, version or alias.
        CorruptArtifact: what came is not what was registered.
    """
    store = connect(project_root())
    version = _resolve(store, uri)
    digest = version.tags.get(DIGEST, "")
    target = dest / digest[:12]
    if target.exists() and digest and folder_digest(target) == digest:
        verify_folder(target)
        return target
    dest.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=dest, prefix=".fetch-") as temporary:
        location = store.client.get_model_version_download_uri(version.name, version.version)
        came = mlflow.artifacts.download_artifacts(location, dst_path=temporary, tracking_uri=store.uri)
        clean = Path(temporary) / "clean"
        _take_listed(Path(came), clean)
        if folder_digest(clean) != digest:
            raise CorruptArtifact(f"{uri} is not the folder that was registered: its manifest has another digest")
        verify_folder(clean)
        shutil.rmtree(target, ignore_errors=True)
        clean.rename(target)
    return target


def _resolve(store: Store, uri: str) -> ModelVersion:
    name, alias, number = _parse(uri)
    try:
        if alias:
            return store.client.get_model_version_by_alias(name, alias)
        return store.client.get_model_version(name, number)
    except MlflowException as error:
        raise AenetError(
            f"{uri} is not in the model registry at {store.uri} ({error.message}): run the export_onnx stage, "
            "or name a model folder"
        ) from error


def _parse(uri: str) -> tuple[str, str, str]:
    rest = uri.removeprefix("models:/")
    name, _, alias = rest.partition("@")
    if not alias:
        name, _, number = rest.partition("/")
        if name and number.isdigit():
            return name, "", number
    if rest == uri or not name or not alias:
        raise AenetError(f"{uri} names no registered model: write models:/aenet@{CHAMPION} or models:/aenet/1")
    return name, alias, ""


def _take_listed(source: Path, target: Path) -> None:
    """Copy only what the manifest lists: the registry's own additions, or anybody's, stay behind."""
    target.mkdir()
    (target / MANIFEST).write_bytes(read_listed(source / MANIFEST))
    for name, entry in read_manifest(source).files.items():
        file = listed_path(source, name, MANIFEST, entry.bytes)
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target / name)
