"""Where the MLflow store is and whether it answers; light, for MLflow itself takes seconds to import.

Importing this sets MLflow's environment (short patience), so it comes before MLflow does.
"""

import http.client
import os
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import filelock

from aenet.redaction import without_secrets

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


def answers(uri: str) -> bool:
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
