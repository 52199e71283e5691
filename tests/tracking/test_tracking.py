"""The journal and what of it reaches a real MLflow store."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import psutil
import pytest

from aenet import tracking
from aenet.io.errors import AenetError
from aenet.tracking.address import Cursor, read_cursor, write_cursor
from aenet.tracking.sync import sync_all
from tests.support.tracking_store import client, new_project, runs_of


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return new_project(tmp_path, monkeypatch)


def record(fingerprint: str = "f" * 64, stage: str = "train", parent: str | None = None, loss: float = 1.0) -> None:
    with tracking.run(
        experiment="aenet", stage=stage, fingerprint=fingerprint, name=stage,
        params={"seed": 1, "optimizer": {"rate": 1e-3}}, tags={"kind": "test"}, parent=parent,
    ) as run:  # fmt: skip
        for epoch in range(3):
            run.metrics({"loss": loss / (epoch + 1), "R@1%": 0.1 * epoch, "seconds": time.time()}, step=epoch)
        figure = Path("curves.png")
        figure.write_bytes(b"a picture")
        run.figure("curves.png", figure)
        run.table("top.json", pd.DataFrame({"query": [1, 2], "tile": ["a", "b"]}))
        run.dataset("town", "d" * 64, "data/town", n_rows=200)


def script(body: str, **environment: str) -> subprocess.Popen[str]:
    """Start a stage in a process group of its own."""
    text = (
        "import time, sys\nfrom pathlib import Path\nfrom aenet import tracking\n"
        "with tracking.run(experiment='aenet', stage='train', fingerprint=sys.argv[1], name='train',"
        f" params={{'seed': 1}}, parent=sys.argv[2] or None) as run:\n{body}"
    )
    arguments = [environment.pop("fingerprint", "k" * 64), environment.pop("parent", "")]
    return subprocess.Popen(
        [sys.executable, "-c", text, *arguments], env={**os.environ, "AENET_TRACKING": "live", **environment},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


def eventually(condition: Callable[[], object], seconds: float = 300) -> None:
    """Wait for `condition()`; fail if it never comes true."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.1)


