"""The gallery flow: versions beside each other, a link that never shows half of one."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from aenet import tracking
from aenet.io.artifacts import atomic_folder
from aenet.io.atomic import write_json
from aenet.serving.galleries.manifest import MANIFEST, read_gallery
from aenet.tracking.sync import sync_all
from flows.gallery import gallery, main
from flows.localize import localize
from flows.models import read_gallery_record, remove_old, switch, version_folder
from tests.support import world
from tests.support.prefect_server import server_url
from tests.support.tracking_store import new_project

OPTIONS = {"spacing_m": 40.0, "provider": "cpu", "threads": 1, "shard_size": 20}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    server_url()
    root = tmp_path / "project"
    root.mkdir()
    world.write_map(root / "town.tif", world.make_pixels())
    world.make_model(root / "model")
    return new_project(root, monkeypatch)


def versions(project: Path) -> list[str]:
    return sorted(path.name for path in project.glob("gallery-*") if path.is_dir())


def refresh(**more: object) -> str:
    state = gallery("town.tif", model="model", options=OPTIONS, return_state=True, **more)
    assert state.is_completed(), state.message
    return str(state.name)


def test_only_a_change_makes_a_new_version(project: Path) -> None:
    assert refresh() == "Completed"
    first = (project / "gallery").readlink()
    assert first.name == version_folder(project / "gallery", read_gallery(project / "gallery").key).name
    assert refresh() == "Unchanged"
    assert versions(project) == [first.name]
    world.write_map(project / "town.tif", world.make_pixels(seed=2))
    assert refresh(keep=1) == "Completed"
    second = (project / "gallery").readlink()
    assert versions(project) == sorted([first.name, second.name])
    world.write_map(project / "town.tif", world.make_pixels())
    assert refresh(keep=1) == "Completed", "back to the first, which is still there"
    assert (project / "gallery").readlink() == first
    assert versions(project) == sorted([first.name, second.name])


def test_a_killed_refresh_leaves_the_old_gallery_and_goes_on(project: Path) -> None:
    refresh()
    old = (project / "gallery").readlink()
    world.write_map(project / "town.tif", world.make_pixels(seed=2))
    words = [f"{key}={value}" for key, value in OPTIONS.items()]
    script = f"{world.KILL_AT}\nfrom flows.gallery import main\nmain(sys.argv[1:])"
    killed = subprocess.run(
        [sys.executable, "-c", script, "os.rename", "shard-00001", "town.tif", "--model", "model"]
        + [part for word in words for part in ("--set", word)],
        env={**os.environ, "PREFECT_API_URL": server_url()}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert (project / "gallery").readlink() == old
    (half,) = (project / name for name in versions(project) if name != old.name)
    assert not (half / MANIFEST).exists()
    made = (half / "shard-00000" / MANIFEST).stat().st_mtime_ns
    assert refresh() == "Completed"
    assert (project / "gallery").resolve() == half
    assert (half / "shard-00000" / MANIFEST).stat().st_mtime_ns == made, "taken up, not built again"


def test_another_champion_makes_another_gallery_and_jobs_find_its_model(project: Path) -> None:
    world.take_photos(project / "photos", world.make_pixels(), 2)
    for version in (1, 2):
        world.make_model(project / f"plain{version}", seed=version)
        with atomic_folder(project / "onnx") as folder:
            shutil.copytree(project / f"plain{version}", folder, dirs_exist_ok=True)
        with tracking.run(experiment="aenet", stage="e", fingerprint=str(version), name="e", params={}) as run:
            run.register(project / "onnx", "aenet", {"val_recall_at_1": version / 10}, passed=True)
        sync_all(project)
        if version == 2:  # between a promotion and the next refresh, jobs keep to the gallery's own model
            state = localize("photos", "gallery", "out", "gallery", {"provider": "cpu"}, return_state=True)
            assert state.is_completed(), state.message
        state = gallery("town.tif", options=OPTIONS, return_state=True)
        assert state.name == "Completed", state.message
        assert read_gallery_record(project / "gallery").model == f"models:/aenet/{version}"
    assert len(versions(project)) == 2


def test_what_is_no_link_is_left_alone(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "gallery").mkdir()
    assert main(["town.tif", "--model", "model", "--set", "spacing_m=40.0"]) == 1
    assert "is no link" in capsys.readouterr().err
    assert main(["town.tif", "--out", "new", "--model", "model", "--set", "spaces=40.0"]) == 1
    assert "spaces" in capsys.readouterr().err


def test_the_versions_retired_last_are_kept(tmp_path: Path) -> None:
    link = tmp_path / "gallery"
    made = [version_folder(link, f"{number:012x}") for number in range(5)]
    for version in made:
        version.mkdir()
        write_json(version / MANIFEST, {})
        switch(link, version)
    made[1].joinpath(MANIFEST).unlink()  # one whose building nobody finished
    (tmp_path / "gallery-of-mine").mkdir()
    assert remove_old(link, keep=2) == [made[0], made[1]]
    assert link.resolve() == made[4]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        ["gallery", "gallery-of-mine", *(version.name for version in made[2:])]
    )
