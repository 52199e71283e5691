"""Approximate search: exact scores, exact answers when all is re-ranked, and a recall that was measured."""

from pathlib import Path

import numpy as np
import pytest

from aenet.io.errors import AenetError
from aenet.scoring.similarity import Query, matcher
from aenet.serving.search import codes, indexbuild
from aenet.serving.search.bruteforce import gather_rows, rerank, search
from aenet.serving.search.codes import Codes, Rotation, write_codes
from aenet.serving.search.galleryindex import rerank_turned, turned_candidates
from aenet.serving.search.indexbuild import (
    IndexMeta,
    IndexOptions,
    Rung,
    build_index,
    choose_candidates,
    make_probes,
    measure,
)

DIM, SIZES = 32, (700, 0, 1300)


def _unit(values: np.ndarray) -> np.ndarray:
    return np.asarray(values / np.linalg.norm(values, axis=1, keepdims=True), np.float32)


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> list[np.ndarray]:
    """Memory-mapped descriptors, in one shard of half precision."""
    folder, generator = tmp_path_factory.mktemp("shards"), np.random.default_rng(0)
    opened = []
    for number, size in enumerate(SIZES):
        rows = _unit(generator.standard_normal((size, DIM)))
        np.save(folder / f"{number}.npy", rows.astype(np.float16 if number else np.float32))
        opened.append(np.load(folder / f"{number}.npy", mmap_mode="r"))
    return opened


