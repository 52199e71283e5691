"""The training loop: deterministic, resumable to the bit, and honest about a loss that breaks."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from aenet.data.pairs import COLUMNS
from aenet.data.views import Views
from aenet.io.errors import AenetError, CorruptArtifact
from aenet.io.params import read_section
from aenet.nn.losses import Mhnw
from aenet.training.augment import AugmentConfig
from aenet.training.loop import Epoch, TrainConfig, Trained, train
from aenet.view.spec import ViewSpec

ROOT = Path(__file__).resolve().parents[2]


def _views(n: int, height: int, width: int, seed: int) -> Views:
    """Pairs whose two views show the same random layout in other colours."""
    rng = np.random.default_rng(seed)
    layout = rng.integers(0, 256, (n, height // 8, width // 8, 3), dtype=np.uint8).repeat(8, 1).repeat(8, 2)
    table = pd.DataFrame({column: np.arange(n, dtype=float) for column in COLUMNS})
    spec = ViewSpec.polar(height=height, width=width, tile_size_m=70.0)
    return Views("train", table, layout, 255 - layout[..., ::-1], spec)


@pytest.fixture(scope="module")
def config() -> TrainConfig:
    town = read_section(ROOT / "params.yaml", "train", TrainConfig)
    return town.model_copy(update={"epochs": 3, "batch_size": 8})


Fit = Callable[..., Trained]


@pytest.fixture
def fit(config: TrainConfig, tmp_path: Path) -> Fit:
    def run(folder: str, settings: TrainConfig = config, **callbacks: Callable[[object], None]) -> Trained:
        return train(settings, _views(20, 32, 64, 1), _views(10, 32, 64, 2), tmp_path / folder, **callbacks)

    return run


def _same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_same_seed_same_weights_and_another_seed_others(fit: Fit, config: TrainConfig) -> None:
    first, second = fit("a"), fit("b")
    other = fit("c", config.model_copy(update={"seed": 1}))
    assert _same(first.last, second.last)
    assert first.history == second.history
    assert not _same(first.last, other.last)


def test_a_run_stopped_after_any_epoch_ends_in_the_same_weights(fit: Fit) -> None:
    whole = fit("whole")

    class Stop(Exception):
        pass

    for stop_after in (0, 1):

        def stop(epoch: Epoch, last: int = stop_after) -> None:
            if epoch.epoch == last:
                raise Stop

        with pytest.raises(Stop):
            fit(f"stopped-{stop_after}", on_epoch=stop)
        resumed = fit(f"stopped-{stop_after}")
        assert _same(whole.last, resumed.last)
        assert _same(whole.best, resumed.best)
        assert whole.history == resumed.history


def test_a_training_killed_at_any_moment_ends_in_the_same_bits() -> None:
    """SIGKILL at five random moments of 80 steps; `benchmarks/kill_training.py` does it thirty times."""
    script = str(ROOT / "benchmarks" / "kill_training.py")
    options = ["--kills", "5", "--epochs", "4", "--fork"]
    done = subprocess.run([sys.executable, script, *options], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    assert done.stdout.endswith("identical\n")
    assert sum(int(kills) for kills in re.findall(r"^killed (\d+) times", done.stdout, re.MULTILINE)) == 5


def test_a_finished_training_is_not_repeated(fit: Fit) -> None:
    fit("done")
    steps: list[object] = []
    fit("done", on_step=steps.append)
    assert steps == []


def test_a_damaged_checkpoint_costs_the_steps_since_the_one_before(
    fit: Fit, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = fit("whole")
    fit("damaged")
    before, newest = sorted((tmp_path / "damaged").glob("step-*.pt"))
    flipped = bytearray(newest.read_bytes())
    flipped[len(flipped) // 2] ^= 1
    newest.write_bytes(flipped)
    again = fit("damaged")
    assert f"{newest} is damaged" in caplog.text
    assert _same(whole.last, again.last) and whole.history == again.history
    for path in (before, newest):
        path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(CorruptArtifact, match="delete it"):
        fit("damaged")


def test_training_lowers_the_loss_and_finds_pairs(fit: Fit, config: TrainConfig) -> None:
    plain = config.model_copy(update={"epochs": 12, "augment": AugmentConfig()})
    trained = fit("learns", plain)
    assert trained.history[-1].loss < trained.history[0].loss


def test_a_loss_that_is_not_finite_stops_with_place_and_way_out(
    config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reckless = config.model_copy(update={"loss": Mhnw(kind="mhnw", alpha=1e38)})
    views = _views(20, 32, 64, 1)
    views.ground[:] = 0  # every ground view alike, so that every positive has nearer negatives
    with pytest.raises(AenetError, match=r"3 times in a row, last at epoch 0, step 2: lower optimizer.lr"):
        train(reckless, views, _views(10, 32, 64, 2), tmp_path / "x")


def test_too_few_pairs_are_named(config: TrainConfig, tmp_path: Path) -> None:
    with pytest.raises(AenetError, match="1 training and 10 validation"):
        train(config, _views(1, 32, 64, 1), _views(10, 32, 64, 2), tmp_path / "x")
    with pytest.raises(AenetError, match="20 training and 1 validation"):  # which is always found first
        train(config, _views(20, 32, 64, 1), _views(1, 32, 64, 2), tmp_path / "x")


def test_the_papers_preset_takes_a_step(tmp_path: Path) -> None:
    """EfficientNetV2-S, 128 x 512, flatten, MHNW; random weights, because ImageNet's need a network."""
    paper = read_section(ROOT / "presets" / "paper.yaml", "train", TrainConfig)
    assert (paper.batch_size, paper.optimizer.lr, paper.optimizer.weight_decay) == (24, 1e-5, 5e-5)
    backbone = paper.model.backbone.model_copy(update={"weights": "random"})
    model = paper.model.model_copy(update={"backbone": backbone})
    small = paper.model_copy(update={"epochs": 1, "batch_size": 2, "model": model})
    trained = train(small, _views(2, 128, 512, 1), _views(2, 128, 512, 2), tmp_path)
    assert np.isfinite(trained.history[0].loss)
    assert (
        sum(
            t.numel()
            for n, t in trained.last.items()
            if n.startswith("ground.attention") and t.is_floating_point() and "running" not in n
        )
        == 300
    )
