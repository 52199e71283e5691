"""What a training run tells on its way and when it ends: each number is what its name says."""

import contextlib
import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from ruamel.yaml import YAML

from aenet import progress as progress_module
from aenet.data.views import Views, open_views
from aenet.evaluation.embed import embed_pairs
from aenet.io.artifacts import atomic_folder
from aenet.nn.branches import TwoBranch
from aenet.nn.model import TrainedCard, save_model
from aenet.retrieval import recall
from aenet.training.augment import AugmentConfig
from aenet.training.batches import batches
from aenet.training.engine import Engine
from aenet.training.epoch import compute_gradient
from aenet.training.loop import Epoch, Step, Trained, train
from stages import evaluate, fitting
from stages import fitting as stopping
from stages.project import Paths
from tests.support.gloo_training import make_views, settings
from tests.support.training_project import new_project


def _recalls(network: TwoBranch, views: Views) -> tuple[float, float, float]:
    """At 1, 5 and 10."""
    ranks = recall.ranks(*embed_pairs(network, views, 16), np.arange(len(views)))
    found = recall.summary(ranks, len(views))
    return found["recall_at_1"], found["recall_at_5"], found["recall_at_10"]


def _network(weights: dict[str, torch.Tensor]) -> TwoBranch:
    network = TwoBranch(settings().model)
    network.load_state_dict(weights)
    return network.eval()


@pytest.fixture(scope="module")
def steps() -> list[Step]:
    return []


@pytest.fixture(scope="module")
def validation() -> Views:
    """Pairs that have nothing to do with each other: nothing is learnt about them."""
    views = make_views(30, 32, 64, 2)
    return Views(views.split, views.pairs, views.ground, make_views(30, 32, 64, 3).aerial, views.spec)


@pytest.fixture(scope="module")
def trained(steps: list[Step], validation: Views, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    config = settings(batch_size=8, epochs=4)
    return train(config, make_views(24, 32, 64, 1), validation, tmp_path_factory.mktemp("x"), on_step=steps.append)


def test_several_hard_negatives_by_hand() -> None:
    """Descriptors on a circle; of four anchors two have more than one negative nearer than their positive."""
    engine = Engine(settings(), 4, make_views(4, 32, 64, 1).spec)

    def circle(*degrees: int) -> torch.Tensor:
        angles = torch.deg2rad(torch.tensor(degrees, dtype=torch.float32))
        return torch.stack([angles.cos(), angles.sin()], 1).requires_grad_()

    # From the anchor to its positive and to what is nearer: 100 (95); 50 (10, 5); 20 (none); 175 (170, 130, 70).
    descriptors = circle(0, 90, 180, 270), circle(100, 140, 200, 95)
    engine.network = lambda *_: descriptors  # type: ignore[assignment]  # in place of a network
    part = next(batches(make_views(4, 32, 64, 1), np.arange(4), 4, AugmentConfig(), 0, 0))
    assert compute_gradient(engine, [part]).several == 0.5


def test_steps_tell_place_loss_speed_memory_and_hard_negatives(trained: Trained, steps: list[Step]) -> None:
    assert [(step.epoch, step.step, step.steps) for step in steps] == [(e, s, 3) for e in range(4) for s in (1, 2, 3)]
    for epoch in trained.history:
        own = [step for step in steps if step.epoch == epoch.epoch]
        assert np.mean([step.loss for step in own]) == pytest.approx(epoch.loss)
        assert own[-1].several_hard == epoch.several_hard
    assert all(step.pairs_per_second > 0 and step.memory_bytes > 50e6 for step in steps)
    assert 0 < trained.history[0].several_hard <= 1, "an untrained network has hard negatives"


def test_recalls_are_those_of_the_weights_on_validation(trained: Trained, validation: Views) -> None:
    recalls = [(e.val_recall_at_1, e.val_recall_at_5, e.val_recall_at_10) for e in trained.history]
    assert trained.best_values.mean() == pytest.approx(trained.history[trained.best_epoch].val_mrr)
    best, last = _network(trained.best), _network(trained.last)
    assert _recalls(best, validation) == pytest.approx(recalls[trained.best_epoch])
    assert _recalls(last, validation) == pytest.approx(recalls[-1])
    assert _recalls(last, make_views(24, 32, 64, 1)) != pytest.approx(recalls[-1]), "not on what it learns"


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("stream", [_Terminal(), io.StringIO()], ids=["terminal", "file"])
def test_progress_of_a_training(stream: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bar on a terminal, plain lines in a file; on both epoch, step, loss, pairs/s, time left, memory."""
    monkeypatch.setattr(progress_module, "_EVERY_S", 0.0)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("TERM", "xterm")
    with contextlib.redirect_stdout(stream), fitting._shown(settings(epochs=3), "train") as shown:
        advance, validated = shown
        assert advance is not None
        advance(Step(0, 4, 5, 0.5, 100.0))
        validated(Epoch(epoch=0, loss=0.4, lr=1e-3, several_hard=0.5, val_mrr=61.25))
        advance(Step(1, 2, 5, 0.1234, 456.0, several_hard=0.25, memory_bytes=1_500_000_000))
    said = stream.getvalue()
    note = "epoch 2/3, loss 0.123, 456 pairs/s, 1.5 GB, several hard negatives 25 %, validation MRR 61.2 % in epoch 1"
    assert "7/15" in said and note in said
    if stream.isatty():
        assert "\x1b[" in said and "0:00:" in said
    else:
        assert "\x1b" not in said and " left, " + note in said.splitlines()[-1]


def test_a_signal_leaves_less_than_five_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """What then happens in time is held by the tests of `Stop` and of the stage's exit status."""
    asked: list[float] = []
    monkeypatch.setattr(stopping, "Stop", asked.append)
    with stopping.stop_on_signals():
        pass
    assert len(asked) == 1 and 0 < asked[0] < 5


def test_best_and_last_are_both_evaluated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = Paths(new_project(tmp_path, monkeypatch))
    monkeypatch.chdir(tmp_path)
    stage = {"cmd": "python -m stages.evaluate", "deps": ["data/views", "models/aenet"], "params": ["evaluate"]}
    YAML().dump({"stages": {"evaluate": stage}}, tmp_path / "dvc.yaml")
    YAML().dump({"evaluate": {"batch_size": 8, "threads": 1, "figures": 2}}, paths.params)
    config, weights = settings().model, []
    for seed in (0, 1):
        torch.manual_seed(seed)
        weights.append(TwoBranch(config).state_dict())
    views = open_views(paths.views, "test")
    card = TrainedCard(model=config, view=views.spec, trained_on="noise", fingerprint="0", epochs=2, best_epoch=0)
    with atomic_folder(paths.model, {}) as folder:
        save_model(folder, card, *weights)
    evaluate.main(paths)
    found = json.loads((paths.reports / "evaluate/metrics.json").read_text())
    for name, state in zip(("aenet", "aenet_last"), weights, strict=True):
        network = _network(state)
        ranks = recall.ranks(*embed_pairs(network, views, 8), np.arange(len(views)))
        expected = recall.summary(ranks, len(views))
        assert {key: found[name][key] for key in expected} == pytest.approx(expected)
    assert found["aenet"] != found["aenet_last"]
