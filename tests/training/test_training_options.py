"""The options of the loop: each does what its line in the configuration says."""

from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from aenet.io.errors import AenetError
from aenet.nn.branches import TwoBranch
from aenet.nn.heads import GeneralizedMeanPool
from aenet.nn.losses import Mhnw
from aenet.training.batches import batches
from aenet.training.engine import Engine, can_stand_alone
from aenet.training.epoch import compute_gradient
from aenet.training.loop import Trained, train
from aenet.training.optimization import Ema, OptimizerConfig, build_optimizer
from aenet.training.trainconfig import TrainConfig
from tests.support.gloo_training import make_views, settings


def _fit(config: TrainConfig, folder: Path) -> Trained:
    return train(config, make_views(40, 32, 64, 1), make_views(10, 32, 64, 2), folder)


def _rates(steps: int, **settings: object) -> list[float]:
    config = OptimizerConfig.model_validate({"lr": 1.0, **settings})
    optimizer, scheduler = build_optimizer(config, torch.nn.Linear(1, 1), steps)
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


def test_schedules_by_hand() -> None:
    assert _rates(3) == [1.0, 1.0, 1.0]
    assert _rates(4, warmup=0.5) == pytest.approx([1 / 3, 2 / 3, 1, 1])
    half = np.sqrt(0.5)
    assert _rates(4, schedule="cosine") == pytest.approx([1, (1 + half) / 2, 0.5, (1 - half) / 2])
    assert _rates(6, schedule="cosine", warmup=1 / 3) == pytest.approx(
        [1 / 3, 2 / 3, 1, (1 + half) / 2, 0.5, (1 - half) / 2]
    )
    assert _rates(49, schedule="one_cycle")[9] == pytest.approx(1.0)
    with pytest.raises(ValidationError, match="has a warm-up of its own"):
        OptimizerConfig(lr=1.0, schedule="one_cycle", warmup=0.1)


def test_parameters_of_the_loss_are_learnt_without_decay() -> None:
    scale = torch.nn.Parameter(torch.ones(()))
    optimizer, _ = build_optimizer(OptimizerConfig(lr=0.1, weight_decay=0.5), torch.nn.Linear(1, 1), 3, [scale])
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.5, 0.0]
    scale.grad = torch.ones(())
    optimizer.step()
    assert scale.item() == pytest.approx(0.9)


def test_a_pooling_exponent_is_not_pulled_to_nought() -> None:
    network = torch.nn.Sequential(torch.nn.Linear(1, 1), GeneralizedMeanPool(p=3.0))
    optimizer, _ = build_optimizer(OptimizerConfig(lr=0.1, weight_decay=0.5), network, 3)
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    before = network[0].weight.item()
    optimizer.step()
    assert network[1].p.item() == 3.0
    assert network[0].weight.item() == pytest.approx(before * (1 - 0.1 * 0.5))


def test_accumulation_is_the_mean_of_its_parts() -> None:
    """In two parts of eight: the mean of the gradients of two batches of eight."""
    views = make_views(16, 32, 64, 1)

    def gradients(config: TrainConfig, steps: list[int]) -> dict[str, torch.Tensor]:
        engine = Engine(config, 16, views.spec)
        engine.network.train()
        parts = list(batches(views, np.arange(16), config.part_size, config.augment, 0, 0))
        compute_gradient(engine, [parts[step] for step in steps])
        return {name: p.grad for name, p in engine.plain.named_parameters() if p.grad is not None}

    whole = gradients(settings(batch_size=16, accumulate=2), [0, 1])
    first, second = (gradients(settings(batch_size=8), [step]) for step in (0, 1))
    for name, gradient in whole.items():
        torch.testing.assert_close(gradient, (first[name] + second[name]) / 2, atol=1e-6, rtol=1e-4)


