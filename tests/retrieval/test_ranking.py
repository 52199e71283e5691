"""Ranking in blocks: ties at every cut, files instead of memory, several right answers, bounded memory."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from aenet.io.errors import AenetError
from aenet.retrieval import positives, products, ranking


def unit(n: int, d: int, seed: int) -> np.ndarray:
    x = np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)
    return np.asarray(x / np.linalg.norm(x, axis=1, keepdims=True))


def mapped(array: np.ndarray, file: Path) -> np.ndarray:
    np.save(file, array)
    return np.asarray(np.load(file, mmap_mode="r"))  # no longer np.memmap, still its pages


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of a few rows of 8 dimensions, which divide none of the sizes below."""
    monkeypatch.setattr(ranking, "_BLOCK_BYTES", 4 * 5 * 6)
    monkeypatch.setattr(ranking, "_REFERENCES", 6)
    monkeypatch.setattr(ranking, "_QUERY_BYTES", 4 * 8 * 11)
    monkeypatch.setattr(ranking, "_REFERENCE_BYTES", 4 * 8 * 7)
    monkeypatch.setattr(ranking, "_GATHER_BYTES", 4 * 8 * 2 * 3)
    monkeypatch.setattr(products, "_STEP_BYTES", 4 * 8 * 4)


def plain(query: np.ndarray, reference: np.ndarray, right: list[list[int]]) -> tuple[list[int], np.ndarray]:
    """The whole matrix in float64: ranks of the best right answer, and the order of all references."""
    similarity = query.astype(np.float64) @ reference.T.astype(np.float64)
    ranks = []
    for row, own in zip(similarity, right, strict=True):
        others = np.delete(row, own)
        ranks.append(int((others >= row[own].max() - 1e-9).sum()))
    return ranks, np.argsort(-similarity, axis=1, kind="stable")


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("in_file", [(False, False), (True, False), (False, True), (True, True)])
def test_files_and_memory_rank_like_the_whole_matrix(tmp_path: Path, in_file: tuple[bool, bool]) -> None:
    query, reference = unit(40, 8, 0), unit(61, 8, 1)
    right = [[i, (i + 7) % 61] if i % 3 else [60 - i] for i in range(40)]
    expected, order = plain(query, reference, right)
    truth = positives.Positives(np.cumsum([0, *map(len, right)]), np.concatenate(right))
    sides = [
        mapped(side, tmp_path / f"{i}.npy") if there else side
        for i, (side, there) in enumerate(zip((query, reference), in_file, strict=True))
    ]
    assert [products.is_mapped(side) for side in sides] == list(in_file)
    tally = ranking.rank(sides[0], sides[1], truth, 9)
    assert tally.rank.tolist() == expected
    assert np.array_equal(tally.best.top, order[:, :9])
    found = np.take_along_axis(query @ reference.T, order[:, :9], axis=1)
    assert np.allclose(tally.best.similarity, found, atol=1e-6)
    assert np.array_equal(ranking.best_match(sides[0], sides[1], 100), order)  # k beyond the references: all


@pytest.mark.usefixtures("small_blocks")
def test_equal_references_come_in_the_order_of_their_rows() -> None:
    """0.5 occurs nine times, in every block; the cut goes through the middle of them."""
    cosine = np.array([0.5, 0.1, 0.5, 0.9, 0.5, 0.5, 0.2, 0.5, 0.5, 0.5, 1.0, 0.5, 0.5, 0.3], np.float32)
    reference = np.stack([cosine, np.sqrt(1 - cosine**2)], axis=1)
    query = np.array([[1, 0]], np.float32)
    assert ranking.best_match(query, reference, 6).tolist() == [[10, 3, 0, 2, 4, 5]]
    assert ranking.rank(query, reference, positives.identity(np.array([7]))).rank.tolist() == [2 + 8]


@pytest.mark.usefixtures("small_blocks")
def test_collapsed_descriptors_in_a_file_score_nothing(tmp_path: Path) -> None:
    same = mapped(np.repeat(unit(1, 8, 3), 50, axis=0), tmp_path / "same.npy")
    assert set(ranking.ranks(same, same, np.arange(50))) == {49}


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("side", [0, 1])
def test_one_bad_row_of_a_file_is_found_where_the_other_side_is_zero(tmp_path: Path, side: int) -> None:
    """Zero times NaN may be skipped by a matrix product; and nothing beyond the first block may slip through."""
    sides = [unit(40, 8, 4), unit(40, 8, 5)]
    sides[1 - side][:, 3] = 0
    sides[side][37, 3] = np.nan
    sides = [mapped(each, tmp_path / f"{i}.npy") for i, each in enumerate(sides)]
    with pytest.raises(AenetError, match=rf"1 of 40 {('query', 'reference')[side]} descriptors hold NaN"):
        ranking.best_match(*sides, 3)
    with pytest.raises(AenetError, match="1 of 40"):
        ranking.ranks(*sides, np.arange(40))


def test_right_answers_must_exist() -> None:
    with pytest.raises(AenetError, match="rows 0 to 5, and there are 5 references"):
        ranking.ranks(unit(2, 4, 0), unit(5, 4, 0), np.array([0, 5]))
    with pytest.raises(AenetError, match="1 of 2 queries have no right answer"):
        positives.Positives(np.array([0, 0, 1]), np.array([3]))
    with pytest.raises(AenetError, match="2 queries, but right answers for 3"):
        ranking.rank(unit(2, 4, 0), unit(5, 4, 0), positives.identity(np.arange(3)))


