"""A project that was moved or copied: MLflow keeps whole paths of artefacts in `mlflow.db`; they are turned to here."""

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.request import url2pathname

from aenet.tracking.address import ARTIFACTS, DATABASE

_COLUMNS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "storage_location"),
    ("model_versions", "source"),
)


def mend_locations(root: Path) -> int:
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