def test_accumulation_takes_every_pair_once_an_epoch(tmp_path: Path) -> None:
    steps: list[int] = []
    config = settings(batch_size=16, accumulate=2, epochs=1)
    train(
        config, make_views(40, 32, 64, 1), make_views(10, 32, 64, 2), tmp_path, on_step=lambda s: steps.append(s.steps)
    )
    assert steps == [3, 3, 3]  # 16, 16 and the remaining 8
    with pytest.raises(ValidationError, match="batch_size 10 cannot be accumulated in 4 equal parts"):
        TrainConfig.model_validate(settings().model_dump() | {"batch_size": 10, "accumulate": 4})


@pytest.mark.parametrize("shared", [False, True])
def test_an_average_moves_by_what_its_decay_leaves(shared: bool) -> None:
    config = settings().model.model_copy(update={"shared": shared})
    network = TwoBranch(config)
    average = Ema(config, network, decay=0.9)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(1)
        for name, buffer in network.named_buffers():
            buffer.add_(10 if "num_batches" in name else 0)
    average.update(network)
    for name, tensor in average.network.state_dict().items():
        change = 10 if "num_batches" in name else 0.1 if name in dict(network.named_parameters()) else 0
        if shared and name.startswith("aerial."):
            continue  # the same tensor as ground's
        torch.testing.assert_close(tensor, before[name] + change, msg=name)


def test_averaged_weights_are_validated_saved_and_change_nothing_else(tmp_path: Path) -> None:
    plain = _fit(settings(batch_size=8, epochs=3), tmp_path / "plain")
    averaged = _fit(settings(batch_size=8, epochs=3, ema_decay=0.5), tmp_path / "averaged")
    assert plain.ema is None and plain.history[0].ema_recall_at_1 is None
    assert averaged.ema is not None and averaged.history[0].ema_recall_at_1 is not None
    assert all(torch.equal(plain.last[name], averaged.last[name]) for name in plain.last)
    assert any(not torch.equal(averaged.ema[name], averaged.last[name]) for name in plain.last)
    best = averaged.history[averaged.best_epoch]
    assert averaged.best_values.mean() == pytest.approx(max(best.ema_mrr or 0, best.val_mrr or 0))


def test_channels_last_and_bf16_train_to_nearly_the_same_loss(tmp_path: Path) -> None:
    plain = _fit(settings(batch_size=8, epochs=1), tmp_path / "plain")
    for name, changes in (("last", {"channels_last": True}), ("bf16", {"precision": "bf16", "channels_last": True})):
        other = _fit(settings(batch_size=8, epochs=1, **changes), tmp_path / name)
        assert other.history[0].loss == pytest.approx(plain.history[0].loss, rel=0.05)


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU has fp16")
def test_a_precision_the_machine_has_not_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AenetError, match="precision fp16 needs a GPU"):
        _fit(settings(precision="fp16"), tmp_path)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="fp16 needs a GPU")
def test_an_overflow_of_fp16_is_no_bad_step(tmp_path: Path) -> None:
    trained = _fit(settings(precision="fp16", batch_size=8, epochs=4), tmp_path)
    assert all(epoch.skipped == 0 and np.isfinite(epoch.loss) for epoch in trained.history)


@pytest.mark.parametrize("heading", ["known", "unknown"])
@pytest.mark.parametrize("changes", [{}, {"accumulate": 2, "ema_decay": 0.9}, {"precision": "bf16"}], ids=str)
def test_both_branches_at_once_give_the_numbers_of_one_after_the_other(
    tmp_path: Path, heading: str, changes: dict[str, object]
) -> None:
    loss = Mhnw.model_validate({"kind": "mhnw", "heading": heading})
    one, two = (_fit(settings(threads=threads, loss=loss, **changes), tmp_path / str(threads)) for threads in (1, 2))
    assert [past.loss for past in one.history] == [past.loss for past in two.history]
    assert all(torch.equal(one.last[name], two.last[name]) for name in one.last)


def test_branches_that_share_weights_or_draw_numbers_take_turns() -> None:
    network = TwoBranch(settings().model)
    assert can_stand_alone(network)
    assert not can_stand_alone(TwoBranch(settings().model.model_copy(update={"shared": True})))
    network.ground.attention = torch.nn.Dropout(0.1)
    assert not can_stand_alone(network)
    network.ground.attention = torch.nn.Dropout(0.0)
    assert can_stand_alone(network)
