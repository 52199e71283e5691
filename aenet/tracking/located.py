"""Where an artefact of a journal lies, by its digest: the journal's copy, where it came from, or another store.

The journal keeps a copy until the first store has it. A store that comes later is sent the same bytes all the same.
"""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from sqlalchemy.exc import SQLAlchemyError

from aenet.io.artifacts import folder_digest, verify_folder
from aenet.io.errors import AenetError, CorruptArtifact
from aenet.io.nolinks import check_tree, listed_tree
from aenet.io.plainfiles import check_plain
from aenet.tracking import fetch
from aenet.tracking.address import other_stores, project_of, store_answers
from aenet.tracking.events import EVENTS, Event, content_digest
from aenet.tracking.registry import DIGEST

_Fetch = Callable[[MlflowClient, str, Event, Path], Path]


@contextmanager
def artifact(folder: Path, uri: str, event: Event) -> Iterator[Path]:
    """Yield the file or folder of an `artifact` event, of a journal that is being sent to the store at `uri`.

    Raises:
        CorruptArtifact: it is nowhere any more.
    """
    with _located(folder, uri, event, content_digest, _artifact_of) as path:
        yield path


@contextmanager
def model(folder: Path, uri: str, event: Event) -> Iterator[Path]:
    """Yield the model folder of a `register` event; arguments and errors as `artifact`."""
    with _located(folder, uri, event, _model_digest, _model_of) as path:
        yield path


@contextmanager
def _located(folder: Path, uri: str, event: Event, digest: Callable[[Path], str], fetched: _Fetch) -> Iterator[Path]:
    for place in (lambda: listed_tree(folder, event["file"], EVENTS), lambda: _origin(folder, event)):
        if (path := _if_same(place, digest, event)) is not None:
            yield path
            return
    with tempfile.TemporaryDirectory() as temporary:
        for number, (store, run_id) in enumerate(other_stores(folder, uri).items()):
            if _exists(store) and store_answers(store):
                dest = Path(temporary) / str(number)
                dest.mkdir()
                came = _if_same(partial(_from_store, store, fetched, run_id, event, dest), digest, event)
                if came is not None:
                    yield came
                    return
    name = event.get("name", event["file"])
    raise CorruptArtifact(
        f"{name} (digest {event['digest'][:12]}) is neither in {folder} nor where it came from "
        f"({event.get('origin', 'not written down')}), nor can another store give it: put it back there, or delete "
        f"{folder} to give its run up"
    )


def _if_same(place: Callable[[], Path], digest: Callable[[Path], str], event: Event) -> Path | None:
    try:
        path = place()
        return path if digest(path) == event["digest"] else None
    except (AenetError, MlflowException, SQLAlchemyError, ImportError, OSError):  # the next place may have it
        return None


def _origin(folder: Path, event: Event) -> Path:
    """Return where it came from: only from the project itself, whose journal may be anybody's."""
    root, origin = project_of(folder).resolve(), Path(str(event.get("origin") or ""))
    if not origin.is_relative_to(root):
        raise CorruptArtifact(f"{origin} lies outside {root}")
    return listed_tree(root, origin.relative_to(root).as_posix(), EVENTS)


def _exists(store: str) -> bool:
    """Return False for an SQLite file that is not there: MLflow would make one."""
    return not store.startswith("sqlite") or Path(store.partition(":///")[2].partition("?")[0]).is_file()


def _from_store(store: str, fetched: _Fetch, run_id: str, event: Event, dest: Path) -> Path:
    return fetched(MlflowClient(tracking_uri=store, registry_uri=store), run_id, event, dest)


def _model_digest(path: Path) -> str:
    verify_folder(path)
    return folder_digest(path)


def _artifact_of(client: MlflowClient, run_id: str, event: Event, dest: Path) -> Path:
    """Download an artefact of a run: of a folder its content lies in the run's folder, of a file it has its name."""
    run = client.get_run(run_id)
    owner = run.data.tags.get("mlflow.parentRunId", run_id) if event.get("parent") else run_id
    for inner in (f"{event['folder']}/{event['name']}".lstrip("/"), event["folder"]):
        if (inner and client.list_artifacts(owner, inner)) or _is_file(client, owner, inner):
            path = Path(client.download_artifacts(owner, inner, str(dest)))
            if path.is_file():
                check_plain(path)
            else:
                check_tree(path)
            return path
    raise CorruptArtifact(f"run {owner} has no {event['name']}")


def _is_file(client: MlflowClient, run_id: str, inner: str) -> bool:
    above = inner.rpartition("/")[0] or None
    return any(file.path == inner and not file.is_dir for file in client.list_artifacts(run_id, above))


def _model_of(client: MlflowClient, run_id: str, event: Event, dest: Path) -> Path:
    found = client.search_model_versions(f"name = '{event['name']}' and run_id = '{run_id}'")
    version = next((version for version in found if version.tags.get(DIGEST) == event["digest"]), None)
    if version is None:
        raise CorruptArtifact(f"no version of {event['name']} has its digest")
    return fetch.download(client, version, dest)
