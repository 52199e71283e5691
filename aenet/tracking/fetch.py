"""Fetch a model from the registry: by alias or version, every file checked against its manifest."""

import shutil
import tempfile
from pathlib import Path
from typing import NamedTuple

import mlflow.artifacts
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from aenet.io.artifacts import MANIFEST, folder_digest, read_manifest, verify_folder
from aenet.io.atomic import write_json
from aenet.io.errors import AenetError, CorruptArtifact
from aenet.io.locks import wait_for
from aenet.io.nolinks import listed_path, read_listed
from aenet.io.redaction import without_secrets
from aenet.tracking.address import store_answers, store_uri
from aenet.tracking.events import project_root, read_small_json
from aenet.tracking.registry import CHAMPION, DIGEST
from aenet.tracking.store import Store, connect

LAST = "last.json"  # beside the folders of fetched models: what each name was when the registry last answered
_ABSENT = {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}


class Fetched(NamedTuple):
    """A registered model that is in this machine's hands.

    Attributes:
        folder: its files, verified.
        uri: `models:/NAME/VERSION`.
        run_id: the MLflow run that registered it.
        note: what is to be said of it; empty where the registry itself gave it.
    """

    folder: Path
    uri: str
    run_id: str
    note: str = ""


def fetch(uri: str, dest: Path) -> Fetched:
    """Download a registered model (`models:/NAME@ALIAS` or `models:/NAME/VERSION`) and verify every file.

    The folder is named by its digest, so it is downloaded once, and a job that uses it keeps its key. Where the
    registry does not answer, what `uri` was when it last did serves, and the note says so.

    Raises:
        AenetError: no such model, version or alias; or the registry does not answer, and never did.
        CorruptArtifact: what came is not what was registered.
    """
    _parse(uri)
    address = store_uri(project_root())
    try:
        if not store_answers(address):
            raise _Silent(f"{address} does not answer")
        return _remembered(uri, dest, _fetch(connect(project_root()), uri, dest))
    except (_Silent, MlflowException, OSError) as error:
        return _last(uri, dest, " ".join(str(error).split())[:300], address)


class _Silent(Exception):
    """The registry does not answer."""


def _remembered(uri: str, dest: Path, fetched: Fetched) -> Fetched:
    record = {"folder": fetched.folder.name, "uri": fetched.uri, "run_id": fetched.run_id}
    with wait_for(dest / ".last.lock"):  # or of two fetches at a time one would forget the other's
        write_json(dest / LAST, {**read_small_json(dest / LAST), uri: record})
    return fetched


def _last(uri: str, dest: Path, reason: str, address: str) -> Fetched:
    """Return what was fetched last under that name, verified again."""
    record = read_small_json(dest / LAST).get(uri)
    name = record.get("folder") if isinstance(record, dict) else None
    if not isinstance(record, dict) or not isinstance(name, str) or Path(name).name != name:
        raise AenetError(
            f"{uri} cannot be fetched from the model registry at {address} ({reason}), and was not fetched before: "
            "start it or correct MLFLOW_TRACKING_URI, or name a model folder (--model models/onnx)"
        )
    verify_folder(dest / name)
    note = f"{uri} cannot be fetched now ({reason}): what it was last, {record['uri']}, serves"
    return Fetched(dest / name, str(record["uri"]), str(record.get("run_id", "")), without_secrets(note))


def _fetch(store: Store, uri: str, dest: Path) -> Fetched:
    version = _resolve(store, uri)
    digest = version.tags.get(DIGEST, "")
    registered, run_id = _first(store, version, digest)
    target = dest / digest[:12]
    if target.exists() and digest and folder_digest(target) == digest:
        verify_folder(target)
        return Fetched(target, registered, run_id)
    dest.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=dest, prefix=".fetch-") as temporary:
        clean = download(store.client, version, Path(temporary))
        if folder_digest(clean) != digest:
            raise CorruptArtifact(f"{uri} is not the folder that was registered: its manifest has another digest")
        verify_folder(clean)
        shutil.rmtree(target, ignore_errors=True)
        clean.rename(target)
    return Fetched(target, registered, run_id)


def _first(store: Store, version: ModelVersion, digest: str) -> tuple[str, str]:
    """Return address and run of the first version with that content: the alias may have moved, and jobs keep theirs."""
    found = store.client.search_model_versions(f"name = '{version.name}'")
    same = [one for one in found if one.tags.get(DIGEST) == digest]
    first = min(same, key=lambda one: int(one.version), default=version)
    return f"models:/{version.name}/{first.version}", str(first.run_id)


def download(client: MlflowClient, version: ModelVersion, dest: Path) -> Path:
    """Download the files that a version's manifest lists into `dest`, an empty folder; nothing is verified yet."""
    location = client.get_model_version_download_uri(version.name, version.version)
    came = mlflow.artifacts.download_artifacts(location, dst_path=str(dest), tracking_uri=client.tracking_uri)
    clean = dest / "clean"
    _take_listed(Path(came), clean)
    return clean


def _resolve(store: Store, uri: str) -> ModelVersion:
    name, alias, number = _parse(uri)
    try:
        if alias:
            return store.client.get_model_version_by_alias(name, alias)
        return store.client.get_model_version(name, number)
    except MlflowException as error:
        if error.error_code not in _ABSENT:
            raise
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
