"""Pairs that share a tile or a panorama: every right tile counts, and nobody is the other's negative."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from aenet.data.pairs import Ignored, ignored, read_pairs, said, sharing
from aenet.data.views import Views
from aenet.ingest.own import OwnConfig
from aenet.nn.losses import build_loss
from aenet.retrieval import positives
from aenet.retrieval.recall import score
from aenet.training.augment import AugmentConfig
from aenet.training.batches import batches
from aenet.training.engine import Engine
from aenet.training.epoch import compute_gradient
from aenet.training.loop import train
from aenet.training.sampling import SimilarBatches, epoch_order
from aenet.view.spec import ViewSpec
from stages.download import ingest
from stages.project import Paths
from tests.nn.test_losses import CONFIGS, name, unit
from tests.support.datasets import build_own
from tests.support.gloo_training import make_views, settings

METRE = 1 / 110_574.0  # of latitude, at the equator
SPEC = ViewSpec.polar(height=8, width=32, tile_size_m=70.0)


def table(ground: str, aerial: str, north_m: list[float] | None = None) -> pd.DataFrame:
    """One row a letter: panoramas and tiles by their letters, and where the cameras stand."""
    north = np.arange(len(ground)) * 1e4 if north_m is None else np.array(north_m)
    frame = pd.DataFrame({"ground": list(ground), "aerial": list(aerial), "latitude": north * METRE, "longitude": 3.0})
    return frame.assign(aerial_latitude=frame["latitude"], aerial_longitude=3.0)


def answers(found: positives.Positives) -> list[list[int]]:
    return [found.rows[a:b].tolist() for a, b in zip(found.start[:-1], found.start[1:], strict=True)]


@pytest.mark.parametrize(
    ("ground", "aerial", "expected", "repeated"),
    [
        ("abc", "ABC", [[0], [1], [2]], None),
        ("abcd", "ABAC", [[0], [1], [0], [3]], [2]),  # two panoramas of one tile
        ("aabc", "ABBC", [[0, 1], [0, 1], [1], [3]], [2]),  # one panorama with two tiles, one of them another's, too
        ("aa", "AA", [[0], [0]], [1]),  # a pair listed twice
    ],
)
def test_every_right_tile_counts_and_every_tile_once(
    ground: str, aerial: str, expected: list[list[int]], repeated: list[int] | None
) -> None:
    found = positives.of_pairs(table(ground, aerial))
    assert answers(found) == expected
    assert (None if found.repeated is None else np.flatnonzero(found.repeated).tolist()) == repeated


def test_metres_and_shared_tiles_together() -> None:
    """Rows 1 and 2 share a tile 4 m north of row 0; row 3 stands alone."""
    found = positives.within(table("abcd", "ABBC", [0, 4, 4, 900]), 5.0)
    assert answers(found) == [[0, 1], [0, 1], [0, 1], [3]]


def views_of(pairs: pd.DataFrame) -> Views:
    pixels = np.zeros((len(pairs), 8, 32, 3), np.uint8)
    return Views("test", pairs, pixels, pixels, SPEC)


def test_a_perfect_network_finds_tiles_that_stand_in_two_rows() -> None:
    tiles = np.eye(4, dtype=np.float32)[[0, 1, 2, 3, 0, 1, 2, 3]]
    values = score(tiles, tiles, views_of(table("abcdefgh", "ABCDABCD"))).values
    assert (values["recall_at_1"], values["places"], values["chance_at_1"]) == (100, 4, 25)
    wrong = np.roll(tiles, 1, axis=0)  # every wrong tile counts once: rank 1, not 2
    assert score(wrong, tiles, views_of(table("abcdefgh", "ABCDABCD"))).rank.tolist() == [3] * 8
    best = tiles.copy()
    best[0] = np.array([0.6, 0.8, 0, 0], np.float32)
    found = score(best, tiles, views_of(table("abcdefgh", "ABCDABCD")))
    assert found.rank.tolist() == [1] + [0] * 7
    assert found.top[0].tolist()[:2] == [1, 0]  # the tile of rows 1 and 5 by its first


def test_contents_tell_tiles_of_two_names(tmp_path: Path) -> None:
    """Tiles 0 and 1 hold the same bytes; 2 has as many bytes and the same end; panorama 5 is 4 again."""
    root = build_own(tmp_path / "mine")
    one, other = (root / "tiles" / f"{number:03d}.jpg" for number in (0, 1))
    other.write_bytes(one.read_bytes())
    almost = bytearray(one.read_bytes())
    almost.insert(2, 0)
    (root / "photos" / "005.jpg").write_bytes((root / "photos" / "004.jpg").read_bytes())
    notices = ingest(OwnConfig(kind="own", source=str(root)), Paths(tmp_path))
    pairs = read_pairs(Paths(tmp_path).raw / "pairs.parquet")
    assert pairs["aerial_id"].tolist()[:3] == ["tiles/000.jpg", "tiles/000.jpg", "tiles/002.jpg"]
    assert pairs["ground_id"].tolist()[4:6] == ["photos/004.jpg"] * 2
    assert any(notice.startswith("1 tiles stand in 2 rows") for notice in notices)
    assert any(notice.startswith("1 panoramas stand in 2 rows") for notice in notices)
    assert sharing(pairs).tile.tolist()[:3] == [0, 0, 1]


def test_a_panorama_may_stand_in_two_rows_without_an_id(tmp_path: Path) -> None:
    root = build_own(tmp_path / "mine", change=lambda t: t.assign(ground=[*t["ground"][:11], t["ground"][10]]))
    ingest(OwnConfig(kind="own", source=str(root)), Paths(tmp_path))
    pairs = read_pairs(Paths(tmp_path).raw / "pairs.parquet")
    assert pairs["pair_id"].tolist()[10:] == ["photos/010.jpg + tiles/010.jpg", "photos/010.jpg + tiles/011.jpg"]
    assert answers(positives.of_pairs(pairs))[10:] == [[10, 11], [10, 11]]


def test_a_tile_in_two_splits_is_said(tmp_path: Path) -> None:
    root = build_own(tmp_path / "mine", change=lambda t: t.assign(aerial=[t["aerial"][11], *t["aerial"][1:]]))
    notices = ingest(OwnConfig(kind="own", source=str(root)), Paths(tmp_path))
    assert any("1 tiles stand in more than one split" in notice for notice in notices)


def no_negatives(pairs: pd.DataFrame, within_m: float | None = 0.0) -> Ignored:
    return ignored(pairs, within_m, 70.0)


def test_who_is_no_negative_by_hand() -> None:
    shared = no_negatives(table("aabc", "ABBC")).mask(np.arange(4))
    assert shared is not None
    # b's tile is B, which is right for a; A is not right for b.
    assert shared.astype(int).tolist() == [[0, 1, 1, 0], [1, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0]]
    assert no_negatives(table("abc", "ABC")).mask(np.arange(3)) is None
    near = no_negatives(table("abc", "ABC", [0, 34.9, 70.1]), None)  # half a tile is 35 m
    assert near.between(np.array([0, 0, 1]), np.array([1, 2, 2])).tolist() == [True, False, False]
    unknown = table("abc", "ABC").assign(latitude=np.nan)
    assert no_negatives(unknown, None).mask(np.arange(3)) is None


def test_what_is_ignored_is_counted_and_said() -> None:
    counts = no_negatives(table("aabc", "ABBC", [0, 0, 30, 900]), None).counts()
    assert counts == {"shared_tiles": 1, "shared_panoramas": 1, "ignored_negatives": 3}
    assert said(counts, 35.0).startswith("1 tiles and 1 panoramas stand in more than one row; 3 pairs of rows")
    assert said(no_negatives(table("ab", "AB")).counts(), 0.0) == ""


@pytest.mark.parametrize("heading", ["known", "unknown"])
@pytest.mark.parametrize("config", CONFIGS, ids=name)
def test_what_is_ignored_is_not_in_any_loss(config: Any, heading: str) -> None:
    """The last pair of a batch is no negative of the others: what they learn does not depend on it."""
    loss = build_loss(config.model_copy(update={"heading": heading}), 8).double()
    ground, aerial = unit(5, 48, 1), unit(5, 48, 2)
    mask = torch.zeros(5, 5, dtype=torch.bool)
    mask[4, :4] = mask[:4, 4] = True

    def learnt(last: torch.Tensor, ignore: torch.Tensor | None) -> torch.Tensor:
        sides = [torch.cat([side[:4], last]).requires_grad_() for side in (ground, aerial)]
        return torch.cat(torch.autograd.grad(loss(*sides, ignore), sides), dim=1)

    hard = torch.nn.functional.normalize(ground[:1] + 0.3 * aerial[4:])  # nearer than the first panorama's own tile
    one, other = learnt(hard, mask), learnt(aerial[4:], mask)
    assert torch.isfinite(one).all()
    assert torch.allclose(one[:4], other[:4])
    assert not torch.allclose(learnt(hard, None)[:4], learnt(aerial[4:], None)[:4])


@pytest.mark.parametrize("config", CONFIGS, ids=name)
def test_a_mask_of_nothing_changes_nothing(config: Any) -> None:
    loss = build_loss(config).double()
    ground, aerial = unit(5, 48, 3), unit(5, 48, 4)
    assert torch.allclose(loss(ground, aerial, torch.zeros(5, 5, dtype=torch.bool)), loss(ground, aerial))


def test_batches_carry_the_mask_and_processes_agree() -> None:
    views = make_views(12, 16, 64, 1)
    views.pairs["aerial"] = [0, 0, *range(2, 12)]
    rows = no_negatives(views.pairs)

    def first(rank: int, world: int) -> Any:
        return next(batches(views, np.arange(12), 12, AugmentConfig(), 0, 0, ignored=rows, rank=rank, world=world))

    expected = torch.zeros(12, 12, dtype=torch.bool)
    expected[0, 1] = expected[1, 0] = True
    assert all(torch.equal(first(*who).ignore, expected) for who in ((0, 1), (0, 2), (1, 2)))


def test_a_step_learns_nothing_from_a_shared_tile() -> None:
    """Two rows of one tile and no other: there is no negative, and the gradient is nought."""
    views = make_views(2, 16, 64, 1)
    engine = Engine(settings(batch_size=2), 2, views.spec)
    for aerial, moves in (([0, 1], True), ([0, 0], False)):
        views.pairs["aerial"] = aerial
        ahead = batches(views, np.arange(2), 2, AugmentConfig(), 0, 0, ignored=no_negatives(views.pairs))
        compute_gradient(engine, [next(ahead)])
        assert (max(float(p.grad.abs().max()) for p in engine.parameters if p.grad is not None) > 0) == moves


def test_a_training_counts_what_it_ignored(tmp_path: Path) -> None:
    views, val = make_views(12, 16, 64, 1), make_views(4, 16, 64, 2)
    views.pairs["aerial"] = [0, 0, *range(2, 12)]
    trained = train(settings(batch_size=6, epochs=1), views, val, tmp_path)
    assert trained.negatives == {"shared_tiles": 1, "shared_panoramas": 0, "ignored_negatives": 1}


def test_look_alikes_are_negatives() -> None:
    """Rows 0 to 3 share a tile: nobody is grouped with another of them while there are others."""
    descriptors = np.eye(8, dtype=np.float32)[[0, 0, 0, 0, 1, 2, 3, 4]]
    pairs = table("abcdefgh", "AAAABCDE")
    config = SimilarBatches(kind="similarity", group=2, first_epoch=1)
    order = epoch_order(
        config, pairs, 1, 0, lambda: (descriptors, descriptors), None, no_negatives(pairs).between
    ).reshape(4, 2)
    assert sorted(order.ravel().tolist()) == list(range(8))
    assert not any(set(group) <= {0, 1, 2, 3} for group in order.tolist())
