"""Scores of the search against the reference formulae of `aenet.retrieval.azimuth`, for every kind of photo."""

import numpy as np
import pytest

from aenet.retrieval import azimuth
from aenet.scoring.similarity import Query, heading_of, kind, matcher


def _unit(generator: np.random.Generator, count: int, shape: tuple[int, int, int]) -> np.ndarray:
    maps = generator.standard_normal((count, *shape)).astype(np.float32)
    return maps / np.linalg.norm(maps.reshape(count, -1), axis=1)[:, None, None, None]


@pytest.mark.parametrize("shape", [(5, 2, 8), (4, 1, 7), (12, 1, 1)])
@pytest.mark.parametrize("seen", [1.0, 0.5])
def test_turned_photos_score_as_the_correlation_says(shape: tuple[int, int, int], seen: float) -> None:
    generator = np.random.default_rng(0)
    tiles = _unit(generator, 9, shape)
    weights = np.ones((3, shape[2]), np.float32)
    if shape[2] > 1:
        weights[:, : round(shape[2] * (1 - seen))] = 0
    queries = [Query(_unit(generator, 3, shape), weights, None) for _ in range(4)]
    queries.append(Query(_unit(generator, 3, shape), np.ones_like(weights), None))  # another window in the same block
    found = matcher(queries).scores(tiles.reshape(9, -1))
    for row, query in zip(found, queries, strict=True):
        expected = [azimuth.correlate(m[None], tiles, w)[0] for m, w in zip(query.maps, query.weights, strict=True)]
        assert row == pytest.approx(np.max(expected, axis=(0, 2)), abs=1e-5)


def test_parts_are_compared_over_the_part_alone() -> None:
    generator = np.random.default_rng(1)
    tiles, map_ = _unit(generator, 6, (5, 2, 8)), _unit(generator, 1, (5, 2, 8))
    weights = np.array([[1, 1, 0.5, 0, 0, 0, 0, 0]], np.float32)
    tiles[3, :, :, :3] = 2 * map_[0, :, :, :3]  # the same there, and another place elsewhere
    query = Query(map_, weights, 40.0)
    scores = matcher([query]).scores(tiles.reshape(6, -1))[0]
    assert kind(query) == "part" and query.seen == pytest.approx(2.5 / 8)
    assert scores.argmax() == 3 and scores[3] == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("heading", [0.0, 90.0, 225.0])
def test_the_heading_of_a_turned_map_is_found(heading: float) -> None:
    """A photo headed east shows in its centre what the tile has a quarter of the circle right of north."""
    tile = _unit(np.random.default_rng(2), 1, (5, 2, 8))
    turned = np.roll(tile, -round(heading / 45), axis=3)
    found = heading_of(Query(turned, np.ones((1, 8), np.float32), None), tile.ravel())
    assert abs((found - heading + 180) % 360 - 180) < 1e-3 + 22.5 / 2
