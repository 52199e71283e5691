"""Where the MLflow store is and whether it answers; light, for MLflow itself takes seconds to import.

Importing this sets MLflow's environment (short patience), so it comes before MLflow does.
"""

import http.client
import os
import urllib.error
import urllib.request
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit, urlunsplit

import filelock

from aenet.io.atomic import write_json
from aenet.io.redaction import MASK, without_secrets
from aenet.tracking.events import read_events, read_small_json

_SETTINGS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",  # the default of 7 blocks one call for four minutes
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "GIT_PYTHON_REFRESH": "quiet",
}
for _name, _value in _SETTINGS.items():
    os.environ.setdefault(_name, _value)

VARIABLE = "MLFLOW_TRACKING_URI"
DATABASE = "mlflow.db"
ARTIFACTS = "mlartifacts"
PROBE_SECONDS = 2.0


def store_uri(root: Path) -> str:
    """Return `$MLFLOW_TRACKING_URI`, or the SQLite file beside the project."""
    return os.environ.get(VARIABLE) or own_database(root)


def own_database(root: Path) -> str:
    """Return the address of the SQLite file beside the project."""
    return f"sqlite:///{root / DATABASE}"


def store_name(root: Path, uri: str) -> str:
    """Return what a store is called in journals: no password, and the project's own is the same after a move."""
    return DATABASE if uri == own_database(root) else without_secrets(uri)


def is_remote(uri: str) -> bool:
    """Return whether the store is a server; a file cannot be unreachable."""
    return uri.startswith(("http://", "https://"))


def store_answers(uri: str) -> bool:
    """Return whether the store can be reached (within 2 s): any HTTP answer will do; files always can."""
    if not is_remote(uri):
        return True
    try:
        parts = urlsplit(uri)
        bare = urlunsplit(
            parts._replace(netloc=parts.netloc.rpartition("@")[2])
        )  # urllib takes user:pw@host for a host
        with urllib.request.urlopen(bare, timeout=PROBE_SECONDS):  # noqa: S310 (the scheme was just checked)
            return True
    except urllib.error.HTTPError:  # it answers, if only to refuse us
        return True
    except (OSError, ValueError, http.client.HTTPException):
        return False


def shared_lock(root: Path, name: str) -> filelock.BaseFileLock:
    """Return a lock between the processes of one project."""
    folder = root / ".aenet" / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    return filelock.FileLock(folder / f"{name}.lock", timeout=120)


# How far each store has been sent a journal: `cursor.json`, one entry a store.

CURSOR = "cursor.json"


class Cursor(NamedTuple):
    """How far one journal has been sent to one store.

    Attributes:
        offset: bytes of events.jsonl.
        run_id: the run's, in that store.
        left: where events begin that were passed over, because the store refused them or their files were nowhere.
    """

    offset: int = 0
    run_id: str = ""
    left: tuple[int, ...] = ()


def read_cursor(folder: Path, uri: str) -> Cursor:
    """Return how far `folder` has been sent to the store at `uri`; from the start if nobody knows."""
    record = read_small_json(folder / CURSOR)
    # Earlier releases wrote the address itself.
    found = [record.get(name) for name in (store_name(project_of(folder), uri), uri)]
    entry = next((one for one in found if isinstance(one, dict)), {})
    try:
        left = tuple(int(at) for at in entry.get("left", ()))
        return Cursor(max(0, int(entry.get("offset", 0))), str(entry.get("run_id", "")), left)
    except (TypeError, ValueError):  # damaged: what is sent twice stands there once
        return Cursor()


def write_cursor(folder: Path, uri: str, cursor: Cursor) -> None:
    """Remember how far `folder` has been sent to the store at `uri`; no password of it is written down."""
    record = read_small_json(folder / CURSOR)
    record.pop(uri, None)
    write_json(folder / CURSOR, {**record, store_name(project_of(folder), uri): cursor._asdict()})


def is_sent(folder: Path, uri: str) -> bool:
    """Return whether the store has got every whole event of the journal."""
    cursor = read_cursor(folder, uri)
    return not cursor.left and next(read_events(folder, cursor.offset), None) is None


def other_stores(folder: Path, uri: str) -> dict[str, str]:
    """Return the addresses of other stores that have a run of the journal, and its id there.

    Stores whose address holds a password are left out: it is nowhere written down.
    """
    root, record = project_of(folder), read_small_json(folder / CURSOR)
    found = {}
    for name, entry in record.items():
        run_id = entry.get("run_id") if isinstance(entry, dict) else None
        if run_id and name not in (store_name(root, uri), uri) and MASK not in name:
            found[own_database(root) if name == DATABASE else name] = str(run_id)
    return found


def project_of(folder: Path) -> Path:
    """Return the root of the project that a journal is in."""
    return folder.parents[2]  # <root>/.aenet/journal/<stage>-<fingerprint>
