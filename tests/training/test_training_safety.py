"""What training does when something goes wrong, or is told to stop: it loses a step or an interval, never its way."""

import errno
import io
import json
import os
import random
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from aenet.io.errors import AenetError
from aenet.training import epoch as epoch_module
from aenet.training import step as rng
from aenet.training.batches import Batch, batches
from aenet.training.engine import Engine
from aenet.training.epoch import compute_gradient
from aenet.training.loop import Step, Stop, Stopped, Trained, train
from aenet.training.step import BAD_BATCHES
from aenet.training.trainconfig import TrainConfig
from tests.support.fulldisk import no_file_beyond
from tests.support.gloo_training import ROOT, make_views, settings

CHANGES = {"epochs": 2, "batch_size": 8}
SIMILAR = {"kind": "similarity", "group": 4, "first_epoch": 1}


@pytest.fixture(scope="module")
def config() -> TrainConfig:
    base = settings().model_dump()
    return TrainConfig.model_validate(base | CHANGES | {"sampling": SIMILAR})


def _fit(config: TrainConfig, folder: Path, **more: Any) -> Trained:
    return train(config, make_views(40, 32, 64, 1), make_views(10, 32, 64, 2), folder, **more)


@pytest.fixture(scope="module")
def whole(config: TrainConfig, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """The undisturbed training: two epochs of five steps."""
    return _fit(config, tmp_path_factory.mktemp("whole"))


def _same(a: Trained, b: Trained) -> bool:
    weights = all(torch.equal(a.last[n], b.last[n]) and torch.equal(a.best[n], b.best[n]) for n in a.last)
    return weights and a.history == b.history


def _files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("step-*.pt")}


@pytest.fixture
def poison(monkeypatch: pytest.MonkeyPatch) -> set[tuple[int, int]]:
    """Put a (epoch, step) in, and one pixel of that batch is NaN."""
    poisoned: set[tuple[int, int]] = set()

    def spoilt(*arguments: Any, **named: Any) -> Iterator[Batch]:
        for batch in batches(*arguments, **named):
            if (arguments[5], batch.step) in poisoned:
                batch.ground[0, 0, 0, 0] = torch.nan
            yield batch

    monkeypatch.setattr(epoch_module, "batches", spoilt)
    return poisoned


def test_a_poisoned_batch_is_left_out_and_counted(
    config: TrainConfig, tmp_path: Path, poison: set[tuple[int, int]], whole: Trained
) -> None:
    poison |= {(0, 2), (1, 0), (1, 1)}
    trained = _fit(config, tmp_path)
    assert [epoch.skipped for epoch in trained.history] == [1, 2]
    assert all(np.isfinite(epoch.loss) for epoch in trained.history)
    # Also the running statistics, which a forward pass changes before anybody sees the loss.
    assert all(bool(torch.isfinite(tensor).all()) for tensor in trained.last.values())
    assert [epoch.lr for epoch in trained.history] == [epoch.lr for epoch in whole.history]


def _made(config: TrainConfig, shared: bool) -> TrainConfig:
    return config.model_copy(update={"model": config.model.model_copy(update={"shared": shared})})


@pytest.mark.parametrize("shared", [False, True], ids=["two branches", "one shared"])
def test_the_state_after_a_bad_step_is_the_one_before_it(config: TrainConfig, shared: bool) -> None:
    views = make_views(40, 32, 64, 1)
    engine = Engine(_made(config, shared), 40, views.spec)
    engine.network.train()
    part = next(batches(views, np.arange(40), 8, config.augment, 0, 0))
    before = {name: tensor.clone() for name, tensor in engine.plain.state_dict().items()}
    engine.guard.remember()
    compute_gradient(engine, [part])
    spoilt = [name for name, tensor in engine.plain.state_dict().items() if not torch.equal(tensor, before[name])]
    assert any("running_mean" in name for name in spoilt)
    # What a checkpoint written in the middle of the step holds, and what is left when the step is given up.
    assert all(torch.equal(tensor, before[name]) for name, tensor in engine.state_dict()["network"].items())
    next(engine.plain.parameters()).grad.fill_(torch.inf)  # type: ignore[union-attr]  # the backward pass has filled it
    assert engine.update(finite=True) == "bad"
    assert all(torch.equal(tensor, before[name]) for name, tensor in engine.plain.state_dict().items())


@pytest.mark.parametrize("shared", [False, True], ids=["two branches", "one shared"])
def test_a_checkpoint_written_within_a_step_ends_in_the_same_bits(
    config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shared: bool
) -> None:
    """Killed behind the forward and backward pass of the seventh step, before the optimiser's."""
    config = _made(config, shared)
    whole, stop, steps = _fit(config, tmp_path / "whole"), Stop(), [0]

    class Killed(Exception):
        pass

    def late(*arguments: Any) -> Any:
        gradient = compute_gradient(*arguments)
        steps[0] += 1
        if steps[0] == 7:
            assert stop._save is not None
            stop._save()
            raise Killed
        return gradient

    with monkeypatch.context() as patch:
        patch.setattr(epoch_module, "compute_gradient", late)
        with pytest.raises(Killed):
            _fit(config, tmp_path / "killed", stop=stop)
    assert "step-000000006.pt" in _files(tmp_path / "killed")
    assert _same(_fit(config, tmp_path / "killed"), whole)


