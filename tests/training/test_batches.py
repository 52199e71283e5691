"""Batches read ahead: the same pixels as read in place, from any step, shared out, and no thread left behind."""

import threading
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from aenet.data.pairs import COLUMNS
from aenet.data.views import Views
from aenet.io.errors import AenetError
from aenet.training.augment import AugmentConfig, augment
from aenet.training.batches import Batch, batches, derive_seed, share, steps_per_epoch
from aenet.view.spec import ViewSpec

PAIRS, HEIGHT, WIDTH, BATCH = 37, 8, 32, 10
SEED, EPOCH = 3, 2
PLAIN = AugmentConfig()
FULL = AugmentConfig(roll=True, flip=True, colour=0.2, erase=0.5, fov_deg=90.0)


@pytest.fixture(scope="module")
def views(tmp_path_factory: pytest.TempPathFactory) -> Views:
    """Packed views as `open_views` opens them: memory maps that may not be written to."""
    folder, rng = tmp_path_factory.mktemp("views"), np.random.default_rng(0)
    for name in ("ground", "aerial"):
        np.save(folder / f"{name}.npy", rng.integers(0, 256, (PAIRS, HEIGHT, WIDTH, 3), dtype=np.uint8))
    maps = [np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("ground", "aerial")]
    table = pd.DataFrame({column: np.arange(PAIRS, dtype=float) for column in COLUMNS})
    return Views("train", table, *maps, ViewSpec.polar(height=HEIGHT, width=WIDTH, tile_size_m=70.0))


@pytest.fixture
def order() -> np.ndarray:
    return np.random.default_rng(derive_seed(SEED, EPOCH)).permutation(PAIRS)


def _in_place(views: Views, order: np.ndarray, config: AugmentConfig) -> Iterator[tuple[np.ndarray, Tensor, Tensor]]:
    """The plain loop that reading ahead must equal."""
    for step, start in enumerate(range(0, PAIRS - 1, BATCH)):
        rows = np.sort(order[start : start + BATCH])
        generator = torch.Generator().manual_seed(derive_seed(SEED, EPOCH, step))
        yield rows, *augment(views.ground[rows], views.aerial[rows], np.arange(len(rows)), config, generator)


def _all(views: Views, order: np.ndarray, config: AugmentConfig = FULL, **options: int) -> list[Batch]:
    return list(batches(views, order, BATCH, config, SEED, EPOCH, **options))


def _threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("batches")]


@pytest.mark.parametrize("config", [PLAIN, FULL])
@pytest.mark.parametrize("prefetch", [0, 2, 9])
def test_the_same_pixels_as_read_in_place(
    views: Views, order: np.ndarray, config: AugmentConfig, prefetch: int
) -> None:
    got, expected = _all(views, order, config, prefetch=prefetch), list(_in_place(views, order, config))
    assert [batch.step for batch in got] == list(range(len(expected)))
    for batch, (rows, ground, aerial) in zip(got, expected, strict=True):
        assert np.array_equal(batch.rows, rows)
        assert torch.equal(batch.ground, ground) and torch.equal(batch.aerial, aerial)
    assert _threads() == []


def test_seeds_are_those_of_numpys_seed_sequence() -> None:
    """By its documented recipe; other seeds would change every run ever recorded."""
    assert derive_seed(0, 1, 2) == int(np.random.SeedSequence((0, 1, 2)).generate_state(1, np.uint64)[0]) // 2
    assert len({derive_seed(seed, epoch, step) for seed in (0, 1) for epoch in (0, 1) for step in (0, 1)}) == 8


def test_an_epoch_goes_on_from_any_step(views: Views, order: np.ndarray) -> None:
    whole = _all(views, order)
    for start in range(len(whole) + 1):
        rest = _all(views, order, start_step=start)
        assert [batch.step for batch in rest] == list(range(start, len(whole)))
        assert all(torch.equal(a.ground, b.ground) for a, b in zip(rest, whole[start:], strict=True))


