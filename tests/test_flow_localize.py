"""The localization flow: a real gallery, a real model from the registry, a real Prefect server."""

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest
from prefect.artifacts import Artifact
from prefect_server import server_url
from serving import world
from tracking_store import new_project, runs_of

from aenet import tracking
from aenet.artifacts import atomic_folder
from aenet.serving.build import GalleryOptions, build_gallery
from aenet.tracking.sync import sync_all
from flows.localize import localize, main

PHOTOS = 6


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("template") / "project"
    root.mkdir()
    pixels = world.make_pixels()
    town, model = world.write_map(root / "town.tif", pixels), world.make_model(root / "plain")
    with atomic_folder(root / "model") as folder:
        shutil.copytree(model, folder, dirs_exist_ok=True)
    build_gallery(town, root / "gallery", model, GalleryOptions(spacing_m=25.0, provider="cpu", threads=1))
    world.take_photos(root / "photos", pixels, PHOTOS)
    return root


@pytest.fixture
def project(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    server_url()
    root = tmp_path / "project"
    shutil.copytree(template, root)
    return new_project(root, monkeypatch)


def test_the_champion_places_photos_and_mlflow_remembers(project: Path) -> None:
    with tracking.run(experiment="aenet", stage="export_onnx", fingerprint="f", name="export", params={}) as run:
        run.register(project / "model", "aenet", {"recall_at_1": 0.9}, passed=True)
    sync_all(project)
    state = localize("photos", "gallery", "places/{date}", shard_size=4, provider="cpu", return_state=True)
    assert state.is_completed(), state.message
    out = project / "places" / f"{datetime.now(UTC):%Y-%m-%d}"
    assert len(pd.read_csv(out / "places.csv")) == PHOTOS
    assert str(out.relative_to(project)) in str(state.message)
    link = Artifact.get("localize-report")
    assert link is not None
    assert (out / "report.html").resolve().as_uri() in str(link.data)
    sync_all(project)
    (run_,) = runs_of(project, "localize")
    assert run_.data.metrics["photos"] == PHOTOS
    assert run_.info.status == "FINISHED"


def test_a_second_run_computes_no_finished_shard(project: Path) -> None:
    arguments = ["photos", "--gallery", "gallery", "--model", "model", "--out", "out", "--shard-size", "4"]
    assert main([*arguments, "--provider", "cpu"]) == 0
    first = (project / "out" / "shards" / "computed.log").read_text()
    (project / "out" / "shards" / "00001.parquet").unlink()
    (project / "out" / "_SUCCESS").unlink()
    assert main([*arguments, "--provider", "cpu"]) == 0
    added = (project / "out" / "shards" / "computed.log").read_text().removeprefix(first)
    assert [line.split()[:2] for line in added.splitlines()] == [["start", "00001"], ["done", "00001"]]
    sync_all(project)
    assert len(runs_of(project, "localize")) == 1


def test_unreadable_photos_are_a_partial_result(project: Path) -> None:
    (project / "photos" / "broken.jpg").write_bytes(b"not a picture")
    arguments = ["photos", "--gallery", "gallery", "--model", "model", "--out", "out", "--provider", "cpu"]
    assert main(arguments) == 3
    assert len(pd.read_csv(project / "out" / "places.csv")) == PHOTOS + 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"gallery": "nowhere"}, "nowhere"),
        ({"model": "models:/aenet@champion"}, "run the export_onnx stage"),
        ({"photos": "no-photos"}, "no-photos"),
    ],
)
def test_bad_input_is_one_sentence(
    project: Path, change: dict[str, str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = {"photos": "photos", "gallery": "gallery", "model": "model", **change}
    assert main([given["photos"], "--gallery", given["gallery"], "--model", given["model"], "--out", "out"]) == 1
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error
