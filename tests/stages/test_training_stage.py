"""The stage `train` as a program: told to stop, killed for want of a server, and what it leaves behind."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from aenet.data.card import InitialWeights
from aenet.io.errors import AenetError
from aenet.nn.model import TrainedCard
from stages.fitting import _initial_weights
from stages.project import Paths
from tests.support.gloo_training import settings
from tests.support.training_project import new_project


def _start(project: Path, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "stages.train"], cwd=project, env={**os.environ, **environment},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def _steps(project: Path) -> list[int]:
    return sorted(int(path.stem.split("-")[1]) for path in project.glob(".aenet/checkpoints/*/step-*.pt"))


def _signal_after(project: Path, step: int, number: signal.Signals) -> tuple[int, str]:
    """Start the stage and send it a signal once it has come to a step; return its exit status and what it said."""
    stage = _start(project)
    while not [s for s in _steps(project) if s >= step]:
        assert stage.poll() is None, stage.communicate()
        time.sleep(0.002)
    stage.send_signal(number)
    _, errors = stage.communicate(timeout=300)
    return stage.returncode, errors


def test_told_to_stop_it_checkpoints_and_the_next_run_ends_in_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Undisturbed it runs without its MLflow server, and nothing is missing for that."""
    for name in ("whole", "stopped"):
        (tmp_path / name).mkdir()
    changes = {"epochs": 6, "checkpoint_every": 2, "sampling": {"kind": "similarity", "group": 4, "first_epoch": 1}}
    whole = new_project(tmp_path / "whole", monkeypatch, **changes)
    stopped = new_project(tmp_path / "stopped", monkeypatch, **changes)
    undisturbed = _start(whole, AENET_TRACKING="live", MLFLOW_TRACKING_URI="http://127.0.0.1:9")
    said, complaint = undisturbed.communicate(timeout=300)
    assert undisturbed.returncode == 0 and "epoch 6 of 6 chosen" in said
    assert "http://127.0.0.1:9 does not answer" in complaint and "aenet sync" in complaint
    (journal,) = whole.glob(".aenet/journal/train-*/events.jsonl")
    events = [json.loads(line) for line in journal.read_text().splitlines()]
    assert [event["step"] for event in events if event["event"] == "metrics"] == list(range(6))

    assert _signal_after(stopped, 4, signal.SIGTERM) == (143, "")
    first = _steps(stopped)
    assert first[-1] > 4 or first == [2, 4]
    assert _signal_after(stopped, first[-1] + 4, signal.SIGINT) == (130, "")
    assert first[-1] < _steps(stopped)[-1] < 36, "the training had ended before it was told to stop"
    assert not (stopped / "models").exists()
    again = _start(stopped)
    said, complaint = again.communicate(timeout=300)
    assert again.returncode == 0, complaint
    for name in ("models/aenet/best.safetensors", "models/aenet/last.safetensors", "reports/train/history.csv"):
        assert (stopped / name).read_bytes() == (whole / name).read_bytes(), name
    (journal,) = stopped.glob(".aenet/journal/train-*/events.jsonl")
    ends = [json.loads(line)["status"] for line in journal.read_text().splitlines() if '"end"' in line]
    assert ends == ["KILLED", "KILLED", "FINISHED"]


def test_weights_that_dvc_does_not_watch_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("weights", "elsewhere"):
        Path(folder).mkdir()
        Path(folder, "w.safetensors").write_bytes(b"abc")

    def initial(file: str) -> InitialWeights:
        base = settings()
        backbone = base.model.backbone.model_copy(update={"weights": file})
        model = base.model.model_copy(update={"backbone": backbone})
        return _initial_weights(Paths(), base.model_copy(update={"model": model}))

    assert initial("weights/w.safetensors").sha256 == initial(str(tmp_path / "weights/w.safetensors")).sha256
    with pytest.raises(AenetError, match=r"lies outside weights/.* set backbone.weights to weights/w.safetensors"):
        initial("elsewhere/w.safetensors")
    with pytest.raises(AenetError, match=r"lies outside weights/"):
        initial("weights/../elsewhere/w.safetensors")


def test_history_and_metrics_name_what_was_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = new_project(tmp_path, monkeypatch, ema_decay=0.9)
    stage = _start(project)
    _, complaint = stage.communicate(timeout=300)
    assert stage.returncode == 0, complaint
    history = pd.read_csv(project / "reports/train/history.csv")
    assert list(history["epoch"]) == [0, 1] and list(history["skipped"]) == [0, 0]
    assert {"several_hard", "ema_recall_at_1", "val_recall_at_1"} <= set(history.columns)
    metrics = json.loads((project / "reports/train/metrics.json").read_text())
    assert metrics["last"] == pytest.approx(history.iloc[1].to_dict())
    card = TrainedCard.model_validate_json((project / "models/aenet/model.json").read_bytes())
    assert card.choice is not None and card.choice.places == 16
    assert card.initial == InitialWeights(source="random") and set(card.versions) == {"torch", "timm"}
    chosen = history.iloc[card.best_epoch]
    assert card.choice.value == pytest.approx(max(chosen["val_mrr"], chosen["ema_mrr"]))
    assert {path.name for path in (project / "models/aenet").glob("*.safetensors")} == {
        "best.safetensors", "last.safetensors", "ema.safetensors",
    }  # fmt: skip
