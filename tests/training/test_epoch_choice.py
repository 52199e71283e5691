"""Which epoch's weights a run keeps, and what it is chosen by."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from aenet.evaluation import figures
from aenet.evaluation.embed import embed
from aenet.nn.branches import TwoBranch
from aenet.nn.losses import Mhnw
from aenet.training.augment import draw_turns
from aenet.training.keeping import choice
from aenet.training.loop import train
from aenet.training.optimization import OptimizerConfig
from aenet.training.state import Best
from aenet.training.validation import Validation, criterion_name, standard_error, validate
from tests.support.gloo_training import make_views, settings

UNKNOWN = Mhnw(kind="mhnw", heading="unknown")


def test_the_criterion_by_hand() -> None:
    """Ranks from 0: first, second and fifth with the heading known; first, fourth and tenth without."""
    known, unknown = np.array([0, 1, 4]), np.array([0, 3, 9])
    assert Validation(known).criterion.tolist() == [100, 50, 20]
    both = Validation(known, unknown)
    assert both.criterion.tolist() == pytest.approx([100, 37.5, 15])
    # mean 152.5 / 3; deviations 49.17, -13.33, -35.83; variance 3879.2 / 2; its root over that of 3
    assert both.numbers("val") == pytest.approx({
        "val_mrr": 152.5 / 3, "val_mrr_se": 25.427, "val_recall_at_1": 100 / 3, "val_recall_at_5": 100,
        "val_recall_at_10": 100, "val_unknown_heading_recall_at_1": 100 / 3,
    }, rel=1e-4)  # fmt: skip
    assert "val_unknown_heading_recall_at_1" not in Validation(known).numbers("val")


def _chosen(annealed: bool, *epochs: list[float]) -> int:
    best, network = Best(annealed), torch.nn.Linear(1, 1, bias=False)
    for epoch, values in enumerate(epochs):
        torch.nn.init.constant_(network.weight, epoch)
        best.consider(epoch, np.array(values), network)
    assert best.weights["weight"].item() == best.epoch, "weights of another epoch"
    assert best.values.tolist() == epochs[best.epoch]
    return best.epoch


# Four places each. Differences of 8, 0, 0, 0 have mean 2 and standard error 2; of 9, 1, 1, 1 mean 3 and 2 again.
BASE, LESS, MUCH_LESS = [90.0, 50.0, 30.0, 10.0], [82.0, 50.0, 30.0, 10.0], [81.0, 49.0, 29.0, 9.0]


@pytest.mark.parametrize(
    ("epochs", "annealed", "constant"),
    [
        ([BASE, LESS], 1, 0),  # worse by one standard error and no more
        ([BASE, MUCH_LESS], 0, 0),
        ([LESS, BASE], 1, 1),
        ([BASE, BASE], 1, 0),
        # A hundredth less everywhere: no luck of the places makes that, however far apart the places are.
        ([BASE, [value - 0.01 for value in BASE]], 0, 0),
        # The third is within a standard error of the second, and not of the first.
        ([BASE, LESS, [82.0, 48.0, 29.0, 9.0]], 1, 0),
        ([BASE, MUCH_LESS, LESS], 2, 0),
    ],
)
def test_an_earlier_epoch_is_preferred_where_the_places_can_tell(
    epochs: list[list[float]], annealed: int, constant: int
) -> None:
    assert _chosen(True, *epochs) == annealed
    assert _chosen(False, *epochs) == constant


def test_many_small_losses_do_not_add_up() -> None:
    """Every epoch is a point worse than the one before, with a standard error of 1.73; the last is nine points down."""
    swing = np.array([1.5, -1.5, 1.5, -1.5])
    epochs = [(60 - number + (-1) ** number * swing).tolist() for number in range(10)]
    assert standard_error(np.subtract(epochs[0], epochs[1])) == pytest.approx(3**0.5)
    assert _chosen(True, *epochs) == 1


def test_the_choice_goes_on_where_it_was_left() -> None:
    network, best, again = torch.nn.Linear(1, 1), Best(annealed=True), Best(annealed=True)
    best.consider(0, np.array(BASE), network)
    best.consider(1, np.array(LESS), network)
    again.load_state_dict(best.state_dict())
    for one in (best, again):
        one.consider(2, np.array([81.0, 49.0, 29.0, 9.0]), network)
    assert (again.epoch, again.values.tolist(), again.top.tolist()) == (best.epoch, LESS, BASE)


@pytest.mark.parametrize(("schedule", "annealed"), [("constant", False), ("one_cycle", True), ("cosine", True)])
def test_which_schedules_end_better_than_they_came(schedule: str, annealed: bool) -> None:
    assert OptimizerConfig.model_validate({"lr": 1e-3, "schedule": schedule}).annealed == annealed


def test_validation_ranks_photos_as_they_stand_and_turned_away() -> None:
    """Against a plain count over all shifts; the same photos every time, and as they stand where headings are known."""
    config, views = settings(loss=UNKNOWN), make_views(12, 32, 128, 2)
    torch.manual_seed(0)
    network = TwoBranch(config.model).eval()
    found = validate(network, views, config)
    aerial, own = embed(network.aerial, views.aerial, 8), np.arange(12)

    def count(scores: np.ndarray) -> list[int]:
        return ((scores >= scores[own, own][:, None]).sum(1) - 1).tolist()

    assert found.known.tolist() == count(embed(network.ground, views.ground, 8) @ aerial.T)
    turns = draw_turns(12, 128, 4, torch.Generator().manual_seed(0))[1].tolist()
    turned = np.stack([np.roll(view, -turn, axis=1) for view, turn in zip(views.ground, turns, strict=True)])
    query, tiles = embed(network.ground, turned, 8).reshape(12, -1, 4), aerial.reshape(12, -1, 4)
    shifts = [np.einsum("ncx,mcx->nm", query, np.roll(tiles, -shift, axis=2)) for shift in range(4)]
    assert found.unknown is not None and found.unknown.tolist() == count(np.max(shifts, axis=0))
    assert found.unknown.tolist() != found.known.tolist()
    assert np.array_equal(found.criterion, validate(network, views, config).criterion)
    known = settings(loss=Mhnw(kind="mhnw"))
    assert validate(network, views, known).unknown is None
    assert criterion_name(known) == "mean reciprocal rank, heading known"
    assert criterion_name(config) == "mean reciprocal rank, mean of heading known and heading unknown"


def test_epochs_between_validations_have_none_and_are_never_chosen(tmp_path: Path) -> None:
    """Of four epochs with one validation in three: the first and the last."""
    config = settings(batch_size=8, epochs=4, validate_every=3, loss=UNKNOWN)
    trained = train(config, make_views(16, 32, 64, 1), make_views(10, 32, 64, 2), tmp_path / "run")
    assert [epoch.val_mrr is not None for epoch in trained.history] == [True, False, False, True]
    assert trained.best_epoch in (0, 3)
    best = trained.history[trained.best_epoch]
    by = choice(config, trained)
    assert (by.places, by.value, by.standard_error) == (10, best.val_mrr, best.val_mrr_se)
    assert by.rule.startswith("the last epoch that no other beats"), "the town's schedule is annealed"
    frame = pd.DataFrame([epoch.numbers() for epoch in trained.history])
    assert frame["val_mrr"].notna().tolist() == [True, False, False, True]
    figures.history(frame, tmp_path / "history.png")
    assert (tmp_path / "history.png").stat().st_size > 10_000