@pytest.fixture(scope="module")
def index(shards: list[np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, IndexMeta]:
    out = tmp_path_factory.mktemp("built") / "index"
    return out, build_index(shards, ["a", "b", "c"], out, IndexOptions(recall=0.9, similarity=0.3), threads=1)


def test_re_ranking_every_tile_gives_the_exact_answer(shards: list[np.ndarray], index: tuple[Path, IndexMeta]) -> None:
    probes = make_probes(shards, IndexOptions(probes=20))
    scores, rows = rerank(shards, probes, Codes(index[0], 2000).candidates(probes, 2000, threads=1)[1], 5)
    exact_scores, exact_rows = search(shards, probes, 5)
    assert np.array_equal(rows, exact_rows)
    np.testing.assert_allclose(scores, exact_scores, atol=1e-6)


def test_the_recall_written_down_is_what_a_search_has(shards: list[np.ndarray], index: tuple[Path, IndexMeta]) -> None:
    folder, meta = index
    assert (meta.tiles, meta.dim, meta.code_bytes, meta.shards) == (2000, DIM, DIM // 8, ("a", "b", "c"))
    assert [rung.candidates for rung in meta.ladder] == [32, 64, 128, 256, 512, 1024, 2000]
    recalls = [rung.recall for rung in meta.ladder]
    assert recalls == sorted(recalls) and recalls[0] < 0.9 and recalls[-1] == 1.0  # 4 bytes a tile need some depth
    probes = make_probes(shards, meta.asked)
    best = search(shards, probes, 1)[1]
    for rung in meta.ladder:
        found = rerank(shards, probes, Codes(folder, 2000).candidates(probes, rung.candidates, threads=1)[1], 1)[1]
        # Equal codes at the last place are cut one way or the other.
        assert (found == best).mean() == pytest.approx(rung.recall, abs=0.02)
    chosen = next(rung for rung in meta.ladder if rung.recall >= 0.9)
    assert meta.candidates == chosen.candidates
    assert any(f"{chosen.candidates}: {100 * chosen.recall:.1f} %" in line for line in meta.lines())


def test_a_recall_out_of_reach_is_refused_and_nothing_written(
    shards: list[np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexbuild, "_RUNGS", (1, 2))
    with pytest.raises(
        AenetError, match=r"recall of 0\.95 here: with 2 candidates .* \d+\.\d % of probes of cosine 0\.4"
    ):
        build_index(shards, ["a", "b", "c"], tmp_path / "index", IndexOptions(similarity=0.4), threads=1)
    assert not list(tmp_path.iterdir())


def test_the_first_rung_that_suffices_is_chosen() -> None:
    ladder = [Rung(candidates=32, recall=0.8), Rung(candidates=64, recall=0.96), Rung(candidates=128, recall=0.99)]
    assert choose_candidates(ladder, IndexOptions(recall=0.95)) == 64
    assert choose_candidates(ladder, IndexOptions(recall=0.8)) == 32


def test_probes_have_the_cosine_asked_for(shards: list[np.ndarray]) -> None:
    probes = make_probes(shards, IndexOptions(similarity=0.6, probes=50))
    assert search(shards, probes, 1)[0].max() == pytest.approx(0.6, abs=0.2)
    own = np.concatenate([shard.astype(np.float32) for shard in shards]) @ probes.T
    assert (np.abs(own - 0.6) < 1e-3).any(0).all()  # half precision is good for three digits
    np.testing.assert_allclose(np.linalg.norm(probes, axis=1), 1, atol=1e-6)


def test_tiles_that_look_the_same_do_not_count_as_missed(tmp_path: Path) -> None:
    """Water: as many equal tiles as there can never be candidates of."""
    generator = np.random.default_rng(3)
    water = np.repeat(_unit(generator.standard_normal((1, DIM))), 6000, axis=0)
    tiles = [np.concatenate([water, _unit(generator.standard_normal((200, DIM)))])]
    write_codes(tiles, tmp_path, threads=1)
    ladder = measure(tiles, Codes(tmp_path, 6200), IndexOptions(similarity=0.9, probes=100), threads=1)
    assert ladder[0].recall > 0.9


def test_codes_in_parts_and_across_shards_are_the_same_codes(
    shards: list[np.ndarray], index: tuple[Path, IndexMeta], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    probes = make_probes(shards, IndexOptions(probes=20))
    scores, rows = Codes(index[0], 2000).candidates(probes, 2000, threads=1)
    monkeypatch.setattr(codes, "_READ_BYTES", 4 * DIM * 96)  # batches that end within shards
    write_codes(shards, tmp_path, threads=1)
    assert (tmp_path / codes.CODES).read_bytes() == (index[0] / codes.CODES).read_bytes()
    monkeypatch.setattr(codes, "_HELD_BYTES", 7 * 32 * DIM // 8)
    in_parts = Codes(tmp_path, 2000)
    for _ in range(2):
        again, numbers = in_parts.candidates(probes, 2000, threads=1)
        np.testing.assert_allclose(again, scores, atol=1e-6)
        assert np.array_equal(np.sort(numbers), np.sort(rows)) and np.array_equal(np.unique(numbers), np.arange(2000))


def test_energy_in_few_values_costs_no_recall(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Principal components are like that."""
    energy = 1 / np.arange(1, 129)
    tiles = [_unit(np.random.default_rng(6).standard_normal((4000, 128)) * energy**0.5)]
    recalls = []
    for name, rotation in (("turned", Rotation.random(128)), ("plain", Rotation(np.arange(128), np.ones(128, int)))):
        monkeypatch.setattr(Rotation, "random", lambda dim, rotation=rotation: rotation)
        if name == "plain":
            monkeypatch.setattr(Rotation, "apply", lambda self, rows: rows)
        (tmp_path / name).mkdir()
        write_codes(tiles, tmp_path / name, threads=1)
        ladder = measure(tiles, Codes(tmp_path / name, 4000), IndexOptions(similarity=0.6, probes=200), threads=1)
        recalls.append(ladder[0].recall)
    assert recalls[0] > max(0.9, recalls[1] + 0.05)


def test_a_rotation_keeps_inner_products_and_comes_back_from_disk(tmp_path: Path) -> None:
    rows = np.random.default_rng(7).standard_normal((6, 300)).astype(np.float32)
    rotation = Rotation.random(300)
    turned = rotation.apply(rows)
    assert turned.shape == (6, 512)
    np.testing.assert_allclose(turned @ turned.T, rows @ rows.T, atol=1e-3)
    rotation.save(tmp_path / "rotation.npy")
    assert np.array_equal(Rotation.load(tmp_path / "rotation.npy").apply(rows), turned)


@pytest.mark.parametrize(("tiles", "dim"), [(5, 8), (40, 33), (100, 2050)])
def test_few_tiles_and_odd_lengths_can_be_coded(tiles: int, dim: int, tmp_path: Path) -> None:
    rows = [_unit(np.random.default_rng(4).standard_normal((tiles, dim)))]
    write_codes(rows, tmp_path, threads=1)
    found = Codes(tmp_path, tiles).candidates(rows[0], tiles + 3, threads=1)[1]
    assert np.array_equal(np.sort(found), np.broadcast_to(np.arange(tiles), (tiles, tiles)))
    assert (rerank(rows, rows[0], found, 1)[1][:, 0] == np.arange(tiles)).all()


@pytest.mark.parametrize("shape", [(4, 1, 8), (32, 1, 1)])
def test_turned_photos_find_what_comparing_all_headings_finds(
    shape: tuple[int, int, int], shards: list[np.ndarray], index: tuple[Path, IndexMeta]
) -> None:
    generator = np.random.default_rng(5)
    opened, everything = Codes(index[0], 2000), gather_rows(shards, np.arange(2000))
    queries = []
    for row in range(0, 2000, 100):
        maps = np.roll(everything[row].reshape(shape), int(generator.integers(shape[2])), axis=2)[None]
        maps = np.concatenate([maps, _unit(generator.standard_normal((1, DIM))).reshape(1, *shape)])
        queries.append(Query(maps, np.ones((2, shape[2]), np.float32), None))
    exact = matcher(queries).scores(everything)
    for count, share in ((2000, 1.0), (200, 0.85)):
        listed = turned_candidates(opened, queries, count, threads=1)
        assert listed.shape == (20, count) and all(len(set(row)) == count for row in listed.tolist())
        scores, rows = rerank_turned(shards, queries, listed, 3)
        assert (rows[:, 0] == np.arange(0, 2000, 100)).all()  # the planted one
        np.testing.assert_allclose(scores, np.take_along_axis(exact, rows, axis=1), atol=1e-5)
        best = np.argsort(-exact, axis=1)[:, :3]
        assert np.mean([len(set(a) & set(b)) / 3 for a, b in zip(rows, best, strict=True)]) >= share


def test_equal_scores_are_ordered_by_row() -> None:
    twins = [np.ones((3, 4), np.float32) / 2]
    scores, rows = rerank(twins, np.ones((1, 4), np.float32) / 2, np.array([[2, 0, 1]]), 4)
    assert rows[0].tolist() == [0, 1, 2] and scores[0].tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("dim", [4, 8])
def test_what_the_scan_leaves_out_is_never_an_answer(dim: int, tmp_path: Path) -> None:
    """faiss lists no tile whose sum of table entries is the lowest there is; few values have many such tiles."""
    generator = np.random.default_rng(3)
    tiles, queries = (_unit(generator.standard_normal((n, dim))) for n in (300, 500))
    write_codes([tiles], tmp_path, threads=1)
    listed = Codes(tmp_path, 300).candidates(queries, 300, threads=1)[1]
    assert (listed == -1).any(), "nothing was left out: the test shows nothing"
    scores, rows = rerank([tiles], queries, listed, 10)
    kept = rows >= 0
    assert np.isneginf(scores[~kept]).all()
    np.testing.assert_allclose(scores[kept], np.take_along_axis(queries @ tiles.T, rows.clip(0), 1)[kept], atol=1e-6)
