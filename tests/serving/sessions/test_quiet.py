"""Nothing is told to anybody: no look-up, no connection beyond this machine, no file outside the project."""

import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from aenet.io.artifacts import atomic_folder
from aenet.io.errors import AenetError
from aenet.quiet import OFF
from tests.support.tracer import traced
from tests.support.world import World

ROOT = Path(__file__).resolve().parents[3]


def test_nobody_is_told_whatever_the_environment_says() -> None:
    """Before any library is there, and in processes that only unpickle what they are handed."""
    unpickle = "import pickle, sys; pickle.loads(sys.stdin.buffer.read())"
    script = f"import os, sys, json; {unpickle}; print(json.dumps([dict(os.environ), sorted(sys.modules)]))"
    contrary = {name: {"false": "true", "0": "1", "OFF": "ON"}.get(value, "0") for name, value in OFF.items()}
    done = subprocess.run(
        [sys.executable, "-c", script], input=pickle.dumps(AenetError), capture_output=True, check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), **contrary},
    )  # fmt: skip
    environment, modules = json.loads(done.stdout)
    assert {name: environment[name] for name in OFF} == OFF
    assert not {"onnxruntime", "mlflow", "prefect", "ray", "huggingface_hub"} & set(modules)


@pytest.fixture
def folder(small_world: World, tmp_path: Path) -> Path:
    """A project's folder with a map's gallery, a model and four photos."""
    project = tmp_path / "project"
    shutil.copytree(small_world.gallery, project / "gallery")
    with atomic_folder(project / "model") as model:
        shutil.copytree(small_world.model, model, dirs_exist_ok=True)
    (project / "photos").mkdir()
    for photo in sorted(small_world.photos.glob("*.jpg"))[:4]:
        shutil.copy(photo, project / "photos")
    return project


def test_nobody_is_told_by_locate(folder: Path) -> None:
    words = ["locate", "photos", "--gallery", "gallery", "--model", "model", "-o", "out", "--provider", "cpu"]
    seen = traced(folder, "-m", "aenet", *words, PYTHONPATH=str(ROOT))
    assert (seen.outside, seen.files) == ([], [])
    assert (folder / "out" / "_SUCCESS").exists(), seen.said


def test_nobody_is_told_by_servers_started_in_the_projects_folder() -> None:
    """`prefect server start` imports nothing of this project; the file it reads stands in the folder."""
    script = "from prefect.settings import get_current_settings as s; print(s().server.analytics_enabled)"
    bare = {name: value for name, value in os.environ.items() if name not in OFF}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=bare, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"
