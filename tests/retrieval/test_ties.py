"""Ties at any dimension: a collapsed network finds nothing, and what is better by a little still comes first.

Descriptors that are equal do not come out of a matrix product in float32 as equal similarities: the error grows with
the dimension and depends on the processor's kernels, on the row and on the pattern.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from aenet.data.views import Views
from aenet.evaluation import horizon
from aenet.evaluation.embed import embed_pairs
from aenet.nn.branches import ModelConfig, TwoBranch
from aenet.retrieval import azimuth, products, ranking, tally
from aenet.retrieval.positives import Positives, identity
from aenet.retrieval.recall import EvaluateConfig, score
from aenet.view.spec import ViewSpec

DIMENSIONS = [1280, 4096, 12_800, 20_480, 81_920]
ROWS = 50
COLUMNS = 8


def constant(d: int) -> np.ndarray:
    return np.full(d, d**-0.5, np.float32)


def halves(d: int) -> np.ndarray:
    """Half of the features are dead."""
    return np.where(np.arange(d) < d // 2, (d / 2) ** -0.5, 0).astype(np.float32)


def per_channel(d: int) -> np.ndarray:
    """What a last batch norm without gain leaves: a value a channel, all over the map."""
    row = np.repeat(np.random.default_rng(0).normal(size=d // 64), 64)
    return (row / np.linalg.norm(row)).astype(np.float32)


def lognormal(d: int) -> np.ndarray:
    row = np.random.default_rng(1).lognormal(sigma=3, size=d)
    return (row / np.linalg.norm(row)).astype(np.float32)


PATTERNS: list[Callable[[int], np.ndarray]] = [constant, halves, per_channel, lognormal]


def same(pattern: Callable[[int], np.ndarray], d: int, rows: int = ROWS) -> np.ndarray:
    return np.repeat(pattern(d)[None], rows, axis=0)


@pytest.mark.parametrize("d", DIMENSIONS)
@pytest.mark.parametrize("pattern", PATTERNS)
def test_collapse_ranks_last(pattern: Callable[[int], np.ndarray], d: int) -> None:
    query, reference = same(pattern, d), same(pattern, d)
    assert set(ranking.ranks(query, reference, np.arange(ROWS))) == {ROWS - 1}
    assert set(ranking.ranks(query, query, np.arange(ROWS))) == {ROWS - 1}  # a product with itself: other kernels
    assert set(ranking.ranks(query[:1], reference, np.array([7]))) == {ROWS - 1}  # of one row: others again


@pytest.mark.parametrize("d", [12_800, 81_920])
@pytest.mark.parametrize("rows", [1, 2, 7])
def test_collapse_ranks_last_however_tiles_are_cut(monkeypatch: pytest.MonkeyPatch, d: int, rows: int) -> None:
    query, reference = same(constant, d, 12), same(constant, d, 12)
    monkeypatch.setattr(ranking, "_REFERENCES", 5)  # 5, 5 and 2
    monkeypatch.setattr(ranking, "_BLOCK_BYTES", 4 * 5 * rows)
    assert set(ranking.ranks(query, reference, np.arange(12))) == {11}


@pytest.mark.parametrize("d", DIMENSIONS)
def test_ties_are_told_from_what_is_better_by_a_hundred_thousandth(d: int) -> None:
    """Twenty references equal to the query's own but one, which is 1e-5 further off or nearer than they are."""
    own = constant(d)
    off = own * np.where(np.arange(d) % 2, 1, -1)  # orthogonal to it, and of length one
    angle = np.sqrt(2e-5)  # cos 1 - 1e-5
    worse = (np.cos(angle) * own + np.sin(angle) * off).astype(np.float32)
    reference = np.repeat(worse[None], 20, axis=0)
    reference[13] = own
    assert ranking.ranks(own[None], reference, np.array([13])).tolist() == [0]
    assert ranking.ranks(own[None], reference, np.array([4])).tolist() == [19]


class Stated:
    """Similarities in float64 as they are given, and by how much those in float32 may be off."""

    def __init__(self, values: list[float], error: float) -> None:
        self.values, self.error = np.array([values]), error

    def pairs(self, query: np.ndarray, reference: np.ndarray) -> np.ndarray:
        return np.asarray(self.values[query, reference])

    def rows(self, part: slice) -> np.ndarray:
        return np.asarray(self.values[part])


