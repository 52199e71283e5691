"""The commands that need more than the base install: what they say without it, and what their status tells."""

import subprocess
import sys
from pathlib import Path

import pytest

from aenet import tracking
from aenet.tracking import ui

ROOT = Path(__file__).resolve().parents[1]


def _without(modules: list[str], *arguments: str, cwd: Path) -> "subprocess.CompletedProcess[str]":
    """Run `aenet` in an interpreter where `modules` cannot be imported."""
    program = f"import sys\nsys.modules.update(dict.fromkeys({modules!r}))\nfrom aenet.cli import main\nmain()"
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("command", "missing", "folder"),
    [("sync", ["filelock"], None), ("sync", ["mlflow", "filelock"], None), ("demo", ["torch", "dvc", "prefect"], ROOT)],
)
def test_a_base_install_is_told_what_to_install(
    command: str, missing: list[str], folder: Path | None, tmp_path: Path
) -> None:
    done = _without(missing, command, cwd=folder or tmp_path)
    assert done.returncode == 2
    assert f"`aenet {command}` needs {', '.join(missing)}" in done.stderr
    assert ".[pipeline]" in done.stderr
    assert "Traceback" not in done.stderr


def test_sync_fails_when_something_could_not_be_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AENET_TRACKING", "journal")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    command = [sys.executable, "-m", "aenet", "sync"]
    nothing = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (nothing.returncode, nothing.stderr) == (0, "")
    with tracking.run(experiment="aenet", stage="train", fingerprint="f", name="train", params={}):
        pass
    failed = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert failed.returncode == 1
    assert "http://127.0.0.1:9 does not answer" in failed.stdout


def test_the_pages_of_mlflow_are_served_to_this_machine_alone(tmp_path: Path) -> None:
    words = ui.command(tmp_path, 5000)
    assert words[words.index("--host") + 1] == "127.0.0.1"
