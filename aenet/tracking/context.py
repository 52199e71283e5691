"""Where a run comes from: commit, DVC stage and experiment, user, command. Asked once, at its start."""

import getpass
import os
import subprocess
import sys
from pathlib import Path


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
