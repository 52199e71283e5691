"""Ranking that cannot be fooled: ties, collapse, NaN, order, blocks."""

import inspect
from typing import Any

import numpy as np
import pytest

from aenet.io.errors import AenetError
from aenet.retrieval import ranking, recall


def unit(n: int, d: int, seed: int) -> np.ndarray:
    x = np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)
    return np.asarray(x / np.linalg.norm(x, axis=1, keepdims=True))


def naive_ranks(query: np.ndarray, reference: np.ndarray, truth: np.ndarray) -> list[int]:
    """One at a time in float64: references at most as far as the true one, without it."""
    found = []
    for vector, own in zip(query.astype(np.float64), truth, strict=True):
        distance = np.linalg.norm(reference.astype(np.float64) - vector, axis=1)
        found.append(int((distance <= distance[own]).sum()) - 1)
    return found


def test_ranks_equal_a_naive_count() -> None:
    query, reference = unit(40, 16, 0), unit(100, 16, 1)
    truth = np.random.default_rng(2).integers(0, 100, 40)
    assert recall.ranks(query, reference, truth).tolist() == naive_ranks(query, reference, truth)


def test_by_hand() -> None:
    reference = np.array([[1, 0], [0, 1], [-1, 0], [0.6, 0.8]], np.float32)
    query = np.array([[1, 0], [0, 1], [0, -1]], np.float32)
    # (1,0): 0 first. (0,1): true 3 comes second after 1. (0,-1): true 1 is the farthest of four.
    assert recall.ranks(query, reference, np.array([0, 3, 1])).tolist() == [0, 1, 3]


def test_every_tie_counts_against_the_query() -> None:
    reference = np.array([[1, 0], [1, 0], [1, 0], [0, 1]], np.float32)
    query = np.array([[1, 0]], np.float32)
    assert recall.ranks(query, reference, np.array([1])).tolist() == [2]


@pytest.mark.parametrize("d", [1, 256, 4096])
def test_constant_descriptors_score_nothing(d: int) -> None:
    """Counting only strictly better references would give 100 %."""
    same = np.full((500, d), 1 / np.sqrt(d), np.float32)
    same += np.random.default_rng(0).normal(size=same.shape).astype(np.float32) * 1e-9
    rank = recall.ranks(same, same, np.arange(500))
    assert recall.summary(rank, 500)["recall_at_10"] == 0
    assert rank.min() == 499


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("side", [0, 1])
def test_descriptors_that_are_not_finite_are_refused(bad: float, side: int) -> None:
    sides = [unit(10, 4, 0), unit(10, 4, 1)]
    sides[side][7, 2] = bad
    with pytest.raises(AenetError, match=r"1 of 10 (query|reference) descriptors hold NaN or infinity"):
        recall.ranks(sides[0], sides[1], np.arange(10))


def test_shapes_that_do_not_fit_are_refused() -> None:
    unchecked: Any = inspect.unwrap(recall.ranks)  # users run without the shape checks of the tests
    with pytest.raises(AenetError, match="4 dimensions, references 5"):
        unchecked(unit(3, 4, 0), unit(3, 5, 0), np.arange(3))
    with pytest.raises(AenetError, match="no query"):
        recall.ranks(np.zeros((0, 4), np.float32), unit(3, 4, 0), np.zeros(0, np.int64))


def test_permuted_references_give_the_same_ranks() -> None:
    query, reference = unit(50, 8, 3), unit(50, 8, 4)
    order = np.random.default_rng(5).permutation(50)
    permuted = recall.ranks(query, reference[order], np.argsort(order))
    assert np.array_equal(permuted, recall.ranks(query, reference, np.arange(50)))


def test_perfect_and_permuted_truth() -> None:
    descriptors = unit(64, 32, 6)
    assert recall.summary(recall.ranks(descriptors, descriptors, np.arange(64)), 64)["recall_at_1"] == 100
    assert recall.summary(recall.ranks(descriptors, descriptors, np.roll(np.arange(64), 1)), 64)["recall_at_1"] == 0


def test_one_query_one_reference() -> None:
    one = unit(1, 8, 7)
    assert recall.summary(recall.ranks(one, one, np.array([0])), 1) == {
        "recall_at_1": 100.0,
        "recall_at_5": 100.0,
        "recall_at_10": 100.0,
        "recall_at_1_percent": 100.0,
        "median_rank": 1.0,
    }


@pytest.mark.parametrize("rows", [1, 3, 50])
def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    query, reference, truth = unit(50, 8, 8), unit(70, 8, 9), np.arange(50)
    whole = recall.ranks(query, reference, truth), recall.best_match(query, reference, 6)
    monkeypatch.setattr(ranking, "_BLOCK_BYTES", rows * 4 * 70)
    monkeypatch.setattr(ranking, "_REFERENCES", 2 * rows + 1)
    assert np.array_equal(recall.ranks(query, reference, truth), whole[0])
    assert np.array_equal(recall.best_match(query, reference, 6), whole[1])


def test_recall_counts_the_first_k() -> None:
    rank = np.array([0, 0, 1, 4, 5, 9, 10, 88, 87, 500])
    values = recall.summary(rank, 8884)
    assert values == {
        "recall_at_1": 20.0,
        "recall_at_5": 40.0,
        "recall_at_10": 60.0,
        "recall_at_1_percent": 80.0,  # the first 88: ranks 0 to 87
        "median_rank": 8.0,  # between 5 and 9, counted from 1
    }


@pytest.mark.parametrize(("references", "k"), [(8884, 88), (8900, 89), (100, 1), (99, 1), (1, 1), (256, 2)])
def test_one_percent_is_rounded_down_and_at_least_one(references: int, k: int) -> None:
    assert recall.one_percent(references) == k


def test_best_match_is_the_nearest_in_order() -> None:
    query, reference = unit(20, 8, 10), unit(30, 8, 11)
    distance = np.linalg.norm(reference[None].astype(np.float64) - query[:, None], axis=2)
    assert np.array_equal(recall.best_match(query, reference, 5), np.argsort(distance, axis=1)[:, :5])
    assert recall.best_match(query, reference, 99).shape == (20, 30)


def test_error_summary() -> None:
    values = recall.error_summary(np.array([0.0, 10.0, 20.0, 30.0, 1000.0]))
    assert values["median_error_m"] == 20.0
    assert values["p75_error_m"] == 30.0
    assert values["p90_error_m"] == pytest.approx(612.0)  # linear between 30 and 1000 at 3.6 of 4
    assert values["p95_error_m"] == pytest.approx(806.0)  # linear between 30 and 1000 at 3.8 of 4
    assert values["within_5_m"] == 20.0
    assert (values["within_10_m"], values["within_25_m"], values["within_50_m"]) == (40.0, 60.0, 80.0)
