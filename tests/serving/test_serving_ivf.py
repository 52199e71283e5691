"""Approximate search: exact scores, exact answers when every list is read, and planted neighbours found."""

from pathlib import Path

import numpy as np
import pytest

from aenet.errors import CorruptArtifact
from aenet.serving.search.exact import search
from aenet.serving.search.ivf import INDEX, Ivf, SearchOptions, build_ivf, rerank

DIM, SIZES = 32, (700, 1300)


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> list[np.ndarray]:
    """Memory-mapped descriptors that stand in clusters, as places of one kind do."""
    folder, generator = tmp_path_factory.mktemp("shards"), np.random.default_rng(0)
    centres = generator.standard_normal((40, DIM))
    opened = []
    for number, size in enumerate(SIZES):
        rows = centres[generator.integers(40, size=size)] + 0.4 * generator.standard_normal((size, DIM))
        np.save(folder / f"{number}.npy", (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32))
        opened.append(np.load(folder / f"{number}.npy", mmap_mode="r"))
    return opened


@pytest.fixture(scope="module")
def folder(shards: list[np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("built") / "index"
    meta = build_ivf(shards, ["a", "b"], out, lists=20, threads=1)
    assert (meta.tiles, meta.dim, meta.lists, meta.shards) == (2000, DIM, 20, ("a", "b"))
    return out


def _queries(shards: list[np.ndarray], rows: np.ndarray) -> np.ndarray:
    generator = np.random.default_rng(1)
    near = np.concatenate(shards)[rows] + 0.05 * generator.standard_normal((len(rows), DIM))
    return (near / np.linalg.norm(near, axis=1, keepdims=True)).astype(np.float32)


def test_reading_every_list_gives_the_exact_answer(shards: list[np.ndarray], folder: Path) -> None:
    queries = _queries(shards, np.arange(0, 2000, 100))
    everything = Ivf(folder).candidates(queries, SearchOptions(probes=20, candidates=200), threads=1)
    scores, rows = rerank(shards, queries, everything, 5)
    exact_scores, exact_rows = search(shards, queries, 5)
    assert np.array_equal(rows, exact_rows)
    np.testing.assert_allclose(scores, exact_scores, atol=1e-6)


def test_the_planted_neighbour_is_found_in_few_lists(shards: list[np.ndarray], folder: Path) -> None:
    planted = np.arange(5, 2000, 20)
    queries = _queries(shards, planted)
    rows = rerank(shards, queries, Ivf(folder).candidates(queries, SearchOptions(4, 50), threads=1), 1)[1]
    assert (rows[:, 0] == planted).mean() > 0.95


def test_equal_scores_are_ordered_by_row() -> None:
    twins = [np.ones((3, 4), np.float32) / 2]
    scores, rows = rerank(twins, np.ones((1, 4), np.float32) / 2, np.array([[2, 0, 1, -1]]), 4)
    assert rows[0].tolist() == [0, 1, 2, -1]
    assert scores[0, 3] == -np.inf


def test_a_damaged_index_is_refused(folder: Path, tmp_path: Path) -> None:
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    content = bytearray((tmp_path / INDEX).read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / INDEX).write_bytes(bytes(content))
    with pytest.raises(CorruptArtifact, match="SHA-256"):
        Ivf(tmp_path)
