"""Who becomes champion, and what serving gets of it."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from aenet import tracking
from aenet.io.artifacts import atomic_folder, verify_folder
from aenet.io.errors import AenetError, CorruptArtifact
from aenet.tracking import fetch as fetching
from aenet.tracking import registry
from aenet.tracking.fetch import fetch
from aenet.tracking.sync import sync_all
from tests.support.tracking_store import client, new_project, runs_of

CHAMPION = "models:/aenet@champion"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return new_project(tmp_path, monkeypatch)


def register(project: Path, content: str, recall: float, passed: bool = True, measured_on: str = "") -> None:
    """Export a model with `content` for weights and hand it to the registry."""
    with atomic_folder(project / "onnx") as folder:
        for name in ("ground.onnx", "aerial.onnx", "model.json"):
            (folder / name).write_text(f"{name} {content}")
    with tracking.run(experiment="aenet", stage="export_onnx", fingerprint=content, name="export", params={}) as run:
        metrics = {"val_recall_at_1": recall, "recall_at_1": 1 - recall, "parity_max_abs_difference": 1e-6}
        answer = run.register(project / "onnx", "aenet", metrics, passed, measured_on)
        assert answer.version is None
        assert "aenet sync" in answer.reason
    assert sync_all(project).failed == {}


def champion(project: Path) -> str:
    return str(client(project).get_model_version_by_alias("aenet", "champion").version)


def test_the_first_and_every_better_model_is_champion(project: Path) -> None:
    register(project, "one", 0.70)
    assert champion(project) == "1"
    register(project, "two", 0.70)
    assert champion(project) == "2"
    register(project, "three", 0.75)
    assert champion(project) == "3"


@pytest.mark.parametrize(
    ("recall", "passed", "measured_on", "reason"),
    [
        (0.69, True, "", "its val_recall_at_1 0.6900 is below the 0.7000 of champion 1"),
        (0.90, False, "", "its parity report failed"),
        (float("nan"), True, "", "is below"),
        (0.90, True, "another town", "measured on different data"),
    ],
)
def test_an_unworthy_model_gets_a_version_and_a_reason(
    project: Path, recall: float, passed: bool, measured_on: str, reason: str
) -> None:
    register(project, "one", 0.70)
    register(project, "two", recall, passed, measured_on)
    assert champion(project) == "1"
    second = client(project).get_model_version("aenet", "2")
    assert reason in second.tags["aenet.reason"]
    assert second.aliases == []


def test_validation_decides_and_test_is_told(project: Path) -> None:
    """The helper gives the model of higher validation recall the lower test recall."""
    register(project, "one", 0.70)
    register(project, "two", 0.80)
    assert champion(project) == "2"
    tags = client(project).get_model_version("aenet", "2").tags
    assert (float(tags["val_recall_at_1"]), float(tags["recall_at_1"])) == (0.8, pytest.approx(0.2))


def test_a_champion_chosen_on_the_test_split_is_left_to_the_user(project: Path) -> None:
    """Of an earlier release: a version without validation recall, and a journal whose models have none."""
    register(project, "one", 0.70)
    client(project).delete_model_version_tag("aenet", "1", "val_recall_at_1")
    register(project, "two", 0.90)
    assert champion(project) == "1"
    assert "choose by hand in MLflow's UI" in client(project).get_model_version("aenet", "2").tags["aenet.reason"]
    old = {"passed": True, "metrics": {"recall_at_1": 0.9}, "measured_on": ""}
    assert registry._unfit(old) == "no val_recall_at_1 was recorded with it; export the model again"


def test_a_model_without_what_champions_are_compared_by_is_refused(project: Path) -> None:
    with atomic_folder(project / "onnx") as folder:
        (folder / "ground.onnx").write_text("weights")
    with (
        pytest.raises(AenetError, match="registered with val_recall_at_1, got recall_at_1"),
        tracking.run(experiment="aenet", stage="export_onnx", fingerprint="f", name="export", params={}) as run,
    ):
        run.register(project / "onnx", "aenet", {"recall_at_1": 0.5}, passed=True)


def test_the_same_model_keeps_its_version(project: Path) -> None:
    register(project, "one", 0.70)
    register(project, "one", 0.70)
    assert len(client(project).search_model_versions("name = 'aenet'")) == 1
    assert len(runs_of(project)) == 1


def test_a_live_run_learns_the_answer(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AENET_TRACKING", "live")
    with atomic_folder(project / "onnx") as folder:
        (folder / "ground.onnx").write_text("weights")
    with tracking.run(experiment="aenet", stage="export_onnx", fingerprint="f", name="export", params={}) as run:
        answer = run.register(project / "onnx", "aenet", {"val_recall_at_1": 0.5}, passed=True)
    assert (answer.version, answer.champion) == (1, True)
    assert answer.reason == "version 1 is the champion: val_recall_at_1 0.5000"


def test_the_champion_comes_back_as_it_was_exported(project: Path) -> None:
    register(project, "one", 0.70)
    came = fetch(CHAMPION, project / "fetched").folder
    assert {path.name for path in came.iterdir()} == {"ground.onnx", "aerial.onnx", "model.json", "manifest.json"}
    verify_folder(came)
    assert (came / "ground.onnx").read_text() == "ground.onnx one"
    assert fetch("models:/aenet/1", project / "fetched").folder == came


def test_a_tampered_store_is_refused(project: Path) -> None:
    register(project, "one", 0.70)
    (stored,) = (project / "mlartifacts").rglob("ground.onnx")
    stored.write_text("ground.onnx ONE")
    with pytest.raises(CorruptArtifact, match=r"ground\.onnx"):
        fetch(CHAMPION, project / "fetched")
    assert list((project / "fetched").iterdir()) == []


def test_a_corrupt_model_is_not_registered(project: Path) -> None:
    with atomic_folder(project / "onnx") as folder:
        (folder / "ground.onnx").write_text("weights")
    (project / "onnx" / "ground.onnx").write_text("WEIGHTS")
    with (
        pytest.raises(CorruptArtifact),
        tracking.run(experiment="aenet", stage="export_onnx", fingerprint="f", name="export", params={}) as run,
    ):
        run.register(project / "onnx", "aenet", {"val_recall_at_1": 0.5}, passed=True)


def test_without_a_registry_the_champion_last_fetched_serves(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    register(project, "one", 0.70)
    before = fetch(CHAMPION, project / "fetched")
    assert before.note == ""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:pa55word@127.0.0.1:9")
    again = fetch(CHAMPION, project / "fetched")
    assert again[:3] == before[:3]
    assert "http://***@127.0.0.1:9 does not answer" in again.note and "models:/aenet/1, serves" in again.note
    with pytest.raises(
        AenetError, match=r"models:/aenet@staging cannot be fetched.*not fetched before.*--model"
    ) as caught:
        fetch("models:/aenet@staging", project / "fetched")
    assert "pa55word" not in str(caught.value)
    (before.folder / "ground.onnx").write_text("ground.onnx ONE")
    with pytest.raises(CorruptArtifact, match=r"ground\.onnx"):
        fetch(CHAMPION, project / "fetched")


def test_bad_names_are_explained(project: Path) -> None:
    with pytest.raises(AenetError, match="run the export_onnx stage"):
        fetch(CHAMPION, project / "fetched")
    with pytest.raises(AenetError, match="models:/aenet@champion"):
        fetch("aenet", project / "fetched")


def test_models_fetched_at_a_time_are_all_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each reads the record, adds its own line and writes it: one after another, or the last writer wins."""
    read, together = fetching.read_small_json, threading.Barrier(4)

    def read_slowly(path: Path) -> dict[str, Any]:
        record = read(path)
        time.sleep(0.05)
        return record

    def remember(name: str) -> None:
        together.wait()
        fetching._remembered(
            f"models:/aenet@{name}", tmp_path, fetching.Fetched(tmp_path / name, "models:/aenet/1", "r")
        )

    monkeypatch.setattr(fetching, "read_small_json", read_slowly)
    names = ("champion", "staging", "older", "newer")
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(remember, names))
    assert set(read(tmp_path / fetching.LAST)) == {f"models:/aenet@{name}" for name in names}
