"""Confidence: worked by hand where that is possible, and honest on simulated searches of any size."""

import math

import numpy as np
import pytest

from aenet.errors import AenetError
from aenet.serving.search.confidence import (
    error_radius_m,
    fit_sharpness,
    in_reach,
    probabilities,
    spread_m,
    spread_out,
    within,
)


def _simulated(queries: int, references: int, sharpness: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Similarities, and truths drawn from softmax(b s): the model's own world, where b is known."""
    generator = np.random.default_rng(seed)
    similarity = np.clip(0.12 * generator.standard_normal((queries, references)), -1, 1)
    weight = np.exp(sharpness * similarity)
    cumulated = np.cumsum(weight / weight.sum(1, keepdims=True), axis=1)
    truth = (cumulated < generator.random((queries, 1))).sum(1)
    return similarity, np.minimum(truth, references - 1)


def test_two_tiles_by_hand() -> None:
    """Scores 0.9 and 0.8 at b = 10: odds e^1 to 1."""
    p = probabilities(np.array([[0.9, 0.8]]), 2, 10.0)[0]
    assert p == pytest.approx([math.e / (1 + math.e), 1 / (1 + math.e)])


def test_the_sharpness_of_a_known_world_is_found() -> None:
    similarity, truth = _simulated(4000, 300, 40.0, 1)
    assert fit_sharpness(similarity, truth) == pytest.approx(40.0, rel=0.05)


@pytest.mark.parametrize("tiles", [300, 5000])
def test_confidence_is_how_often_the_answer_is_right(tiles: int) -> None:
    """Fitted on 300 references, it holds for a gallery many times as large, from its 256 best scores alone."""
    sharpness = fit_sharpness(*_simulated(2000, 300, 40.0, 2))
    similarity, truth = _simulated(1500, tiles, 40.0, 3)
    best = np.argsort(-similarity, axis=1)[:, :256]
    p = probabilities(np.take_along_axis(similarity, best, axis=1), tiles, sharpness)[:, 0]
    right = best[:, 0] == truth
    for low, high in ((0.0, 0.3), (0.3, 0.6), (0.6, 1.0)):
        among = (p >= low) & (p < high)
        if among.sum() > 50:
            error = 3 * np.sqrt(0.25 / among.sum())
            assert p[among].mean() == pytest.approx(right[among].mean(), abs=error)


def test_similarity_that_knows_nothing_is_refused() -> None:
    generator = np.random.default_rng(0)
    similarity = generator.standard_normal((200, 50))
    worst = similarity.argmin(1)
    with pytest.raises(AenetError, match="says nothing"):
        fit_sharpness(similarity, worst)


def test_radius_confidence_and_spread_of_three_tiles() -> None:
    p, d = np.array([0.6, 0.1, 0.25]), np.array([0.0, 100.0, 20.0])
    assert within(p, d) == pytest.approx(0.85)
    assert error_radius_m(p, d) == 100.0
    assert spread_m(p, d) == pytest.approx(math.sqrt((0.1 * 1e4 + 0.25 * 400) / 0.95))


def test_no_radius_where_too_little_is_listed() -> None:
    assert error_radius_m(np.array([0.5, 0.2]), np.array([0.0, 10.0])) is None


@pytest.mark.parametrize("spacing_m", [None, 5.0, 60.0])
def test_tiles_out_of_reach_change_nothing(spacing_m: float | None) -> None:
    """Sharp and flat beliefs, near and scattered tiles: equal to the bit, most tiles left out."""
    generator, kept = np.random.default_rng(0), []
    for sharpness in (5.0, 40.0, 4000.0):
        for extent_m in (30.0, 300.0, 5000.0):
            scores = np.sort(generator.random(256))[::-1]
            probability = probabilities(scores[None], 10_000, sharpness)[0]
            distance = np.concatenate([[0.0], generator.random(255) * extent_m])
            near = in_reach(probability, distance, spacing_m)
            all_of_it = spread_out(probability, distance, spacing_m)
            in_part = spread_out(probability[near], distance[near], spacing_m)
            assert within(*in_part) == within(*all_of_it)
            assert error_radius_m(*in_part) == error_radius_m(*all_of_it)
            kept.append(near.mean())
    assert min(kept) < 0.3
