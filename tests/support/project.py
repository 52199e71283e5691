"""A copy of this project in another folder, with a git of its own, in which the real commands run."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def copy_project(folder: Path) -> Path:
    """Copy the tracked files as they are now, without the lock file."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    (folder / "dvc.lock").unlink(missing_ok=True)
    return folder


def commit(folder: Path) -> None:
    """Commit everything there, in a git of its own: DVC wants one."""
    for command in (["init", "-q"], ["add", "-A"], ["-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "t"]):
        subprocess.run(["git", *command], cwd=folder, check=True)


def run_in(folder: Path, *command: str, status: int = 0) -> str:
    """Run a command there on one thread; return what it printed, or fail if it exits otherwise than expected."""
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(folder),
        "OMP_NUM_THREADS": "1",
        "COLUMNS": "120",
        "AENET_TRACKING": "journal",  # sent by `aenet sync`, not by a process beside each stage
    }
    environment.pop("MLFLOW_TRACKING_URI", None)
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout + done.stderr