@pytest.mark.parametrize("sparse", [1, 10**9])
def test_a_tie_is_sixteen_roundings_by_hand(monkeypatch: pytest.MonkeyPatch, sparse: int) -> None:
    """In pairs and in whole rows: 16 u below the right answer's is a tie, 16.5 u is worse, whatever float32 says."""
    monkeypatch.setattr(tally, "_SPARSE", sparse)
    u, error, own = 2.0**-24, 1e-3, 0.5
    below = np.array([0, 15.5, 16, 16.5, 17, 15.5]) * u
    said = np.array([[own, own - error - 15.5 * u, own, own, own + error, own + error]], np.float32)
    counted = tally.Tally(identity(np.array([0])))
    counted.expect(slice(0, 1), np.array([own]))
    counted.add(slice(0, 1), slice(0, 6), said, Stated(list(own - below), error))
    assert counted.rank.tolist() == [3]
    assert counted.best.top.shape == (1, 0)  # none were asked for


def test_of_equals_the_first_are_listed() -> None:
    values = np.array([[0.5, 0.1, 0.5, 0.9, 0.5, 0.5, 0.2, 0.5], np.arange(8) / 8])
    assert [set(row) for row in tally.first_k(values, 3).tolist()] == [{3, 0, 2}, {5, 6, 7}]
    assert [set(row) for row in tally.first_k(values, 8).tolist()] == [set(range(8))] * 2


def test_what_float32_can_tell_is_not_computed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 40,000 pairs of random descriptors some dozen are near the right answer's."""
    asked: list[int] = []
    pairs = ranking.Inner.pairs

    def counting(self: ranking.Inner, query: np.ndarray, reference: np.ndarray) -> np.ndarray:
        asked.append(len(query))
        return np.asarray(pairs(self, query, reference))

    def whole(*_: object) -> np.ndarray:
        raise AssertionError("whole rows are computed again")

    monkeypatch.setattr(ranking.Inner, "pairs", counting)
    monkeypatch.setattr(ranking.Inner, "rows", whole)
    rows = np.random.default_rng(6).normal(size=(2, 200, 512))
    query, reference = (rows / np.linalg.norm(rows, axis=2, keepdims=True)).astype(np.float32)
    ranking.ranks(query, reference, np.arange(200))
    assert 0 < sum(asked) < 200


@pytest.mark.parametrize("length", [1.0, 64.0])
@pytest.mark.parametrize("spread", [1e-3, 1e-4, 1e-5])
def test_ranks_of_crowded_descriptors_are_those_of_float64(spread: float, length: float) -> None:
    """A network that has hardly learnt: most similarities are nearer to each other than float32 can tell.

    So they are for descriptors that are not of length one: what float32 may be off by grows with both lengths.
    """
    generator = np.random.default_rng(2)
    sides = []
    for _ in range(2):
        rows = constant(12_800) + generator.normal(size=(60, 12_800)) * spread * 12_800**-0.5
        sides.append((length * rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32))
    similarity = sides[0].astype(np.float64) @ sides[1].astype(np.float64).T
    own = np.diag(similarity)[:, None]
    expected = (similarity >= own - tally._TIE).sum(1) - 1
    assert ranking.ranks(sides[0], sides[1], np.arange(60)).tolist() == expected.tolist()


@pytest.mark.parametrize("sparse", [1, 10**9])
def test_near_ones_are_told_apart_in_pairs_as_in_whole_rows(monkeypatch: pytest.MonkeyPatch, sparse: int) -> None:
    """A few rows at a time, the last of them fewer; the right answer is not on the diagonal."""
    monkeypatch.setattr(tally, "_ROWS", 3)
    monkeypatch.setattr(tally, "_SPARSE", sparse)
    generator = np.random.default_rng(5)
    rows = constant(640) + generator.normal(size=(2, 11, 640)) * 3e-2 * 640**-0.5
    query, reference = (rows / np.linalg.norm(rows, axis=2, keepdims=True)).astype(np.float32)
    truth = (np.arange(11) * 3 + 1) % 11
    similarity = query.astype(np.float64) @ reference.astype(np.float64).T
    own = similarity[np.arange(11), truth][:, None]
    expected = (similarity >= own - tally._TIE).sum(1) - 1
    assert len(set(expected)) > 3
    assert ranking.ranks(query, reference, truth).tolist() == expected.tolist()


def test_ties_with_another_right_answer_stand_in_nobodys_way() -> None:
    query = same(halves, 12_800, 2)
    right = Positives(np.array([0, 3, 4]), np.array([0, 1, 5, 2]))
    assert ranking.rank(query, same(halves, 12_800, 9), right).rank.tolist() == [6, 8]


def test_the_bound_of_rounding_by_hand() -> None:
    """One product and one sum of it; 5,000 in steps of 2,048: a step's terms and three sums of steps."""
    u = 2.0**-24
    assert products.rounding(1) == pytest.approx(2 * u / (1 - 2 * u), rel=1e-12)
    assert products.rounding(5000) == pytest.approx(2051 * u / (1 - 2051 * u), rel=1e-12)


