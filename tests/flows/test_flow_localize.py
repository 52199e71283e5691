"""The localization flow: a real gallery, a real model from the registry, a real Prefect server."""

import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from prefect.artifacts import Artifact

from aenet import tracking
from aenet.io.artifacts import atomic_folder, sha256_file
from aenet.serving.galleries.build import GalleryOptions, build_gallery
from aenet.serving.localize import LocateOptions, plan
from aenet.tracking.sync import sync_all
from flows import shards
from flows import shards as retries
from flows.drift import chance, distance
from flows.localize import localize, main
from flows.models import CHAMPION, find_model
from flows.shards import place_shard
from tests.support import world
from tests.support.prefect_server import server_url
from tests.support.tracer import traced
from tests.support.tracking_store import new_project, runs_of

ROOT = Path(__file__).resolve().parents[2]
PHOTOS = 6
CPU = {"provider": "cpu", "threads": 1, "decoders": 1}


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
        run.register(project / "model", "aenet", {"val_recall_at_1": 0.9}, passed=True)
    sync_all(project)
    state = localize("photos", "gallery", "places/{date}", shard_size=4, options=CPU, return_state=True)
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
    lineage = json.loads((out / "lineage.json").read_text())
    exported = runs_of(project, "aenet")[0].info.run_id
    assert (lineage["model_uri"], lineage["model_run"]) == ("models:/aenet/1", exported)
    assert run_.data.tags["aenet.model.run_id"] == exported
    assert run_.data.tags["aenet.gallery.digest"] == sha256_file(project / "gallery" / "manifest.json")
    assert {data.dataset.name for data in run_.inputs.dataset_inputs} == {"gallery", "photos"}


