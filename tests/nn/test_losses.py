"""The losses: worked by hand on 3 x 3 distances, and held at their limits."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter, ValidationError

from aenet.io.errors import AenetError
from aenet.nn.formulae import InfoNCELoss, contrastive, hertl, logistic_pairs, mhnw, soft_trihard, wsmr, wsmr_all
from aenet.nn.losses import (
    BatchLoss,
    Contrastive,
    Dbl,
    Hertl,
    InfoNCE,
    LossConfig,
    Mhnw,
    SoftTriHard,
    Wsmr,
    WsmrAll,
    build_loss,
    hard_negatives,
    pairwise_distance,
)

# Row 0: one negative nearer than the positive (0.5). Row 1: none. Row 2: both, at 0.1 and 0.3 before 0.9.
D = torch.tensor([[0.5, 0.3, 1.0], [0.9, 0.2, 0.4], [0.1, 0.3, 0.9]], dtype=torch.float64)
ALPHA = 2.0
CONFIGS: list[Any] = [
    Wsmr(kind="wsmr"),
    WsmrAll(kind="wsmr_all"),
    Mhnw(kind="mhnw"),
    SoftTriHard(kind="soft_trihard"),
    SoftTriHard(kind="soft_trihard", negatives="other_view"),
    Dbl(kind="dbl"),
    Dbl(kind="dbl", form="pair", margin=1.0),
    Hertl(kind="hertl", margin=1.0),
    Contrastive(kind="contrastive"),
    InfoNCE(kind="infonce"),
]
DIRECTED = [config for config in CONFIGS if hasattr(config, "anchors") and getattr(config, "form", "") != "pair"]
WITH_DISTANCE = [config for config in CONFIGS if hasattr(config, "distance")]
WITH_ALPHA = [config for config in CONFIGS if hasattr(config, "alpha")]


def name(config: Any) -> str:
    return "-".join(str(value) for value in config.model_dump().values() if isinstance(value, str))


def ln1p_exp(x: float) -> float:
    return math.log(1 + math.exp(x))


def unit(n: int, d: int, seed: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.nn.functional.normalize(torch.randn(n, d, generator=generator, dtype=dtype), dim=1)


def loss(config: Any, ground: torch.Tensor, aerial: torch.Tensor) -> torch.Tensor:
    return torch.as_tensor(build_loss(config).to(ground.dtype)(ground, aerial))


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


def test_soft_trihard_by_hand() -> None:
    # In the anchors' own view places 0 and 1 are 0.1 apart, 0 and 2 are 0.7, 1 and 2 are 0.6.
    within = torch.tensor([[0.0, 0.1, 0.7], [0.1, 0.0, 0.6], [0.7, 0.6, 0.0]], dtype=torch.float64)
    # Nearest other place in either view: 0.1 (own), 0.1 (own), 0.1 (other); positives 0.5, 0.2, 0.9.
    expected = [ln1p_exp(2 * 0.4), ln1p_exp(2 * 0.1), ln1p_exp(2 * 0.8)]
    assert soft_trihard(D, ALPHA, within).tolist() == pytest.approx(expected)
    assert soft_trihard(D, ALPHA).tolist() == pytest.approx(wsmr(D, ALPHA).tolist())


def test_soft_trihard_looks_into_its_own_view() -> None:
    """Two tiles nearly alike: the ground anchors see nothing of it, the aerial ones do."""
    ground, aerial = torch.eye(3, dtype=torch.float64), torch.eye(3, dtype=torch.float64)
    aerial[1] = torch.tensor([math.cos(0.1), math.sin(0.1), 0.0])
    config = SoftTriHard(kind="soft_trihard", alpha=1.0, distance="squared")
    near = 2 - 2 * math.cos(0.1)  # tile 0 to tile 1
    turned = 2 - 2 * math.sin(0.1)  # ground 1 to its own tile 1; ground 0 to tile 1 is `near`
    # Ground 0: positive 0, nearest other tile 1. Ground 1: positive `turned`, nearest other 2. Ground 2: 0 and 2.
    from_ground = [ln1p_exp(0 - near), ln1p_exp(turned - 2), ln1p_exp(-2)]
    # Tile 0: own view tile 1. Tile 1: its negatives are ground 0 and tile 0, both at `near`. Tile 2: 2.
    from_air = [ln1p_exp(0 - near), ln1p_exp(turned - near), ln1p_exp(-2)]
    expected = (np.mean(from_ground) + np.mean(from_air)) / 2
    assert loss(config, ground, aerial).item() == pytest.approx(expected)
    one_view = config.model_copy(update={"negatives": "other_view", "anchors": "ground"})
    assert loss(one_view, ground, aerial).item() == pytest.approx(np.mean(from_ground))


def test_soft_trihard_leaves_out_in_its_own_view_whatever_is_no_negative_either_way() -> None:
    """Tile 1 is no negative of place 0; so within a view neither of the two is one of the other."""
    within = torch.tensor([[0.0, 0.1, 0.7], [0.1, 0.0, 0.6], [0.7, 0.6, 0.0]], dtype=torch.float64)
    ignore = torch.zeros(3, 3, dtype=torch.bool)
    ignore[0, 1] = True
    # Nearest: 0.7 (own view), 0.4 (other view, for 0.1 is left out), 0.1 (other view).
    expected = [ln1p_exp(2 * (0.5 - 0.7)), ln1p_exp(2 * (0.2 - 0.4)), ln1p_exp(2 * (0.9 - 0.1))]
    assert soft_trihard(D, ALPHA, within, ignore).tolist() == pytest.approx(expected)


def test_losses_on_pairs_read_the_mask_as_panoramas_by_tiles() -> None:
    ground, aerial = unit(3, 4, 12), unit(3, 4, 13)
    ignore = torch.zeros(3, 3, dtype=torch.bool)
    ignore[0, 1] = True
    for kind, config in ((logistic_pairs, CONFIGS[6]), (contrastive, CONFIGS[8])):
        expected = kind(torch.cdist(ground, aerial), config.margin, ignore).item()
        assert build_loss(config)(ground, aerial, ignore).item() == pytest.approx(expected)
        assert kind(torch.cdist(ground, aerial), config.margin, ignore.T).item() != pytest.approx(expected)


def test_of_unknown_heading_half_is_as_they_stand_and_half_at_the_best_turn() -> None:
    ground, aerial = unit(2, 6, 0), unit(2, 6, 1)
    module = BatchLoss(lambda _ground, _aerial, columns, _ignore: torch.tensor(float(columns)), columns=3)
    assert module(ground, aerial).item() == (1 + 3) / 2
    assert BatchLoss(module.formula)(ground, aerial).item() == 1
    unknown = CONFIGS[0].model_copy(update={"heading": "unknown"})
    assert build_loss(unknown, 2).columns == 2  # two are enough to turn by
    with pytest.raises(AenetError, match="a descriptor of 1 column has nothing to turn"):
        build_loss(unknown)


def test_hertl_by_hand() -> None:
    """Three negatives with m = 4: bounded above, free, bounded below."""
    d = torch.tensor([[5.0, 3.0, 6.0, 10.0]] * 4, dtype=torch.float64)  # row 0: positive 5
    # D = 2: w = log2(1 + e^4) = 5.797 is bounded by its value at D = 0, log2(1 + e^2) = 3.0685.
    # D = -1: w = log2(1 + e^1) = 1.895. D = -5: w = log2(1 + e^-3) = 0.070 is below that at D = -4, log2(1 + e^-2)
    # = 0.183, and becomes 0.1 / n = 0.025.
    weights = [ln1p_exp(2) / math.log(2), ln1p_exp(1) / math.log(2), 0.1 / 4]
    assert weights == pytest.approx([3.0685, 1.8946, 0.025], abs=1e-4)
    terms = [weights[0] * ln1p_exp(2), weights[1] * ln1p_exp(-1), weights[2] * ln1p_exp(-5)]
    assert hertl(d, 4.0)[0].item() == pytest.approx(sum(terms) / 3)


def test_hertl_measures_lengths_from_the_ground_alone() -> None:
    ground = torch.tensor([[2.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    aerial = torch.tensor([[1.0, 0.0], [0.0, 3.0]], dtype=torch.float64)
    # Squared distances: [[1, 4 + 9], [1 + 1, 4]]; m = 2. D = 1 - 13 = -12: easy, w = 0.1 / 2. D = 4 - 2: w = log2(1+e).
    expected = (0.05 * ln1p_exp(-12) + ln1p_exp(1) / math.log(2) * ln1p_exp(2)) / 2
    assert loss(Hertl(kind="hertl", margin=2.0), ground, aerial).item() == pytest.approx(expected)


def test_dbl_by_hand() -> None:
    """The triplet form has no weight; the pair form is a log loss of p = (1 + e^-m) / (1 + e^(d - m))."""
    ground, aerial = unit(4, 3, 10), unit(4, 3, 11)
    d = torch.cdist(3 * ground, aerial)
    config = Dbl(kind="dbl", anchors="ground")
    assert loss(config, 3 * ground, aerial).item() == pytest.approx(wsmr_all(d, 1.0).mean().item())
    m = 2.0
    p = [[(1 + math.exp(-m)) / (1 + math.exp(x - m)) for x in row] for row in D.tolist()]
    matches = sum(-math.log(p[i][i]) for i in range(3)) / 3
    others = sum(-math.log(1 - p[i][j]) for i in range(3) for j in range(3) if i != j) / 6
    assert logistic_pairs(D, m).item() == pytest.approx((matches + others) / 2)
    # One pair in full: d = 0.5, m = 2: p = 1.135335 / (1 + e^-1.5) = 1.135335 / 1.223130 = 0.928221.
    assert p[0][0] == pytest.approx(0.928221, abs=1e-6)


def test_contrastive_by_hand() -> None:
    # Matches 0.5^2 + 0.2^2 + 0.9^2 = 1.10, others, m = 0.6: 0.3^2, 0, 0, 0.2^2, 0.5^2, 0.3^2 = 0.47.
    assert contrastive(D, 0.6).item() == pytest.approx((1.10 / 3 + 0.47 / 6) / 2)


def test_infonce_by_hand() -> None:
    """Two places at right angles, s = ln 3: the match has probability 3 / 4."""
    eye = torch.eye(2, dtype=torch.float64)
    plain = InfoNCELoss(temperature=1 / math.log(3), smoothing=0.0).double()
    assert plain(eye, eye).item() == pytest.approx(-math.log(0.75), abs=1e-6)
    smooth = InfoNCELoss(temperature=1 / math.log(3), smoothing=0.2).double()
    # q = 0.9 and 0.1.
    assert smooth(eye, eye).item() == pytest.approx(-0.9 * math.log(0.75) - 0.1 * math.log(0.25), abs=1e-6)
    # Ground 0 is sure of place 0, ground 1 cannot tell; from the air the columns are (s, sh) and (0, sh).
    ground = torch.tensor([[1.0, 0.0], [math.sqrt(0.5), math.sqrt(0.5)]], dtype=torch.float64)
    s, h = math.log(3), math.sqrt(0.5)
    rows = [-math.log(3 / 4), -math.log(0.5)]
    columns = [-s + math.log(math.exp(s) + math.exp(s * h)), -s * h + math.log(1 + math.exp(s * h))]
    assert plain(ground, eye).item() == pytest.approx((sum(rows) + sum(columns)) / 4, abs=1e-6)
    plain.both = False
    assert plain(ground, eye).item() == pytest.approx(sum(rows) / 2, abs=1e-6)


def test_infonce_by_itself_is_what_params_yaml_gives_without_a_word() -> None:
    built, alone = build_loss(InfoNCE(kind="infonce")).formula, InfoNCELoss()
    for module in (built, alone):
        assert module.log_scale.exp().item() == pytest.approx(1 / 0.07)
        assert math.exp(module.max_log_scale) == pytest.approx(100)
        assert (module.smoothing, module.both, module.log_scale.requires_grad) == (0.1, True, True)


def test_scale_of_infonce_learns_and_stops_at_its_bound() -> None:
    module = build_loss(InfoNCE(kind="infonce", smoothing=0.0))
    (scale,) = module.parameters()
    assert scale.exp().item() == pytest.approx(1 / 0.07)
    optimizer = torch.optim.SGD(module.parameters(), lr=1e4)  # right answers: the surer the better
    eye = torch.nn.functional.normalize(torch.eye(3) + 0.3, dim=1)
    for _ in range(3):
        optimizer.zero_grad()
        module(eye, eye).backward()
        optimizer.step()
    value = module(eye, eye)
    assert scale.exp().item() == pytest.approx(100.0) and torch.isfinite(value)
    module(eye, eye.roll(1, 0)).backward()
    assert scale.grad is not None and scale.grad.item() > 0, "wrong answers must be able to bring it back"
    assert not [p for p in build_loss(InfoNCE(kind="infonce", learn_scale=False)).parameters() if p.requires_grad]


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


def test_mhnw_is_wsmr_with_one_hard_negative_and_with_none() -> None:
    """From one hard negative to none the value must not jump; with none WSMR takes the nearest."""
    for gap in (1e-9, -1e-9):
        d = torch.tensor([[0.5, 0.5 - gap, 1.0], [1.0, 0.0, 1.0], [1.0, 1.0, 0.0]], dtype=torch.float64)
        assert mhnw(d, 10.0)[0].item() == pytest.approx(math.log(2), abs=1e-7)
        assert torch.equal(mhnw(d, 10.0), wsmr(d, 10.0))
    assert mhnw(D, ALPHA)[:2].tolist() == wsmr(D, ALPHA)[:2].tolist()
    assert mhnw(D, ALPHA)[1].item() == pytest.approx(ln1p_exp(ALPHA * (0.2 - 0.4)))


@pytest.mark.parametrize("config", DIRECTED, ids=name)
def test_both_directions_are_averaged(config: Any) -> None:
    ground, aerial = unit(5, 4, 0), unit(5, 4, 1)
    one_way = config.model_copy(update={"anchors": "ground"})
    expected = (loss(one_way, ground, aerial) + loss(one_way, aerial, ground)) / 2
    assert loss(config, ground, aerial).item() == pytest.approx(expected.item())
    assert loss(one_way, ground, aerial).item() != pytest.approx(expected.item(), abs=1e-4)


@pytest.mark.parametrize("config", CONFIGS, ids=name)
def test_order_of_the_batch_does_not_matter(config: Any) -> None:
    ground, aerial, order = unit(8, 4, 2), unit(8, 4, 3), torch.tensor([3, 1, 7, 0, 2, 6, 5, 4])
    assert loss(config, ground, aerial).item() == pytest.approx(loss(config, ground[order], aerial[order]).item())
    assert loss(config, ground, aerial[order]).item() != pytest.approx(loss(config, ground, aerial).item())


def finite(config: Any, ground: torch.Tensor, aerial: torch.Tensor) -> float:
    ground, aerial = (part.clone().requires_grad_() for part in (ground, aerial))
    value = loss(config, ground, aerial)
    value.backward()  # type: ignore[no-untyped-call]  # torch leaves backward untyped
    assert torch.isfinite(value)
    for part in (ground, aerial):
        assert part.grad is not None and torch.isfinite(part.grad).all()
    return value.item()


SAME = torch.nn.functional.normalize(torch.ones(4, 8), dim=1)
EYE = torch.eye(4, 8)


@pytest.mark.parametrize("config", CONFIGS, ids=name)
def test_finite_at_distance_zero_and_at_the_farthest(config: Any) -> None:
    """Collapsed, perfect, wrong and opposite descriptors, in single precision, and lengths of a hundred and of zero."""
    for ground, aerial in ((SAME, SAME), (EYE, EYE), (EYE, -EYE), (EYE, EYE.flip(0))):
        finite(config, ground, aerial)
        if not build_loss(config).unit:
            finite(config, 100 * ground, 100 * aerial)
            finite(config, 0 * ground, 0 * aerial)


@pytest.mark.parametrize("config", WITH_ALPHA, ids=name)
@pytest.mark.parametrize("distance", ["squared", "euclidean"])
@pytest.mark.parametrize("alpha", [100.0, 1e4])
def test_finite_at_a_large_alpha(config: Any, distance: str, alpha: float) -> None:
    config = config.model_copy(update={"distance": distance, "alpha": alpha})
    for ground, aerial in ((SAME, SAME), (EYE, EYE), (EYE, -EYE), (EYE, EYE.flip(0))):
        finite(config, ground, aerial)


@pytest.mark.parametrize(
    ("config", "value"),
    [
        *((config, math.log(2)) for config in CONFIGS[:6]),
        # Nothing between a match and any other pair: 0 for the match, -ln(1 - p) at the floor of 1e-6 for the others,
        # where 1 - p = 1e-6 e^-1 / (1 + e^-1) to first order.
        (CONFIGS[6], -math.log(1e-6 * math.exp(-1) / (1 + math.exp(-1))) / 2),
        (CONFIGS[7], ln1p_exp(0.5) / math.log(2) * math.log(2)),  # w at D = 0 for m = 1, times ln 2
        (CONFIGS[8], 1.0**2 / 2),  # m^2 / 2
        (CONFIGS[9], math.log(4)),  # every one of four as likely
    ],
    ids=lambda value: name(value) if hasattr(value, "kind") else "",
)
def test_collapse_costs_what_the_formula_says(config: Any, value: float) -> None:
    assert finite(config, SAME, SAME) == pytest.approx(value, rel=2e-3)


@pytest.mark.parametrize("config", [config for config in CONFIGS if config.kind != "mhnw"], ids=name)
def test_gradient_is_the_derivative(config: Any) -> None:
    module = build_loss(config).double()
    long = 1.0 if module.unit else 2.0
    ground, aerial = (long * unit(4, 3, 4)).requires_grad_(), (long * unit(4, 3, 5)).requires_grad_()
    assert torch.autograd.gradcheck(module, (ground, aerial))
    if parameters := list(module.parameters()):
        assert torch.autograd.gradcheck(lambda _: module(ground, aerial), parameters)


@pytest.mark.parametrize("config", WITH_DISTANCE, ids=name)
def test_gradient_is_the_derivative_of_either_distance(config: Any) -> None:
    for distance in ("squared", "euclidean"):
        other = config.model_copy(update={"distance": distance})
        if other.kind != "mhnw":
            ground, aerial = unit(4, 3, 6).requires_grad_(), unit(4, 3, 7).requires_grad_()
            assert torch.autograd.gradcheck(build_loss(other), (ground, aerial))


def test_gradient_of_mhnw_is_the_derivative_with_the_weights_held() -> None:
    """Central differences of the sum written out with the weights of the starting point."""
    ground, aerial = unit(6, 3, 4).requires_grad_(), unit(6, 3, 5)
    config = Mhnw(kind="mhnw", anchors="ground")
    start = 2 - 2 * ground.detach().numpy() @ aerial.numpy().T
    gap = np.diag(start)[:, None] - start
    hard = (gap > 0) & ~np.eye(6, dtype=bool)
    assert (hard.sum(1) > 1).any() and (hard.sum(1) <= 1).any(), "both cases must be in the batch"
    weights = np.where(hard, gap, 0) / np.where(hard, gap, 0).max(1, initial=1e-300, keepdims=True)
    nearest = np.where(np.eye(6, dtype=bool), np.inf, start).argmin(1)

    def held(g: np.ndarray) -> float:
        d = 2 - 2 * g @ aerial.numpy().T
        terms = np.log1p(np.exp(10 * (np.diag(d)[:, None] - d)))
        several = (weights * terms).sum(1) / np.maximum(hard.sum(1), 1)
        return float(np.where(hard.sum(1) > 1, several, terms[np.arange(6), nearest]).mean())

    value = loss(config, ground, aerial)
    value.backward()  # type: ignore[no-untyped-call]  # torch leaves backward untyped
    assert value.item() == pytest.approx(held(ground.detach().numpy()))
    numeric, step = np.zeros((6, 3)), 1e-6
    for i, j in np.ndindex(6, 3):
        moved = [ground.detach().numpy().copy() for _ in range(2)]
        moved[0][i, j] += step
        moved[1][i, j] -= step
        numeric[i, j] = (held(moved[0]) - held(moved[1])) / (2 * step)
    assert ground.grad is not None
    assert np.allclose(ground.grad.numpy(), numeric, atol=1e-7)


@pytest.mark.parametrize("config", CONFIGS, ids=name)
def test_a_right_batch_costs_less_than_a_shuffled_one(config: Any) -> None:
    ground = unit(6, 16, 6)
    assert loss(config, ground, ground) < loss(config, ground, ground.roll(1, 0))


@pytest.mark.parametrize("kind", ["squared", "euclidean"])
def test_distances(kind: Any) -> None:
    ground, aerial = unit(3, 5, 7), unit(4, 5, 8)
    for long in (1.0, 3.0):
        euclidean = torch.cdist(long * ground, aerial)
        expected = euclidean**2 if kind == "squared" else euclidean
        assert torch.allclose(pairwise_distance(long * ground, aerial, kind, unit=long == 1), expected)
    assert pairwise_distance(ground.float(), ground.float(), kind).diagonal().max() < 2e-3


def test_only_two_losses_want_lengths() -> None:
    assert {config.kind for config in CONFIGS if not build_loss(config).unit} == {"dbl", "hertl"}
    assert build_loss(Dbl(kind="dbl", unit=True)).unit


def test_one_pair_is_refused_in_a_sentence() -> None:
    for config in CONFIGS:
        with pytest.raises(AenetError, match=r"at least two matching pairs, got ground \(1, 4\)"):
            loss(config, unit(1, 4, 0), unit(1, 4, 1))
        with pytest.raises(AenetError, match="matching pairs"):
            loss(config, unit(3, 4, 0), unit(2, 4, 1))


def test_configurations_come_by_kind_and_refuse_what_is_not_theirs() -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(LossConfig)
    for config in CONFIGS:
        assert adapter.validate_json(config.model_dump_json()) == config
        with pytest.raises(ValidationError, match="extra_forbidden"):
            adapter.validate_python({**config.model_dump(), "beta": 1.0})
    for bad in (
        {"kind": "contrastive", "alpha": 1.0},
        {"kind": "hertl", "anchors": "both"},
        {"kind": "infonce", "smoothing": 1.0},
        {"kind": "dbl", "form": "pair", "anchors": "ground"},
        {"kind": "triplet"},
    ):
        with pytest.raises(ValidationError):
            adapter.validate_python(bad)
