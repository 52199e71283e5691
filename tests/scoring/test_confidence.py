"""Confidence: worked by hand where that is possible, and honest in a world whose probabilities are known."""

import math

import numpy as np
import pytest

from aenet.data.card import Acuity
from aenet.export.trial import Trial
from aenet.io.errors import AenetError
from aenet.scoring.confidence import (
    cell_of,
    error_radius_m,
    fit_sharpness,
    probabilities,
    probability_within,
    resemblance,
    spread_m,
)
from aenet.serving.search.unlisted import count, counted, extrapolate, some_rows

NONE = np.empty(0)


def _simulated(queries: int, references: int, sharpness: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Similarities, and truths drawn from softmax(b s): the model's own world, where b is known."""
    generator = np.random.default_rng(seed)
    similarity = np.clip(0.12 * generator.standard_normal((queries, references)), -1, 1)
    weight = np.exp(sharpness * similarity)
    cumulated = np.cumsum(weight / weight.sum(1, keepdims=True), axis=1)
    truth = (cumulated < generator.random((queries, 1))).sum(1)
    return similarity, np.minimum(truth, references - 1)


def test_two_tiles_by_hand() -> None:
    """Scores 0.9 and 0.8 at b = 10: odds e^1 to 1. A tile unlisted beside the second halves what is left."""
    acuity = Acuity(mean=0.0, rise=1.0, reach_m=10.0, centred=1.0)
    p = probabilities(np.array([0.9, 0.8]), NONE, NONE, cell_of(None), acuity, 10.0)[:, 0]
    assert p == pytest.approx([math.e / (1 + math.e), 1 / (1 + math.e)])
    p = probabilities(np.array([0.9, 0.8]), np.array([0.8]), np.array([1.0]), cell_of(None), acuity, 10.0)[:, 0]
    assert p == pytest.approx([math.e / (2 + math.e), 1 / (2 + math.e)])


def test_half_the_horizon_says_half_as_much() -> None:
    acuity = Acuity(mean=0.0, rise=1.0, reach_m=10.0, centred=1.0)
    p = probabilities(np.array([0.9, 0.7]), NONE, NONE, cell_of(None), acuity, 0.5 * 10.0)[:, 0]
    assert p[0] / p[1] == pytest.approx(math.exp(10 * 0.5 * 0.2))


def test_a_low_score_speaks_for_the_edge_of_the_cell() -> None:
    """With b = 10, mean 0, rise 0.6: a score of 0.6 fits the centre best (e^1.8), one of 0.3 kappa = 1/2, at 17.3 m."""
    acuity, cell = Acuity(mean=0.0, rise=0.6, reach_m=10.0, centred=1.0), cell_of(40.0)
    p = probabilities(np.array([0.6, 0.3]), NONE, NONE, cell, acuity, 10.0)
    away = np.hypot(cell.along, cell.across)
    assert away[p[0].argmax()] < 3.0
    assert away[p[1].argmax()] == pytest.approx(17.3, abs=1.5)


def test_the_sharpness_of_a_known_world_is_found() -> None:
    similarity, truth = _simulated(4000, 300, 40.0, 1)
    assert fit_sharpness(similarity, truth) == pytest.approx(40.0, rel=0.05)


@pytest.mark.parametrize("gap", [1.0, 0.1, 0.001])
def test_the_sharpness_of_one_right_answer_by_hand(gap: float) -> None:
    """Scores 1 and 1 - gap. With the query that any tile answers the truth has 3 of 4 chances: b = ln 3 / gap."""
    assert fit_sharpness(np.array([[1.0, 1.0 - gap]]), np.array([0])) == pytest.approx(math.log(3) / gap, rel=2e-6)


def test_similarity_that_knows_nothing_is_refused() -> None:
    generator = np.random.default_rng(0)
    similarity = generator.standard_normal((200, 50))
    worst = similarity.argmin(1)
    with pytest.raises(AenetError, match="says nothing"):
        fit_sharpness(similarity, worst)


class _Town:
    """A normal field of scores over a square, raised around the photo.

    Scores anywhere have standard deviation 0.1 and tiles d metres apart correlate by kappa(d), reach 9 m, as their mean
    under "taken at x" falls with |c - x|.
    """

    side, acuity = 240, Acuity(mean=0.2, rise=0.4, reach_m=9.0, centred=40.0)

    def __init__(self) -> None:
        along = np.minimum(np.arange(self.side), self.side - np.arange(self.side))
        self.kappa = resemblance(np.hypot(along[:, None], along), self.acuity.reach_m)
        self.filter = np.sqrt(np.maximum(np.fft.fft2(self.kappa).real, 0))

    def searches(self, spacing: int, photos: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return scores [q n], where photos were taken [q 2] and tiles [n 2] in metres."""
        generator, scores = np.random.default_rng(spacing), []
        tiles = np.stack(np.meshgrid(*2 * [np.arange(0, self.side, spacing)]), -1).reshape(-1, 2)
        places = generator.integers(50, self.side - 50, (photos, 2))  # in the midst, for kappa goes around the square
        for place in places:
            noise = np.fft.fft2(generator.standard_normal((self.side, self.side)))
            field = 0.1 * np.fft.ifft2(noise * self.filter).real + 0.4 * np.roll(self.kappa, place, (0, 1))
            scores.append(0.2 + field[tiles[:, 0], tiles[:, 1]])
        return np.array(scores, np.float32), places.astype(np.float64), tiles.astype(np.float64)

    def answers(self, spacing: int, photos: int) -> np.ndarray:
        """Return (confidence, error, radius) of half of the photos, by what was fitted on the other half."""
        scores, places, tiles = self.searches(spacing, 2 * photos)
        trial, cell = Trial(self.acuity, float(spacing)), cell_of(float(spacing))
        trial.seek(scores[:photos], places[:photos], tiles, np.arange(photos))
        sharpness, circle = trial.fit()
        rows = []
        for mine, place in zip(scores[photos:], places[photos:], strict=True):
            p = probabilities(mine, NONE, NONE, cell, self.acuity, sharpness).ravel()
            answer = tiles[mine.argmax()]
            distance = cell.distance_m(np.hypot(*(tiles - answer).T)).ravel()
            rows.append(
                (probability_within(p, distance), np.hypot(*(place - answer)), error_radius_m(p, distance, circle))
            )
        return np.array(rows)


@pytest.fixture(scope="module")
def town() -> _Town:
    return _Town()


@pytest.mark.parametrize(("spacing", "photos"), [(5, 300), (10, 600), (20, 600), (40, 600)])
def test_what_is_fitted_holds_for_other_photos(town: _Town, spacing: int, photos: int) -> None:
    """Two standard errors of the difference of 600 photos are six points; sure and unsure ones apart, ten of 200."""
    confidence, error, radius = town.answers(spacing, photos).T
    right = error <= 25
    assert confidence.mean() == pytest.approx(right.mean(), abs=0.06)
    order = confidence.argsort()
    for third in np.array_split(order, 3):
        assert confidence[third].mean() == pytest.approx(right[third].mean(), abs=0.11)
    assert (error <= radius).mean() == pytest.approx(0.9, abs=0.05)


def test_a_denser_grid_over_the_same_scores_changes_nothing() -> None:
    """Tiles every 2 m and every 1 m of one smooth field: each has a quarter of the area, and that is all."""
    acuity = Acuity(mean=0.0, rise=0.6, reach_m=300.0, centred=30.0)
    said = []
    for spacing in (2.0, 1.0):
        east, north = (axis.ravel() for axis in np.meshgrid(*2 * [np.arange(-80 + spacing / 2, 80, spacing)]))
        scores = 0.6 * np.exp(-(east**2 + north**2) / 800) + 0.55 * np.exp(-((east - 50) ** 2 + north**2) / 800)
        cell = cell_of(spacing)
        p = probabilities(scores, NONE, NONE, cell, acuity, 30.0).ravel()
        distance = cell.distance_m(np.hypot(east, north)).ravel()
        said.append((probability_within(p, distance), error_radius_m(p, distance)))
    assert said[0][0] == pytest.approx(said[1][0], abs=0.01)
    assert said[0][1] == pytest.approx(said[1][1], rel=0.02)


def test_radius_confidence_and_spread_of_three_tiles() -> None:
    p, d = np.array([0.6, 0.1, 0.3]), np.array([0.0, 100.0, 20.0])
    assert probability_within(p, d) == pytest.approx(0.9)
    assert error_radius_m(np.array([0.6, 0.11, 0.29]), d) == 100.0
    assert error_radius_m(np.array([0.6, 0.09, 0.31]), d) == 20.0
    assert spread_m(p, d) == pytest.approx(math.sqrt(0.1 * 1e4 + 0.3 * 400))
    assert spread_m(p / 2, d) == spread_m(p, d), "half of the probability lies elsewhere"
    assert probability_within(p, np.array([25.0, 25.1, 24.9])) == pytest.approx(0.9), "25 m are probability_within 25 m"
    assert error_radius_m(p, d, 1.0) == 100.0
    assert error_radius_m(np.array([0.1, 0.1, 0.1]), d, 1.0) == 100.0, "sums that round to less than all of it"


def test_a_certain_tile_leaves_the_ground_around_it() -> None:
    """All of 20 m x 20 m is as likely: 90 % of it lies within sqrt(0.9 * 400 / pi) = 10.7 m of its centre."""
    acuity = Acuity(mean=0.0, rise=0.5, reach_m=1e6, centred=50.0)
    cell = cell_of(20.0)
    p = probabilities(np.array([0.9, -0.9]), NONE, NONE, cell, acuity, 50.0)
    radius = error_radius_m(p.ravel(), cell.distance_m(np.array([0.0, 500.0])).ravel())
    assert radius == pytest.approx(math.sqrt(0.9 * 400 / math.pi), abs=0.2)


def _scores(kind: str, tiles: int) -> np.ndarray:
    generator = np.random.default_rng(3)
    if kind == "normal":
        return np.asarray(0.1 + 0.1 * generator.standard_normal(tiles), np.float32)
    # Highest of 32 azimuths, and two kinds of ground.
    each = 0.08 * generator.standard_normal((tiles, 32)).max(1) + 0.1 * (generator.random(tiles) < 0.2)
    return np.asarray(each, np.float32)


@pytest.mark.parametrize("kind", ["normal", "turned"])
@pytest.mark.parametrize("tiles", [2_000, 200_000])
def test_tiles_that_are_not_listed_weigh_what_they_weigh(kind: str, tiles: int) -> None:
    """Counted, within half a per cent of all the odds; behind an index, from a sample of 2,048, within five."""
    scores, sharpness = np.sort(_scores(kind, tiles))[::-1], 35.0
    listed, others = scores[:256], scores[256:].astype(np.float64)
    truth, whole = (np.exp(sharpness * some.astype(np.float64)).sum() for some in (others, scores))
    exact = counted(count(scores[None], None)[0], listed, some_rows(tiles))
    sample = np.random.default_rng(4).permutation(scores)[:2048]
    guessed = extrapolate(listed, tiles, sample, some_rows(tiles))
    for rest, share in ((exact, 0.005), (guessed, 0.05)):
        assert rest.tiles.sum() == pytest.approx(tiles - 256)
        weight = (rest.tiles * np.exp(sharpness * rest.scores)).sum()
        assert weight == pytest.approx(truth, abs=share * whole)


def test_nothing_is_left_where_all_are_listed() -> None:
    scores = np.array([0.5, 0.25, 0.25, -1.0, 1.0], np.float32)
    assert counted(count(scores[None], None)[0], scores, some_rows(5)).tiles.sum() == 0
    assert extrapolate(scores, 5, scores, some_rows(5)).tiles.sum() == 0
    inside = np.array([[True, False, True, False, False]])
    assert count(scores[None], inside).sum() == 2