def test_descriptors_that_do_not_fit_are_refused_by_their_side() -> None:
    none = np.empty((0, 4), np.float32)
    with pytest.raises(AenetError, match="query descriptors have 4 dimensions, references 5"):
        ranking.rank(unit(2, 4, 0), unit(3, 5, 0), positives.identity(np.arange(2)))
    with pytest.raises(AenetError, match="no reference descriptors"):
        ranking.ranks(unit(2, 4, 0), none, np.arange(2))
    with pytest.raises(AenetError, match="no reference descriptors"):
        ranking.best_match(unit(2, 4, 0), none, 1)
    with pytest.raises(AenetError, match="no query descriptors"):
        ranking.best_match(none, unit(2, 4, 0), 1)
    with pytest.raises(AenetError, match="4 references, but 3 that may be repeated"):
        ranking.rank(
            unit(1, 4, 0), unit(4, 4, 0), positives.Positives(np.array([0, 1]), np.zeros(1, int), np.ones(3, bool))
        )


def test_a_repeated_tile_is_nobodys_answer_and_in_nobodys_way() -> None:
    """Cosines 0.9 (the right one), 1.0 (stands in a row before), 0.95 and 0.1."""
    cosine = np.array([0.9, 1.0, 0.95, 0.1], np.float32)
    reference = np.stack([cosine, np.sqrt(1 - cosine**2)], axis=1)
    truth = positives.Positives(np.array([0, 1]), np.array([0]), np.array([False, True, False, False]))
    tally = ranking.rank(np.array([[1, 0]], np.float32), reference, truth, 10)
    assert tally.rank.tolist() == [1]
    assert tally.best.top.tolist() == [[2, 0, 3]]


def test_ranks_alone_keep_no_best_references() -> None:
    assert ranking.rank(unit(3, 4, 0), unit(5, 4, 1), positives.identity(np.arange(3))).best.top.shape == (3, 0)


def test_positives_within_metres_by_hand() -> None:
    """On the equator a degree of longitude is 111,319.5 m: tiles 0, 4 and 8 m east, then 1 km, then the date line."""
    metre = 1 / 111_319.49
    east = np.array([0.0, 4 * metre, 8 * metre, 1000 * metre, 180.0, -180.0 + 3 * metre])
    pairs = pd.DataFrame({"latitude": 0.0, "longitude": east, "aerial_latitude": 0.0, "aerial_longitude": east})
    found = positives.within(pairs, 5.0)
    answers = [found.rows[a:b].tolist() for a, b in zip(found.start[:-1], found.start[1:], strict=True)]
    assert answers == [[0, 1], [0, 1, 2], [1, 2], [3], [4, 5], [4, 5]]


def test_positives_within_metres_equal_all_geodesic_distances() -> None:
    generator = np.random.default_rng(6)
    place = np.array([69.6, 18.9]) + generator.uniform(-0.004, 0.004, (300, 2)) * [1, 3]
    offset = place + generator.normal(0, 1e-4, (300, 2))
    names = ("latitude", "longitude", "aerial_latitude", "aerial_longitude")
    pairs = pd.DataFrame(np.concatenate([place, offset], axis=1), columns=list(names))
    found = positives.within(pairs, 60.0)
    from pyproj import Geod

    for row in range(300):
        many = np.repeat(place[row][None], 300, axis=0)
        _, _, metres = Geod(ellps="WGS84").inv(many[:, 1], many[:, 0], offset[:, 1], offset[:, 0])
        expected = sorted({row, *np.flatnonzero(metres <= 60)})
        assert found.rows[found.start[row] : found.start[row + 1]].tolist() == expected
    assert len(found.rows) > 600


def test_positions_are_needed_for_metres() -> None:
    pairs = pd.DataFrame({"latitude": [0.0, np.nan], "longitude": 0.0, "aerial_latitude": 0.0, "aerial_longitude": 0.0})
    with pytest.raises(AenetError, match="1 of 2 pairs have none"):
        positives.within(pairs, 5.0)


MEASURED = """
import sys
import numpy as np
from aenet.retrieval.ranking import ranks
def peak():
    return int(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))) // 1024
query, reference = (np.load(name, mmap_mode="r") for name in sys.argv[1:])
ranks(query[:1], reference[:64], np.arange(1))  # a BLAS takes its work space, more on some processors, when first used
before = peak()
rank = ranks(query, reference, np.arange(len(query)))
print(peak() - before, int(rank.max()))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from Linux's /proc")
def test_pages_of_a_file_do_not_pile_up(tmp_path: Path) -> None:
    """600 MiB of references pass through a process that grows by a third of it at most."""
    rows, dimensions = 1920, 81_920
    file = np.lib.format.open_memmap(tmp_path / "r.npy", mode="w+", dtype=np.float32, shape=(rows, dimensions))
    file[np.arange(rows), np.arange(rows)] = 1  # the rest of the file is a hole, but its pages count all the same
    file.flush()
    np.save(tmp_path / "q.npy", file[:8])
    del file
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, tmp_path / "q.npy", tmp_path / "r.npy"],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    grown, worst = map(int, done.stdout.split())
    assert worst == 0
    assert grown < 250  # 128 of references, 32 of pages, 16 of queries and tiles, and what is rounded up