@pytest.mark.parametrize("d", [7, 512, 5000, 81_920])
def test_rounding_is_never_more_than_its_bound(d: int) -> None:
    generator = np.random.default_rng(3)
    for row in (constant(d), generator.lognormal(sigma=3, size=d).astype(np.float32), generator.normal(size=d)):
        unit = (row / np.linalg.norm(row)).astype(np.float32)[None]
        exact = products.pair_products(unit, unit)[0]
        for rows in (1, 2, 9):
            found = products.products(np.repeat(unit, rows, axis=0), np.repeat(unit, rows, axis=0))
            assert np.abs(found - exact).max() <= products.rounding(d) * exact
    assert products.rounding(81_920) < 2e-4


def maps(pattern: Callable[[int], np.ndarray], d: int, rows: int) -> np.ndarray:
    return same(pattern, d, rows).reshape(rows, d // (2 * COLUMNS), 2, COLUMNS)


@pytest.mark.parametrize("seen", [8, 3])
@pytest.mark.parametrize("d", [4096, 12_800, 81_920])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_ties_over_part_of_the_horizon(pattern: Callable[[int], np.ndarray], d: int, seen: int) -> None:
    """By `azimuth`'s own numbers: the right answer's similarity and the tile's differ by less than `error`."""
    rows = 9
    query, weights = maps(pattern, d, rows), np.zeros((rows, COLUMNS), np.float32)
    weights[:, :seen], weights[:, seen - 1] = 1, 0.4
    windows = azimuth.Windows(query, query, weights)
    counted = tally.Tally(identity(np.arange(rows)))
    counted.expect(slice(0, rows), azimuth.compare_pairs(query, query, weights))
    counted.add(slice(0, rows), slice(0, rows), windows.all(), windows)
    assert set(counted.rank) == {rows - 1}


@pytest.mark.parametrize("d", [4096, 12_800, 81_920])
@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("fov_deg", [360.0, 90.0])
@pytest.mark.parametrize("known", [True, False])
def test_collapse_at_a_heading_and_over_all(
    pattern: Callable[[int], np.ndarray], d: int, fov_deg: float, known: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the view, the network says the same."""
    row, rows = pattern(d), 7
    monkeypatch.setattr(horizon, "embed", lambda branch, pixels, *_: np.repeat(row[None], len(pixels), axis=0))
    monkeypatch.setattr(horizon, "map_shape", lambda *_: (d // (2 * COLUMNS), 2, COLUMNS))
    config = EvaluateConfig(batch_size=4, threads=1, phases=2)
    setting = horizon.open_horizon(small_network(), blank(rows), same(pattern, d, rows), config)
    search = horizon.known_heading if known else lambda *given: horizon.unknown_heading(*given)[0]
    assert set(search(setting, fov_deg).rank) == {rows - 1}


def network(backbone: str) -> TwoBranch:
    parts = {
        "backbone": {"name": backbone, "weights": "random"},
        "attention": {"kind": "triplet"},
        "head": {"kind": "flatten"},
        "shared": True,
    }
    torch.manual_seed(0)
    return TwoBranch(ModelConfig.model_validate(parts)).eval()


def small_network() -> TwoBranch:
    return network("test_efficientnet")


def blank(rows: int, height: int = 64, width: int = 256) -> Views:
    pixels = np.random.default_rng(4).integers(0, 255, (rows, height, width, 3)).astype(np.uint8)
    names = ("latitude", "longitude", "aerial_latitude", "aerial_longitude")
    pairs = pd.DataFrame(dict.fromkeys(names, np.arange(rows) * 1e-3))
    return Views("test", pairs, pixels, pixels, ViewSpec.polar(height=height, width=width, tile_size_m=70.0))


def test_collapse_of_the_papers_network_scores_nothing(tmp_path: Path) -> None:
    """EfficientNetV2-S at 81,920 dimensions whose last batch norm has lost its gain, at known and unknown heading."""
    model, views = network("tf_efficientnetv2_s"), blank(3, 128, 512)
    norm = [part for part in model.modules() if isinstance(part, torch.nn.BatchNorm2d) and part.num_features == 1280]
    torch.nn.init.zeros_(norm[-1].weight)
    torch.nn.init.normal_(norm[-1].bias)
    ground, aerial = embed_pairs(model, views, 2, tmp_path)
    assert aerial.shape == (3, 81_920)
    values = score(ground, aerial, views).values
    assert (values["recall_at_1"], values["median_rank"]) == (0, 3)
    setting = horizon.open_horizon(model, views, aerial, EvaluateConfig(batch_size=2, threads=1, phases=1))
    assert set(horizon.unknown_heading(setting, 360.0)[0].rank) == {2}
    assert set(horizon.known_heading(setting, 90.0).rank) == {2}