def test_too_many_bad_steps_stop_it_and_name_their_pairs(
    config: TrainConfig, tmp_path: Path, poison: set[tuple[int, int]], whole: Trained
) -> None:
    poison |= {(1, 0), (1, 1), (1, 2)}
    with pytest.raises(AenetError, match=r"3 times in a row, last at epoch 1, step 2: lower optimizer\.lr") as raised:
        _fit(config, tmp_path)
    assert str(tmp_path / BAD_BATCHES) in str(raised.value)
    listed = json.loads((tmp_path / BAD_BATCHES).read_text())
    assert [(bad["epoch"], bad["step"], bad["loss"]) for bad in listed] == [(1, step, "nan") for step in range(3)]
    assert all(len(bad["pair_ids"]) == 8 and bad["pair_ids"][0].startswith("pair-") for bad in listed)
    poison.clear()  # the pairs are repaired
    assert _same(_fit(config, tmp_path), whole), "the checkpoint of the first epoch was not the last good one"


def test_a_full_disk_stops_it_with_the_earlier_checkpoint_intact(
    config: TrainConfig, tmp_path: Path, whole: Trained
) -> None:
    often = config.model_copy(update={"checkpoint_every": 2})
    kept: dict[str, bytes] = {}

    def fill(step: Step) -> None:
        if (step.epoch, step.step) == (1, 1):  # the next is due after step 6 of 10
            kept.update(_files(tmp_path))
            resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))

    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    with (
        no_file_beyond(unlimited),
        pytest.raises(AenetError, match=r"no room for the checkpoint of step 6 in .* the one of step 5 is kept: make"),
    ):
        _fit(often, tmp_path, on_step=fill)
    assert _files(tmp_path) == kept and kept
    assert not list(tmp_path.glob(".*.tmp"))
    assert _same(_fit(often, tmp_path), whole)


def test_another_error_of_the_disk_is_not_called_a_full_one(config: TrainConfig, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError) as raised:
        _fit(config, tmp_path / "file" / "checkpoints")
    assert raised.value.errno in {errno.ENOTDIR, errno.EEXIST}


@pytest.mark.parametrize("moment", [(0, 1), (1, 3), (1, 5)], ids=["early", "in a mined order", "before validation"])
def test_asked_to_stop_it_writes_this_very_step(
    config: TrainConfig, tmp_path: Path, whole: Trained, moment: tuple[int, int]
) -> None:
    stop = Stop()

    def ask(step: Step) -> None:
        if (step.epoch, step.step) == moment:
            stop.request(15)

    with pytest.raises(Stopped) as raised:
        _fit(config, tmp_path, on_step=ask, stop=stop)
    assert raised.value.signal == 15
    assert f"step-{5 * moment[0] + moment[1]:09d}.pt" in _files(tmp_path)
    seen: list[Step] = []
    assert _same(_fit(config, tmp_path, on_step=seen.append), whole)
    assert len(seen) == 10 - 5 * moment[0] - moment[1], "steps were taken twice"


def test_at_most_two_checkpoints_are_kept(config: TrainConfig, tmp_path: Path, whole: Trained) -> None:
    most = 0

    def count(step: Step) -> None:
        nonlocal most
        most = max(most, len(_files(tmp_path)))

    often = config.model_copy(update={"checkpoint_every": 1})
    assert _same(_fit(often, tmp_path, on_step=count), whole)
    assert most == 2 and set(_files(tmp_path)) == {"step-000000009.pt", "step-000000010.pt"}


def test_random_numbers_go_on(config: TrainConfig, tmp_path: Path) -> None:
    """A network with dropout, and whatever else draws, sees the numbers it would have seen."""

    def draws(folder: str, breaks: bool) -> list[tuple[float, float]]:
        drawn, stop = [], Stop()
        np.random.seed(7)

        def draw(step: Step) -> None:
            drawn.append((float(torch.rand(())), float(np.random.random())))
            if breaks and len(drawn) == 4:
                stop.request(2)

        if breaks:
            with pytest.raises(Stopped):
                _fit(config, tmp_path / folder, on_step=draw, stop=stop)
            np.random.seed(1)
        _fit(config, tmp_path / folder, on_step=draw)
        return drawn

    assert draws("broken", breaks=True) == draws("whole", breaks=False)


def test_the_state_of_every_library_can_be_written_and_read() -> None:
    buffer = io.BytesIO()
    np.random.standard_normal(1)  # leaves half of a pair behind, which is state too
    torch.save(rng.capture(), buffer)
    drawn = [float(torch.rand(())), float(np.random.standard_normal()), random.random()]
    buffer.seek(0)
    rng.restore(torch.load(buffer, weights_only=True))
    assert drawn == [float(torch.rand(())), float(np.random.standard_normal()), random.random()]


def test_what_takes_too_long_is_given_up_with_a_checkpoint_before_it(
    config: TrainConfig, tmp_path: Path, whole: Trained
) -> None:
    """A validation, say, that outlasts the deadline: a thread writes the state and ends the process."""
    program = f"""
import sys, time
sys.path[:0] = [{str(ROOT)!r}]
from pathlib import Path
from aenet.training import epoch
from tests.training.test_training_safety import *
from tests.training.test_training_safety import _fit
stop = Stop(deadline_s=0.5)
measure = epoch.validate
def slow(*arguments):
    if "asked" in sys.argv:
        return measure(*arguments)
    sys.argv.append("asked")
    stop.request(15)
    time.sleep(600)
epoch.validate = slow
base = settings().model_dump()
_fit(TrainConfig.model_validate(base | CHANGES | {{"sampling": SIMILAR}}), Path({str(tmp_path)!r}), stop=stop)
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 143, done.stderr[-2000:]
    assert list(_files(tmp_path)) == ["step-000000005.pt"]
    assert _same(_fit(config, tmp_path), whole)
