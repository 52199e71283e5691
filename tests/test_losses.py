"""The losses: worked by hand on 3 x 3 distances, and held at their limits."""

import math
from typing import Any

import pytest
import torch

from aenet.nn.losses import Mhnw, Wsmr, WsmrAll, hard_negatives, loss, mhnw, pairwise_distance, wsmr, wsmr_all

# Row 0: one negative nearer than the positive (0.5). Row 1: none. Row 2: both, at 0.1 and 0.3 before 0.9.
D = torch.tensor([[0.5, 0.3, 1.0], [0.9, 0.2, 0.4], [0.1, 0.3, 0.9]], dtype=torch.float64)
ALPHA = 2.0
CONFIGS: list[Wsmr | WsmrAll | Mhnw] = [Wsmr(kind="wsmr"), WsmrAll(kind="wsmr_all"), Mhnw(kind="mhnw")]


def ln1p_exp(x: float) -> float:
    return math.log(1 + math.exp(x))


def unit(n: int, d: int, seed: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.nn.functional.normalize(torch.randn(n, d, generator=generator, dtype=dtype), dim=1)


def test_wsmr_by_hand() -> None:
    # 2 (0.5 - 0.3), 2 (0.2 - 0.4), 2 (0.9 - 0.1)
    expected = [ln1p_exp(0.4), ln1p_exp(-0.4), ln1p_exp(1.6)]
    assert wsmr(D, ALPHA).tolist() == pytest.approx(expected)
    assert wsmr(D, ALPHA).tolist() == pytest.approx([0.913015, 0.513015, 1.783900], abs=1e-6)


def test_wsmr_all_by_hand() -> None:
    expected = [
        (ln1p_exp(0.4) + ln1p_exp(-1.0)) / 2,
        (ln1p_exp(-1.4) + ln1p_exp(-0.4)) / 2,
        (ln1p_exp(1.6) + ln1p_exp(1.2)) / 2,
    ]
    assert wsmr_all(D, ALPHA).tolist() == pytest.approx(expected)


def test_mhnw_by_hand() -> None:
    # Row 2: D = 0.8 and 0.6, weights 1 and 0.6 / 0.8; the other rows have one hard negative or none.
    several = (1.0 * ln1p_exp(1.6) + 0.75 * ln1p_exp(1.2)) / 2
    assert mhnw(D, ALPHA).tolist() == pytest.approx([ln1p_exp(0.4), ln1p_exp(-0.4), several])


def test_hard_negatives_are_the_strictly_nearer_ones() -> None:
    d = torch.tensor([[0.5, 0.5, 0.4], [0.0, 0.0, 0.0], [9.0, 9.0, 1.0]])
    assert hard_negatives(d).tolist() == [[False, False, True], [False] * 3, [False] * 3]


def test_weights_of_mhnw_are_constants_to_the_gradient() -> None:
    """d/d(d_an) = -w alpha sigmoid(alpha D) / N with w held fixed."""
    d = D.clone().requires_grad_()
    mhnw(d, ALPHA)[2].backward()  # type: ignore[no-untyped-call]  # torch leaves backward untyped
    slopes = [1.0 * ALPHA / (1 + math.exp(-1.6)) / 2, 0.75 * ALPHA / (1 + math.exp(-1.2)) / 2]
    assert d.grad is not None
    assert d.grad[2].tolist() == pytest.approx([-slopes[0], -slopes[1], sum(slopes)])
    assert d.grad[:2].abs().max() == 0


def test_mhnw_is_continuous_where_a_negative_becomes_hard() -> None:
    """From one hard negative to none the value must not jump; MHNW then equals WSMR on both sides."""
    for gap in (1e-9, -1e-9):
        d = torch.tensor([[0.5, 0.5 - gap, 1.0], [1.0, 0.0, 1.0], [1.0, 1.0, 0.0]], dtype=torch.float64)
        assert mhnw(d, 10.0)[0].item() == pytest.approx(math.log(2), abs=1e-7)
        assert torch.equal(mhnw(d, 10.0), wsmr(d, 10.0))


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.kind)
def test_both_directions_are_averaged(config: Any) -> None:
    ground, aerial = unit(5, 4, 0), unit(5, 4, 1)
    one_way = config.model_copy(update={"anchors": "ground"})
    expected = (loss(one_way, ground, aerial) + loss(one_way, aerial, ground)) / 2
    assert loss(config, ground, aerial).item() == pytest.approx(expected.item())
    assert loss(one_way, ground, aerial).item() != pytest.approx(expected.item(), abs=1e-4)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.kind)
def test_order_of_the_batch_does_not_matter(config: Any) -> None:
    ground, aerial, order = unit(8, 4, 2), unit(8, 4, 3), torch.tensor([3, 1, 7, 0, 2, 6, 5, 4])
    assert loss(config, ground, aerial).item() == pytest.approx(loss(config, ground[order], aerial[order]).item())
    assert loss(config, ground, aerial[order]).item() != pytest.approx(loss(config, ground, aerial).item())


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.kind)
@pytest.mark.parametrize("distance", ["squared", "euclidean"])
@pytest.mark.parametrize("alpha", [10.0, 100.0, 1e4])
def test_finite_at_its_limits(config: Any, distance: str, alpha: float) -> None:
    """Collapsed, perfect and opposite descriptors, in single precision: no NaN in value or gradient."""
    config = config.model_copy(update={"distance": distance, "alpha": alpha})
    same = torch.nn.functional.normalize(torch.ones(4, 8), dim=1)
    eye = torch.eye(4, 8)
    for pair in ((same, same), (eye, eye), (eye, -eye), (eye, eye.flip(0))):
        ground, aerial = (part.clone().requires_grad_() for part in pair)
        value = loss(config, ground, aerial)
        value.backward()  # type: ignore[no-untyped-call]  # torch leaves backward untyped
        assert torch.isfinite(value)
        assert ground.grad is not None
        assert torch.isfinite(ground.grad).all()


@pytest.mark.parametrize("config", CONFIGS[:2], ids=lambda config: config.kind)
@pytest.mark.parametrize("distance", ["squared", "euclidean"])
def test_gradient_is_the_derivative(config: Any, distance: str) -> None:
    """MHNW is left out: its weights are constants to the gradient by decision; see the test by hand above."""
    config = config.model_copy(update={"distance": distance})
    ground, aerial = unit(4, 3, 4).requires_grad_(), unit(4, 3, 5).requires_grad_()
    assert torch.autograd.gradcheck(lambda g, a: loss(config, g, a), (ground, aerial))


def test_a_right_batch_costs_less_than_a_shuffled_one() -> None:
    ground = unit(6, 16, 6)
    for config in CONFIGS:
        assert loss(config, ground, ground) < loss(config, ground, ground.roll(1, 0))


@pytest.mark.parametrize("kind", ["squared", "euclidean"])
def test_distances_of_unit_vectors(kind: Any) -> None:
    ground, aerial = unit(3, 5, 7), unit(4, 5, 8)
    euclidean = torch.cdist(ground, aerial)
    expected = euclidean**2 if kind == "squared" else euclidean
    assert torch.allclose(pairwise_distance(ground, aerial, kind), expected)
    assert pairwise_distance(ground.float(), ground.float(), kind).diagonal().max() < 2e-3