def followers(root: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        line = " ".join(process.info["cmdline"] or [])
        if "aenet.tracking.follow" in line and str(root) in line and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(process)
    return found


def test_everything_recorded_is_in_the_store(project: Path) -> None:
    record()
    assert sync_all(project).sent == 1
    (run,) = runs_of(project)
    assert run.info.status == "FINISHED"
    assert run.data.params == {"seed": "1", "optimizer.rate": "0.001"}
    assert run.data.metrics["loss"] == pytest.approx(1 / 3)
    assert run.data.metrics["R_at_1_percent"] == pytest.approx(0.2)
    assert run.data.tags["kind"] == "test"
    assert run.data.tags["aenet.fingerprint"] == "f" * 64
    assert [point.step for point in client(project).get_metric_history(run.info.run_id, "loss")] == [0, 1, 2]
    names = {file.path for file in client(project).list_artifacts(run.info.run_id)}
    assert names == {"figures", "top.json"}
    assert run.inputs is not None
    (data,) = run.inputs.dataset_inputs
    assert (data.dataset.name, data.dataset.digest) == ("town", "d" * 36)
    assert (project / "mlartifacts").is_dir()
    assert not (project / "mlruns").exists()


def test_the_same_inputs_are_one_run_and_no_point_twice(project: Path) -> None:
    record()
    sync_all(project)
    first = runs_of(project)[0]
    record()
    summary = sync_all(Path())  # the same project, however it is named
    assert str(summary) == "1 runs sent, 0 had been sent before, 0 failed"
    (run,) = runs_of(project)
    assert run.info.run_id == first.info.run_id
    assert run.info.end_time == first.info.end_time
    for name in ("loss", "seconds"):
        assert len(client(project).get_metric_history(run.info.run_id, name)) == 3
    table = client(project).download_artifacts(run.info.run_id, "top.json")
    assert len(json.loads(Path(table).read_text())["data"]) == 2
    assert sync_all(project) == (0, 1, {})


def test_a_different_result_for_the_same_inputs_is_shown(project: Path) -> None:
    record(loss=1.0)
    record(loss=2.0)
    sync_all(project)
    (run,) = runs_of(project)
    assert len(client(project).get_metric_history(run.info.run_id, "loss")) == 6
    assert run.data.metrics["loss"] == pytest.approx(2 / 3)


def test_other_inputs_are_another_run(project: Path) -> None:
    record("a" * 64)
    record("b" * 64)
    sync_all(project)
    assert len(runs_of(project)) == 2


def test_a_deleted_run_is_sent_again_whole(project: Path) -> None:
    record()
    sync_all(project)
    client(project).delete_run(runs_of(project)[0].info.run_id)
    record()
    sync_all(project)
    (run,) = runs_of(project)
    assert len(client(project).get_metric_history(run.info.run_id, "loss")) == 3


def test_a_torn_last_line_costs_that_line_only(project: Path) -> None:
    record()
    (events,) = (project / ".aenet" / "journal").glob("*/events.jsonl")
    with events.open("a") as stream:
        stream.write('{"event": "metrics", "values": {"lo')
    record(loss=2.0)
    assert sync_all(project).failed == {}
    (run,) = runs_of(project)
    assert run.data.metrics["loss"] == pytest.approx(2 / 3)


def test_what_is_sent_late_is_what_was_recorded(project: Path) -> None:
    model = project / "model"
    model.mkdir()
    (model / "weights").write_bytes(b"1" * 2_000_000)
    with tracking.run(experiment="aenet", stage="train", fingerprint="f", name="train", params={}) as run:
        run.artifact(model, folder="model")
    replacement = project / "replacement"
    replacement.write_bytes(b"2" * 2_000_000)
    replacement.replace(model / "weights")
    sync_all(project)
    came = client(project).download_artifacts(runs_of(project)[0].info.run_id, "model/weights")
    assert Path(came).read_bytes() == b"1" * 2_000_000
    assert not list((project / ".aenet" / "journal").glob("*/pending/*/*")), "what was sent is not kept twice"


def test_a_failure_is_recorded_and_passes_through(project: Path) -> None:
    with (
        pytest.raises(AenetError, match="no photos"),
        tracking.run(experiment="aenet", stage="train", fingerprint="f", name="train", params={}),
    ):
        raise AenetError("no photos")
    sync_all(project)
    (run,) = runs_of(project)
    assert run.info.status == "FAILED"
    assert run.data.tags["aenet.failure"] == "AenetError: no photos"


def test_what_cannot_be_tracked_is_named(project: Path) -> None:
    with (
        pytest.raises(AenetError, match=r"missing\.png cannot be tracked"),
        tracking.run(experiment="aenet", stage="train", fingerprint="f", name="train", params={}) as run,
    ):
        run.figure("missing.png", Path("missing.png"))


def test_only_the_first_process_of_a_job_records(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    record()
    assert sync_all(project).sent == 0


def test_a_dead_server_loses_nothing(
    project: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("AENET_TRACKING", "live")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    record()
    assert "http://127.0.0.1:9 does not answer" in caplog.text
    assert "aenet sync" in caplog.text
    assert followers(project) == []
    assert "does not answer" in next(iter(sync_all(project).failed.values()))
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert sync_all(project).sent == 1
    assert runs_of(project)[0].data.metrics["loss"] == pytest.approx(1 / 3)


SLOW = """
import sys, time

class Slow:
    def find_spec(self, name, path=None, target=None):
        if name == "mlflow":
            time.sleep(8)

sys.meta_path.insert(0, Slow())
"""


def test_a_local_store_is_never_out_of_reach(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A follower that needs long to import MLflow: the run is complete when the stage is."""
    (project / "slow").mkdir()
    (project / "slow" / "sitecustomize.py").write_text(SLOW)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(project / "slow"), os.environ.get("PYTHONPATH", "")]))
    stage = script("    run.metrics({'loss': 1.0})\n")
    _, errors = stage.communicate(timeout=600)
    assert (stage.returncode, errors) == (0, "")
    (run,) = runs_of(project)
    assert (run.info.status, run.data.metrics["loss"]) == ("FINISHED", 1.0)


def test_a_local_store_that_refuses_is_not_called_out_of_reach(project: Path) -> None:
    (project / "mlflow.db").write_bytes(b"no database at all" * 100)
    stage = script("    run.metrics({'loss': 1.0})\n")
    _, errors = stage.communicate(timeout=600)
    assert stage.returncode == 0
    assert "has not got all of this run" in errors and "aenet sync" in errors
    assert "not reached" not in errors


def test_no_password_of_the_store_is_said_or_written(project: Path) -> None:
    stage = script(
        "    run.metrics({'loss': 1.0})\n    raise SystemExit('at http://me:pa55word@127.0.0.1:9')\n",
        MLFLOW_TRACKING_URI="http://me:pa55word@127.0.0.1:9",
    )
    _, errors = stage.communicate(timeout=600)
    assert "http://***@127.0.0.1:9 does not answer" in errors
    written = [path for path in project.rglob("*") if path.is_file() and b"pa55word" in path.read_bytes()]
    assert written == []
    assert "pa55word" not in errors.replace("at http://me:pa55word@127.0.0.1:9", "")  # the script's own last words
    cursor = Cursor(7, "r")
    (journal,) = (project / ".aenet" / "journal").iterdir()
    write_cursor(journal, "http://me:pa55word@127.0.0.1:9", cursor)
    assert "pa55word" not in (journal / "cursor.json").read_text()
    assert read_cursor(journal, "http://me:another@127.0.0.1:9") == cursor


def test_a_run_is_live_without_mlflow_in_the_stage(project: Path) -> None:
    stage = script(
        "    run.metrics({'loss': 1.0})\n"
        "    while not Path('seen').exists():\n        time.sleep(0.05)\n"
        "assert 'mlflow' not in sys.modules\n"
    )
    eventually(lambda: [run for run in runs_of(project) if "loss" in run.data.metrics])
    assert runs_of(project)[0].info.status == "RUNNING"
    (project / "seen").touch()
    _, errors = stage.communicate(timeout=600)
    assert stage.returncode == 0, errors
    assert runs_of(project)[0].info.status == "FINISHED"
    assert followers(project) == []


def test_killed_and_resumed(project: Path) -> None:
    body = "    for step in range({}):\n        run.metrics({{'loss': float(step)}}, step=step); time.sleep({})\n"
    stage = script(body.format(1000, 0.05))
    eventually(lambda: [run for run in runs_of(project) if run.data.metrics.get("loss", 0) >= 3])
    os.kill(stage.pid, signal.SIGKILL)
    stage.communicate(timeout=600)
    eventually(lambda: not followers(project))
    (killed,) = runs_of(project)
    assert killed.info.status == "KILLED"
    again = script(body.format(30, 0))
    _, errors = again.communicate(timeout=600)
    assert again.returncode == 0, errors
    # A follower that begins late, on a busy machine, sends what is left after the stage has ended.
    eventually(lambda: [run for run in runs_of(project) if run.info.status == "FINISHED"])
    (run,) = runs_of(project)
    assert run.info.run_id == killed.info.run_id
    steps = [point.step for point in client(project).get_metric_history(run.info.run_id, "loss")]
    assert len(steps) == len(set(steps))
    assert set(range(30)) <= set(steps)


def test_an_interrupt_leaves_no_process_behind(project: Path) -> None:
    stage = script("    run.metrics({'loss': 1.0})\n    time.sleep(60)\n")
    eventually(lambda: bool(followers(project)) and bool(runs_of(project)))
    os.killpg(stage.pid, signal.SIGINT)
    stage.communicate(timeout=600)
    eventually(lambda: not followers(project))
    assert runs_of(project)[0].info.status == "KILLED"


def test_concurrent_variants_share_one_parent(project: Path) -> None:
    stages = [script("    run.metrics({'loss': 1.0})\n", fingerprint=name * 64, parent="ablation") for name in "xyz"]
    for stage in stages:
        _, errors = stage.communicate(timeout=600)
        assert stage.returncode == 0, errors
    sync_all(project)
    runs = runs_of(project)
    (parent,) = [run for run in runs if run.data.tags.get("aenet.group") == "ablation"]
    assert parent.info.status == "FINISHED"
    children = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
    assert len(children) == 3
    assert len(runs) == 4
