"""Open and close one stage's session in its journal."""

import getpass
import logging
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import filelock

from aenet.tracking import events
from aenet.tracking.follower import Follower, wanted
from aenet.tracking.journal import Run, now

# Where a run comes from: commit, DVC stage and experiment, user, command. Asked once, at its start.


def source_tags(root: Path) -> dict[str, str]:
    """Return MLflow tags that say which code and which DVC stage a run belongs to.

    `dvc.lock` does not count as a change: DVC itself rewrites it between the stages of one run.
    """
    tags = {
        "mlflow.source.name": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])[:500],
        "mlflow.source.type": "LOCAL",
        "mlflow.user": _user(),
    }
    if commit := _git(root, "rev-parse", "HEAD"):
        changed = _git(root, "status", "--porcelain", "--untracked-files=no", "--", ".", ":!dvc.lock")
        tags["mlflow.source.git.commit"] = commit
        tags["aenet.git_dirty"] = "true" if changed else "false"
    for variable, tag in (("DVC_EXP_NAME", "dvc.experiment"), ("DVC_STAGE", "dvc.stage")):
        if value := os.environ.get(variable):
            tags[tag] = value
    return tags


def _git(root: Path, *arguments: str) -> str:
    try:
        found = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):  # no git here: the run is still worth recording
        return ""
    return found.stdout.strip() if found.returncode == 0 else ""


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user without a name
        return "unknown"


log = logging.getLogger("aenet.tracking")


@contextmanager
def run(
    *,
    experiment: str,
    stage: str,
    fingerprint: str,
    name: str,
    params: Mapping[str, object],
    tags: Mapping[str, str] | None = None,
    parent: str | None = None,
) -> Iterator[Run]:
    """Record one stage's run; leaving the block by an exception records it as failed or killed.

    Args:
        experiment: MLflow experiment.
        stage, fingerprint: together they name the run: the same inputs meet the same run.
        params: may be nested; recorded under dotted names.
        parent: name of a group; its runs are nested under one parent run of that name.

    Of several processes of one job (`$RANK` > 0) only the first records.
    """
    root = events.project_root()
    folder = events.journal_folder(root, stage, fingerprint)
    folder.mkdir(parents=True, exist_ok=True)
    session = uuid.uuid4().hex
    lock = filelock.FileLock(folder / events.WRITER_LOCK)
    if not _first_process() or not _take(lock, stage):
        yield Run(folder, session, None, None)
        return
    writer = events.EventLog(folder)
    writer.append({
        "event": "start", "session": session, "experiment": experiment, "stage": stage, "fingerprint": fingerprint,
        "name": name, "params": events.flatten(params), "tags": {**source_tags(root), **(tags or {})},
        "group": parent, "time": now(),
    })  # fmt: skip
    recorded = Run(folder, session, writer, Follower(folder, session) if wanted() else None)
    try:
        with _closed_as_it_ends(recorded):
            yield recorded
    finally:
        lock.release()


@contextmanager
def _closed_as_it_ends(recorded: Run) -> Iterator[None]:
    """Close the run as finished, failed or killed, whichever way the block is left."""
    try:
        yield
    except BaseException as error:
        orderly = isinstance(error, SystemExit) and not error.code
        status = "FINISHED" if orderly else "FAILED" if isinstance(error, Exception) else "KILLED"
        recorded.close(status, f"{type(error).__name__}: {error}"[:500])
        raise
    recorded.close("FINISHED")


def _first_process() -> bool:
    return int(os.environ.get("RANK", "0")) == 0


def _take(lock: filelock.BaseFileLock, stage: str) -> bool:
    with suppress(filelock.Timeout):
        lock.acquire(timeout=0)
        return True
    log.warning("another process is recording the same %s run; this one is not recorded.", stage)
    return False
