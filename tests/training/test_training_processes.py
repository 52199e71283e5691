"""Two processes of half a batch are one process of a whole one."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import distributed as dist

from aenet.io.errors import AenetError
from aenet.training.loop import train
from tests.support.gloo_training import LOSSES, PAIRS, first_gradient, make_views, whole_batch
from tests.support.training_project import new_project

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The results of two processes over gloo."""
    out = tmp_path_factory.mktemp("two") / "two.pt"
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*launcher, str(ROOT / "tests" / "support" / "gloo_training.py"), str(out)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    written: dict[str, Any] = torch.load(out, weights_only=True)
    return written


def _furthest(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> float:
    assert a.keys() == b.keys()
    return max(float((a[name].double() - b[name].double()).abs().max()) for name in a)


@pytest.mark.parametrize("loss", LOSSES)
def test_the_first_step_is_the_same(two: dict[str, Any], tmp_path: Path, loss: str) -> None:
    """Loss, gradients (the loss's own parameters' too) and running statistics of a batch of 24, to 1e-5."""
    dist.init_process_group("gloo", init_method=f"file://{tmp_path / 'store'}", rank=0, world_size=1)
    try:
        one = first_gradient(whole_batch().model_copy(update={"loss": LOSSES[loss]}), shared_norm=True)
    finally:
        dist.destroy_process_group()
    both = two["first"][loss]
    assert both["loss"] == pytest.approx(one["loss"], abs=1e-5, rel=1e-6)
    assert both["several"] == one["several"]
    largest = max(float(gradient.abs().max()) for gradient in one["gradients"].values())
    assert largest > 0.01
    assert _furthest(both["gradients"], one["gradients"]) < 1e-5 * max(1.0, largest)
    assert _furthest(both["buffers"], one["buffers"]) < 1e-5


def test_the_built_in_normalisation_is_the_same_but_for_its_own_rounding(two: dict[str, Any]) -> None:
    """On a CPU it sums one number after the other: 5e-5 from the exact gradient, where ours is 1e-6 from it."""
    both, one = two["first"]["mhnw"], first_gradient(whole_batch())
    assert both["loss"] == pytest.approx(one["loss"], abs=1e-5, rel=1e-6)
    assert _furthest(both["gradients"], one["gradients"]) < 2e-4
    assert _furthest(both["buffers"], one["buffers"]) < 1e-5


def test_the_whole_training_finds_as_many_places(two: dict[str, Any], tmp_path: Path) -> None:
    one = train(whole_batch(), make_views(PAIRS, 32, 128, 1), make_views(20, 32, 128, 2), tmp_path)
    last = two["history"][-1]
    assert [epoch["lr"] for epoch in two["history"]] == [epoch.lr for epoch in one.history]
    assert last["val_recall_at_1"] >= 25, "it has not learnt"
    assert abs(last["val_recall_at_1"] - one.history[-1].val_recall_at_1) <= 20
    assert two["last"].keys() == one.last.keys(), "its weights could not be loaded by one process"


def test_a_batch_that_cannot_be_shared_is_refused_with_both_numbers() -> None:
    whole_batch().check_processes(3)
    with pytest.raises(
        AenetError, match=r"a batch of 24 pairs cannot be shared evenly by 5 processes: .* multiple of 5"
    ):
        whole_batch().check_processes(5)
    in_parts = whole_batch().model_copy(update={"accumulate": 2})
    with pytest.raises(AenetError, match=r"24 pairs in 2 parts .* by 8 processes: .* multiple of 16"):
        in_parts.check_processes(8)


def test_the_stage_under_a_launcher_is_recorded_written_and_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = new_project(tmp_path, monkeypatch)
    launcher = [sys.executable, "-m", "accelerate.commands.launch", "--cpu", "--num_processes", "2", "--num_machines"]
    options = ["1", "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"]
    done = subprocess.run(
        [*launcher, *options, "-m", "stages.train"], cwd=project, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("chosen (") == 1
    (journal,) = project.glob(".aenet/journal/train-*/events.jsonl")
    events = [json.loads(line) for line in journal.read_text().splitlines()]
    assert [event["event"] for event in events].count("start") == 1
    assert [event["step"] for event in events if event["event"] == "metrics"] == [0, 1]
    assert (project / "models/aenet/manifest.json").exists()
    metrics = json.loads((project / "reports/train/metrics.json").read_text())
    assert metrics["last"]["epoch"] == 1 and "val_mrr" in metrics["best"]