@pytest.mark.parametrize("world", [2, 3])
def test_processes_see_together_what_one_sees(views: Views, order: np.ndarray, world: int) -> None:
    whole = _all(views, order)
    parts = [_all(views, order, rank=rank, world=world) for rank in range(world)]
    for together, *split in zip(whole, *parts, strict=True):
        assert all(np.array_equal(batch.rows, together.rows) for batch in split)
        assert np.array_equal(np.concatenate([batch.rows[batch.part] for batch in split]), together.rows)
        assert torch.equal(torch.cat([batch.ground for batch in split]), together.ground)
        assert torch.equal(torch.cat([batch.aerial for batch in split]), together.aerial)


def test_rest_that_cannot_be_shared_out_waits() -> None:
    assert [steps_per_epoch(pairs, 10) for pairs in (2, 10, 11, 12, 21)] == [1, 1, 1, 2, 2]
    assert [steps_per_epoch(pairs, 10, world=4) for pairs in (10, 13, 14)] == [1, 1, 2]
    assert [share(7, rank, 3) for rank in range(3)] == [slice(0, 2), slice(2, 4), slice(4, 7)]


class _Disk(np.ndarray):
    """Pixels that count how often rows are taken, and fail at one time: NumPy calls `take` of an array's own class."""

    asked = 0
    fails_at = 0

    def take(self, indices: Any, *args: Any, **kwargs: Any) -> Any:
        _Disk.asked += 1
        if _Disk.asked == _Disk.fails_at:
            raise OSError(5, "Input/output error")
        return np.asarray(self).take(indices, *args, **kwargs)


def _on_disk(views: Views, monkeypatch: pytest.MonkeyPatch, fails_at: int = 0) -> Views:
    monkeypatch.setattr(_Disk, "asked", 0)
    monkeypatch.setattr(_Disk, "fails_at", fails_at)
    return Views(views.split, views.pairs, views.ground.view(_Disk), views.aerial, views.spec)


def test_reads_no_further_ahead_than_asked(views: Views, order: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(batches(_on_disk(views, monkeypatch), order, 2, PLAIN, SEED, EPOCH, prefetch=3)) as ahead:
        next(ahead)
    assert 1 <= _Disk.asked <= 4, "the one received and at most three more, of eighteen"


def test_what_fails_in_the_thread_is_raised_here(
    views: Views, order: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    received = []
    with pytest.raises(OSError, match="Input/output error"):
        for batch in batches(_on_disk(views, monkeypatch, fails_at=3), order, BATCH, PLAIN, SEED, EPOCH):
            received.append(batch.step)
    assert received == [0, 1], "what was read before is not lost"
    assert _threads() == []


def test_a_break_and_an_exception_leave_no_thread(views: Views, order: np.ndarray) -> None:
    for batch in batches(views, order, BATCH, FULL, SEED, EPOCH):
        assert batch.step == 0
        break
    assert _threads() == []
    ahead = batches(views, order, BATCH, FULL, SEED, EPOCH)
    with pytest.raises(KeyboardInterrupt), closing(ahead):
        next(ahead)
        assert _threads() != []
        raise KeyboardInterrupt
    assert _threads() == []


def test_a_foreign_order_and_too_many_processes_are_named(views: Views, order: np.ndarray) -> None:
    with pytest.raises(AenetError, match="36 rows, the split 'train' 37 pairs"):
        _all(views, order[1:])
    with pytest.raises(AenetError, match="batches of 10 pairs cannot be shared out to process 10 of 11"):
        _all(views, order, rank=10, world=11)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_the_same_pixels_on_a_gpu(views: Views, order: np.ndarray) -> None:
    config = AugmentConfig(roll=True, flip=True)
    device = torch.device("cuda")
    there = list(batches(views, order, BATCH, config, SEED, EPOCH, device=device))
    for batch, here in zip(there, _all(views, order, config), strict=True):
        assert batch.ground.device.type == "cuda"
        assert torch.equal(batch.ground.cpu(), here.ground) and torch.equal(batch.aerial.cpu(), here.aerial)
    there = list(batches(views, order, BATCH, FULL, SEED, EPOCH, device=device))
    for batch, here in zip(there, _all(views, order, FULL), strict=True):
        for a, b in ((batch.ground, here.ground), (batch.aerial, here.aerial)):
            assert (a.cpu() - b).abs().max() < 1e-3