def test_a_dead_mlflow_server_stops_no_night(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The default model: at first a sentence, once it was fetched that one."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    state = localize("photos", "gallery", "out", options=CPU, return_state=True)
    assert state.is_failed() and "was not fetched before" in str(state.message)
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    with tracking.run(experiment="aenet", stage="export_onnx", fingerprint="f", name="export", params={}) as run:
        run.register(project / "model", "aenet", {"val_recall_at_1": 0.9}, passed=True)
    sync_all(project)
    find_model(CHAMPION)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    state = localize("photos", "gallery", "out", options=CPU, return_state=True)
    assert state.is_completed(), state.message
    assert json.loads((project / "out" / "lineage.json").read_text())["model_uri"] == "models:/aenet/1"


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


# Put before a script: the process stands still when it is about to publish its second shard.
STAND_STILL = """
import sys, time

def _stand(event, arguments):
    if event == "os.rename" and str(arguments[1]).endswith("00001.parquet"):
        print("here", flush=True)
        time.sleep(300)

sys.addaudithook(_stand)
"""


def test_two_jobs_at_once_never_compute_the_same_shard_and_a_killed_one_holds_nothing(project: Path) -> None:
    words = ["locate", "photos", "--gallery", "gallery", "--model", "model", "-o", "out", "--shard-size", "2"]
    script = f"{STAND_STILL}\nfrom aenet.cli import main\nmain()"
    with subprocess.Popen(
        [sys.executable, "-c", script, *words, "--provider", "cpu", "--threads", "1"], stdout=subprocess.PIPE
    ) as first:
        assert first.stdout is not None
        while first.stdout.readline().strip() != b"here":
            assert first.poll() is None
        given = {"photos": "photos", "gallery": "gallery", "model": "model", "out": "out", "shard_size": 2}
        given["options"] = {"provider": "cpu", "threads": 1}
        state = localize(**given, return_state=True)
        assert state.is_failed()
        assert re.search(rf"shard 1 of .*out is in use by another run \(process {first.pid}\)", str(state.message))
        first.kill()
    state = localize(**given, return_state=True)
    assert state.is_completed(), state.message
    lines = Counter(" ".join(line.split()[:2]) for line in log_of(project / "out"))
    once = {f"{event} {shard:05d}": 1 for event in ("start", "done") for shard in range(3)}
    assert lines == {**once, "start 00001": 2}, "only what was being computed when the kill came"
    assert pd.read_csv(project / "out" / "places.csv")["photo"].is_unique


def test_nobody_is_told_by_a_flow_and_its_workers(project: Path) -> None:
    """The flow's process, a Dask cluster of its own, and the sending of its run to MLflow."""
    words = [
        "photos",
        "--gallery",
        "gallery",
        "--model",
        "model",
        "--out",
        "out",
        "--executor",
        "dask",
        "--workers",
        "1",
    ]
    environment = {"PYTHONPATH": str(ROOT), "PREFECT_API_URL": server_url()}
    seen = traced(project, "-m", "flows.localize", *words, "--provider", "cpu", **environment)
    assert "6 of 6 photos placed" in seen.said
    assert (seen.outside, seen.files) == ([], [])
    seen = traced(project, "-m", "aenet", "sync", **environment)
    assert "1 runs sent" in seen.said
    assert (seen.outside, seen.files) == ([], [])


def test_only_new_photos_are_placed(project: Path) -> None:
    """Night after night; a job that was interrupted keeps its photos, and the next night takes what came since."""
    given = {"photos": "photos", "gallery": "gallery", "model": "model", "options": CPU, "new_only": True}
    assert localize(**given, out="places/1", return_state=True).name == "Completed"
    state = localize(**given, out="places/2", return_state=True)
    assert (state.is_completed(), state.name) == (True, "NothingNew")
    assert "nothing new: all 6 photos" in str(state.message)
    assert not (project / "places" / "2").exists()
    shutil.copy(project / "photos" / "0000.jpg", project / "photos" / "new.jpg")
    plan(Path("photos"), project / "gallery", Path("model"), Path("places/3"), LocateOptions(**CPU), Path("places"))
    shutil.copy(project / "photos" / "0000.jpg", project / "photos" / "newer.jpg")
    assert localize(**given, out="places/3", return_state=True).is_completed()
    assert localize(**given, out="elsewhere/4", history="places", return_state=True).is_completed()
    placed = [pd.read_csv(project / out / "places.csv")["photo"].tolist() for out in ("places/3", "elsewhere/4")]
    assert placed == [["new.jpg"], ["newer.jpg"]]


def test_a_cluster_gives_the_places_of_this_machine(project: Path) -> None:
    """All shards in one task on a real Dask cluster; and scores like those before are no drift, others are."""
    given = {"photos": "photos", "gallery": "gallery", "model": "model", "shard_size": 2, "options": CPU}
    assert localize(**given, out="jobs/here", return_state=True).is_completed()
    state = localize(**given, out="jobs/there", executor="dask", workers=2, return_state=True)
    assert state.is_completed(), state.message
    here, there = (pd.read_csv(project / "jobs" / name / "places.csv") for name in ("here", "there"))
    pd.testing.assert_frame_equal(here, there)
    turned = localize(**given | {"options": {**CPU, "heading": "unknown"}}, out="jobs/turned", return_state=True)
    assert "chance" not in str(turned.message), "asked otherwise, scores are others without any drift"
    done = [line.split()[1] for line in log_of(project / "jobs" / "there") if line.startswith("done")]
    assert sorted(done) == ["00000", "00001", "00002"]
    for file in (project / "photos").iterdir():  # the sky fell: nothing looks like the map any more
        cv2.imwrite(str(file), np.random.default_rng(0).integers(0, 256, (64, 256, 3), dtype=np.uint8))
    state = localize(**given, out="jobs/noise", return_state=True)
    assert "more than chance" in str(state.message)
    sync_all(project)
    # The same photos, gallery and model on another executor are the same run.
    drifts = [run.data.metrics.get("drift/score", -1.0) for run in runs_of(project, "localize")]
    assert sorted(drifts) == [-1.0, 0.0, 1.0]


def log_of(out: Path) -> list[str]:
    return (out / "shards" / "computed.log").read_text().splitlines()


@pytest.mark.parametrize(
    ("values", "reference", "expected"),
    [
        ([1.0, 2.0], [1.0, 2.0], 0.0),
        ([1.0, 2.0], [3.0], 1.0),
        ([1.0, 2.0, 3.0, 4.0], [2.5, 3.5, 4.5, 5.5], 0.5),  # at 2: 2/4 against 0/4
    ],
)
def test_drift_by_hand(values: list[float], reference: list[float], expected: float) -> None:
    assert distance(np.array(values), np.array(reference)) == expected


def test_chance_is_what_one_distribution_comes_to() -> None:
    generator = np.random.default_rng(0)
    exceeded = [
        distance(generator.normal(size=200), generator.normal(size=300)) > chance(200, 300, 0.05) for _ in range(400)
    ]
    assert 0.02 < np.mean(exceeded) < 0.08


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


@pytest.mark.parametrize(
    ("word", "status", "said"),
    [
        ("topk=3", 1, "unknown key 'options.topk' (did you mean 'top_k'?)"),
        ("top_k=many", 1, "'options.top_k'"),
        ("top_k", 2, "--set 'top_k': expected KEY=VALUE"),
    ],
)
def test_bad_options_are_one_sentence(
    project: Path, word: str, status: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["photos", "--gallery", "gallery", "--model", "model", "--out", "out", "--set", word]
    assert main(words) == status
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error
    assert not (project / "out").exists()


def test_c13_what_the_machine_lacks_is_a_sentence_and_tried_again(
    template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a traceback in the task's log, nor bad input, which is given up at once."""

    def fail(*_: object) -> None:
        raise MemoryError

    photos, gallery, model = (template / name for name in ("photos", "gallery", "model"))
    job = plan(photos, gallery, model, tmp_path / "out", LocateOptions.model_validate(CPU))
    monkeypatch.setattr(shards, "run_shard", fail)
    state = place_shard.fn(job, 0)
    assert (state.type.value, state.name) == ("FAILED", "TooSmall")
    assert str(state.message).startswith("not enough memory: close other programs")
    assert retries._not_bad_input(None, None, state)  # type: ignore[arg-type]
    monkeypatch.setattr("flows.localize.plan", fail)
    ended = localize.fn(str(photos), str(gallery), str(tmp_path / "flow"), str(model), CPU)
    assert ended.is_failed() and str(ended.message).startswith("not enough memory: close other programs")
