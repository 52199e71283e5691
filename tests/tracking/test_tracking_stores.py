"""A second store gets all that the first has, a moved project keeps its artefacts, and what is not sent is said."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from mlflow.tracking import MlflowClient

from aenet import tracking
from aenet.io.artifacts import atomic_folder, verify_folder
from aenet.tracking.address import store_answers
from aenet.tracking.fetch import fetch
from aenet.tracking.sync import sync_all
from tests.support.tracking_store import new_project, runs_of

STARTED = 600  # seconds a server may need on a busy machine


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "project"
    root.mkdir()
    return new_project(root, monkeypatch)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """A real tracking server with a store and artefacts of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shutil.copy(tmp_path / "project" / "mlflow.db", tmp_path / "server.db")  # migrated, and empty
    words = ["--artifacts-destination", str(tmp_path / "served"), "--host", "127.0.0.1", "--port", str(port)]
    environment = {**os.environ, "MLFLOW_BACKEND_STORE_URI": f"sqlite:///{tmp_path / 'server.db'}"}
    process = subprocess.Popen(
        [sys.executable, "-m", "mlflow", "server", *words, "--workers", "1"], cwd=tmp_path,
        env={**environment, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    end = time.monotonic() + STARTED
    while not store_answers(f"http://127.0.0.1:{port}"):
        assert time.monotonic() < end and process.poll() is None
        time.sleep(0.2)
    yield f"http://127.0.0.1:{port}"
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def export(project: Path, content: str, recall: float) -> None:
    """Finish a model folder, keep it and its report with the run, and register it; the folder is then replaced."""
    with atomic_folder(project / "onnx") as folder:
        for name in ("ground.onnx", "aerial.onnx", "model.json"):
            (folder / name).write_text(f"{name} {content}")
    (project / "report.html").write_text(f"report of {content}")
    (project / "curve.png").write_text(f"curve of {content}")
    with tracking.run(
        experiment="aenet", stage="export_onnx", fingerprint=content, name=content, params={"seed": 1}, parent="all"
    ) as run:
        run.metrics({"loss": recall / 2}, step=1)
        run.figure("curve.png", project / "curve.png")
        run.table("top.json", pd.DataFrame({"query": [1], "tile": [content]}), to_parent=True)
        run.artifact(project / "report.html")
        run.artifact(project / "onnx", folder="onnx")
        run.register(project / "onnx", "aenet", {"val_recall_at_1": recall}, passed=True)


def content_of(uri: str, into: Path) -> dict[str, Any]:
    """Return all that a store knows of the project, without its own numbers: runs, artefacts, versions, alias."""
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    experiment = client.get_experiment_by_name("aenet")
    assert experiment is not None
    found: dict[str, Any] = {}
    for run in client.search_runs([experiment.experiment_id]):
        own = {name: value for name, value in run.data.tags.items() if not name.startswith("mlflow.parent")}
        shown = [run.info.status, run.data.params, run.data.metrics, own, run.info.start_time, run.info.end_time]
        dest = into / run.info.run_id
        dest.mkdir(parents=True)
        if client.list_artifacts(run.info.run_id):
            client.download_artifacts(run.info.run_id, "", str(dest))
        files = {str(file.relative_to(dest)): file.read_bytes() for file in sorted(dest.rglob("*")) if file.is_file()}
        found[str(run.info.run_name)] = [shown, files]
    for version in client.search_model_versions("name = 'aenet'"):
        run_name = client.get_run(str(version.run_id)).info.run_name
        found[f"version {version.version}"] = [version.tags, list(version.aliases), run_name]
    found["champion"] = str(client.get_model_version_by_alias("aenet", "champion").version)
    return found


def test_a_second_store_has_all_the_first_has(
    project: Path, server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Months on the file beside the project, then the team's server; the models' folders are long other ones."""
    for content, recall in (("zebra", 0.7), ("ant", 0.8), ("mole", 0.6)):  # not in the order of their names
        export(project, content, recall)
        assert sync_all(project).failed == {}
    export(project, "zebra", 0.8)  # again, when it is as good as the champion: its own run, the alias is moved
    assert sync_all(project).failed == {}
    shutil.rmtree(project / "onnx")
    (project / "report.html").unlink()
    first = content_of(f"sqlite:///{project / 'mlflow.db'}", tmp_path / "first")
    assert first["champion"] == "1" and first["version 2"][2] == "ant"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    assert sync_all(project) == (3, 0, {})
    assert content_of(server, tmp_path / "second") == first
    assert verify_folder(fetch("models:/aenet@champion", tmp_path / "fetched").folder)
    assert sync_all(project) == (0, 3, {})


def test_what_lies_where_it_came_from_is_sent_from_there(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first store's artefacts are gone, the model's folder is not; a folder of other bytes is none of it."""
    stores = {name: f"sqlite:///{project / name}" for name in ("second.db", "third.db")}
    for name in stores:
        shutil.copy(project / "mlflow.db", project / name)  # migrated, and empty
    export(project, "one", 0.7)
    sync_all(project)
    shutil.rmtree(project / "mlartifacts")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", stores["second.db"])
    assert sync_all(project) == (1, 0, {})
    assert fetch("models:/aenet/1", project / "fetched").note == ""
    shutil.rmtree(project / "mlartifacts")
    (project / "onnx" / "ground.onnx").write_text("another")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", stores["third.db"])
    (failed,) = sync_all(project).failed.values()
    assert "register: " in failed and "nor where it came from" in failed and str(project / "onnx") in failed
    assert "report.html" not in failed and "curve.png" not in failed, "all else is sent"
    client = MlflowClient(tracking_uri=stores["third.db"])
    (run,) = client.search_runs(["1"], "attributes.run_name = 'one'")
    assert run.info.status == "FINISHED" and "register" in run.data.tags["aenet.not_sent"]


def test_what_could_not_be_sent_is_failed_until_it_can(project: Path) -> None:
    export(project, "one", 0.7)
    (pending,) = (project / ".aenet" / "journal").glob("*/pending")
    shutil.rmtree(pending)
    kept = project / "kept"
    (project / "onnx").rename(kept)
    aenet = [sys.executable, "-m", "aenet", "sync"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    for _ in range(2):
        done = subprocess.run(aenet, cwd=project, capture_output=True, text=True, check=False, env=environment)
        assert done.returncode == 1 and "0 runs sent, 0 had been sent before, 1 failed" in done.stdout, done.stderr
    kept.rename(project / "onnx")
    assert sync_all(project) == (1, 0, {})
    assert sync_all(project) == (0, 1, {})
    (run,) = [run for run in runs_of(project) if run.info.run_name == "one"]
    assert "aenet.not_sent" not in run.data.tags


@pytest.mark.parametrize(
    "damage",
    [
        b"",  # no events: nothing to send
        b'{"event": "metrics", "values": 3}\n',
        b'{"event": "start", "session": "s", "stage": "x"}\n',
        b'{"event": "start", "session": "s", "experiment": {"a": []}, "stage": 3, "fingerprint": [], "params": 1}\n',
        b"[" * 100_000 + b"\n",
        b"\xff\xfe\n[1, 2]\n",
    ],
)
def test_a_journal_that_cannot_be_sent_does_not_stop_the_others(project: Path, damage: bytes) -> None:
    export(project, "one", 0.7)
    (journal,) = (project / ".aenet" / "journal").iterdir()
    (journal.with_name("a-damaged")).mkdir()
    (journal.with_name("a-damaged") / "events.jsonl").write_bytes(damage)
    assert set(sync_all(project).failed) <= {"a-damaged"}
    (run,) = [run for run in runs_of(project) if run.info.run_name == "one"]
    assert run.info.status == "FINISHED"


def test_a_damaged_cursor_sends_again_and_doubles_nothing(project: Path) -> None:
    export(project, "one", 0.7)
    sync_all(project)
    (cursor,) = (project / ".aenet" / "journal").glob("*/cursor.json")
    cursor.write_text(
        json.dumps({name: {"offset": "x", "run_id": 3, "left": 5} for name in json.loads(cursor.read_text())})
    )
    assert sync_all(project).failed == {}
    (run,) = [run for run in runs_of(project) if run.info.run_name == "one"]
    client = MlflowClient(tracking_uri=f"sqlite:///{project / 'mlflow.db'}")
    assert len(client.get_metric_history(run.info.run_id, "loss")) == 1


def test_a_moved_project_keeps_its_artefacts(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Moved, and copied: each project's store then names its own files, and nothing is sent again."""
    export(project, "one", 0.7)
    sync_all(project)
    moved = tmp_path / "moved here"
    shutil.copytree(project, moved)
    shutil.rmtree(project)
    again = tmp_path / "copy"
    shutil.copytree(moved, again)
    for root, other in ((again, moved), (moved, again)):
        monkeypatch.setenv("DVC_ROOT", str(root))
        monkeypatch.chdir(root)
        assert sync_all(root) == (0, 1, {})
        assert verify_folder(fetch("models:/aenet@champion", root / "fetched").folder)
        (run,) = [run for run in runs_of(root) if run.info.run_name == "one"]
        client = MlflowClient(tracking_uri=f"sqlite:///{root / 'mlflow.db'}")
        assert str(run.info.artifact_uri).startswith(f"{root.as_uri()}/")
        assert Path(client.download_artifacts(run.info.run_id, "report.html")).read_text() == "report of one"
        export(root, "two", 0.9)
        assert sync_all(root).failed == {}
        assert not [file for file in (other / "mlartifacts").rglob("ground.onnx") if "two" in file.read_text()]
        shutil.rmtree(root)


def test_an_experiment_kept_elsewhere_stays_there(project: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "shared" / "mlartifacts" / "theirs"
    elsewhere.mkdir(parents=True)
    client = MlflowClient(tracking_uri=f"sqlite:///{project / 'mlflow.db'}")
    client.create_experiment("theirs", artifact_location=elsewhere.as_uri())
    export(project, "one", 0.7)
    sync_all(project)
    assert client.get_experiment_by_name("theirs").artifact_location == elsewhere.as_uri()  # type: ignore[union-attr]
