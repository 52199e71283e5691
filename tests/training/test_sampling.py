"""Which pairs meet in a batch: all of them once, those that teach together, the same again for the same seed."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import torch

from aenet.data.distance import distance_m, earth_centred, ground_neighbours, group_neighbours, joined
from aenet.data.pairs import COLUMNS
from aenet.data.views import Views
from aenet.evaluation.embed import embed_pairs
from aenet.io.errors import AenetError
from aenet.nn.attention import Triplet
from aenet.nn.backbones import BackboneConfig
from aenet.nn.branches import ModelConfig, TwoBranch
from aenet.nn.heads import Flatten
from aenet.training import epoch as mining
from aenet.training.sampling import (
    Descriptors,
    GeographicBatches,
    Mined,
    RandomBatches,
    SamplingConfig,
    SimilarBatches,
    epoch_order,
)
from aenet.view.spec import ViewSpec

PAIRS, KINDS, VILLAGES = 60, 6, 12


def _table() -> pd.DataFrame:
    """Pairs in villages of five, a kilometre apart; row i stands in village i % VILLAGES."""
    rows = np.arange(PAIRS)
    latitude, longitude = 48 + 0.01 * (rows % VILLAGES), 11 + 0.0001 * (rows // VILLAGES)
    return pd.DataFrame({"pair_id": rows.astype(str), "latitude": latitude, "longitude": longitude})


TABLE = _table()


def _describe() -> Descriptors:
    """Pairs of KINDS kinds: row i looks like every row of kind i % KINDS and unlike all others."""
    descriptors = np.eye(KINDS, dtype=np.float32)[np.arange(PAIRS) % KINDS]
    return descriptors, descriptors


def _describe_blocks() -> Descriptors:
    """Another network's opinion: rows 0..9 are alike, rows 10..19, and so on."""
    descriptors = np.eye(KINDS, dtype=np.float32)[np.arange(PAIRS) // (PAIRS // KINDS)]
    return descriptors, descriptors


def _never() -> Descriptors:
    raise AssertionError("descriptors were computed although nobody needs them")


ALL = [
    RandomBatches(kind="random"),
    GeographicBatches(kind="geographic", group=5),
    SimilarBatches(kind="similarity", group=5),
    SimilarBatches(kind="similarity", group=5, first_epoch=4, before="geographic"),
]


@pytest.mark.parametrize("config", ALL)
def test_every_pair_once_and_the_same_for_the_same_seed(config: SamplingConfig) -> None:
    order = epoch_order(config, TABLE, 3, 11, _describe)
    assert sorted(order) == list(range(PAIRS))
    assert np.array_equal(order, epoch_order(config, TABLE, 3, 11, _describe))
    assert not np.array_equal(order, epoch_order(config, TABLE, 3, 12, _describe))


def test_look_alikes_share_a_batch() -> None:
    order = epoch_order(SimilarBatches(kind="similarity", group=5), TABLE, 1, 0, _describe)
    groups = (order % KINDS).reshape(-1, 5)
    assert (groups == groups[:, :1]).all(), "ten of a kind make two groups of five, with no other among them"


def _villages(order: np.ndarray) -> np.ndarray:
    return (order % VILLAGES).reshape(-1, 5)


@pytest.mark.parametrize(
    "config",
    [
        GeographicBatches(kind="geographic", group=5),
        SimilarBatches(kind="similarity", group=5, first_epoch=2, before="geographic"),
    ],
)
def test_neighbours_share_a_batch_and_villages_are_shuffled(config: SamplingConfig) -> None:
    villages = _villages(epoch_order(config, TABLE, 1, 0, _never))
    assert (villages == villages[:, :1]).all()
    assert (np.sort(villages[:, 0]) == np.arange(VILLAGES)).all()
    assert (villages[:, 0] != np.arange(VILLAGES)).any()


def test_neighbours_first_and_then_look_alikes() -> None:
    config = SimilarBatches(kind="similarity", group=5, first_epoch=2, before="geographic")
    groups = (epoch_order(config, TABLE, 2, 0, _describe_blocks) // (PAIRS // KINDS)).reshape(-1, 5)
    assert (groups == groups[:, :1]).all()


def test_a_pair_without_coordinates_is_named() -> None:
    table = TABLE.copy()
    table.loc[[3, 7], "longitude"] = np.nan
    with pytest.raises(AenetError, match="2 of 60 pairs have no coordinates"):
        epoch_order(GeographicBatches(kind="geographic"), table, 0, 0, _never)
    assert len(epoch_order(RandomBatches(kind="random"), table, 0, 0, _never)) == PAIRS


def test_descriptors_are_not_computed_before_they_are_used() -> None:
    epoch_order(RandomBatches(kind="random"), TABLE, 5, 0, _never)
    epoch_order(SimilarBatches(kind="similarity", first_epoch=2), TABLE, 1, 0, _never)


def test_mines_every_k_epochs_and_keeps_the_neighbours_between() -> None:
    config = SimilarBatches(kind="similarity", group=5, first_epoch=1, every=3)
    opinions: dict[int, Callable[[], Descriptors]] = {1: _describe, 4: _describe_blocks}
    mined, orders = Mined(), {}
    for epoch in range(1, 7):
        orders[epoch] = epoch_order(config, TABLE, epoch, epoch, opinions.get(epoch, _never), mined)
        kinds = orders[epoch] % KINDS if epoch < 4 else orders[epoch] // (PAIRS // KINDS)
        groups = kinds.reshape(-1, 5)
        assert (groups == groups[:, :1]).all(), epoch
    assert not np.array_equal(orders[1], orders[2]), "the same neighbours, other groups"
    # A run that goes on from a checkpoint has the neighbours, not the weights they came from.
    kept = Mined(None if mined.neighbours is None else mined.neighbours.copy())
    assert np.array_equal(epoch_order(config, TABLE, 6, 6, _never, kept), orders[6])


def test_neighbours_that_were_not_kept_are_missed() -> None:
    config = SimilarBatches(kind="similarity", first_epoch=1, every=3)
    with pytest.raises(AenetError, match="epoch 2 takes its hard negatives from an epoch before"):
        epoch_order(config, TABLE, 2, 0, _never)


def test_groups_by_hand() -> None:
    neighbours = np.array([[1, 2], [0, 3], [3, 0], [2, 1]])
    groups = group_neighbours(np.array([2, 1, 0, 3]), neighbours, 2)
    assert [group.tolist() for group in groups] == [[2, 3], [1, 0]]


def test_groups_stay_whole_in_batches_of_a_multiple_of_their_size() -> None:
    """Nine whole groups of four among short ones: each lies within one batch of eight."""
    sizes = [4, 3, 4, 4, 1, 4, 4, 2, 4, 4, 1, 4, 4]
    cuts = np.cumsum(sizes)
    groups = [np.arange(end - size, end) for end, size in zip(cuts, sizes, strict=True)]
    for seed in range(5):
        order = joined(groups, 4, np.random.default_rng(seed))
        assert sorted(order) == list(range(cuts[-1]))
        batches = [set(order[start : start + 8]) for start in range(0, len(order), 8)]
        for group in groups:
            assert len(group) < 4 or any(set(group) <= batch for batch in batches)
    assert joined([np.array([2, 0])], 4, np.random.default_rng(0)).tolist() == [2, 0], "fewer pairs than a group"


def test_only_the_last_group_on_the_ground_is_smaller() -> None:
    generator = np.random.default_rng(0)
    for n in (1, 7, 16, 203):
        xyz = 1000 * generator.random((n, 3))
        groups = ground_neighbours(xyz, 8, generator)
        assert sorted(np.concatenate(groups)) == list(range(n))
        assert [len(group) for group in groups] == [8] * (n // 8) + [n % 8] * (n % 8 > 0)
    same_place = ground_neighbours(np.zeros((40, 3)), 8, generator)
    assert sorted(np.concatenate(same_place)) == list(range(40))


def test_groups_on_the_ground_are_near() -> None:
    """On a plane of 1 km with 800 cameras, eight neighbours stand 56 m from their middle; random ones 380 m."""
    generator = np.random.default_rng(1)
    xyz = np.concatenate([1000 * generator.random((800, 2)), np.zeros((800, 1))], axis=1)
    spread = [np.linalg.norm(xyz[g] - xyz[g].mean(0), axis=1).mean() for g in ground_neighbours(xyz, 8, generator)]
    assert np.median(spread) < 80


def test_positions_are_as_far_apart_as_the_geodesic_says() -> None:
    """Short geodesics and chords agree to a millimetre, across the date line and by the pole as well."""
    latitude, longitude = np.array([48.1, 0.0, -33.9, 89.99, 52.0]), np.array([11.5, 179.9999, 18.4, 40.0, -0.0001])
    other_latitude, other_longitude = latitude + 3e-4, np.array([11.5005, -179.9999, 18.4, 44.0, 0.0003])
    here, there = (
        earth_centred(pd.DataFrame({"latitude": a, "longitude": b}))
        for a, b in ((latitude, longitude), (other_latitude, other_longitude))
    )
    chords = np.linalg.norm(here - there, axis=1)
    assert np.allclose(chords, distance_m(latitude, longitude, other_latitude, other_longitude), atol=1e-3)
    poles = earth_centred(pd.DataFrame({"latitude": [0.0, 90.0], "longitude": [0.0, 0.0]}))
    assert np.allclose(poles, [[6378137.0, 0, 0], [0, 0, 6356752.3142]], atol=1e-3)


def test_sketch_keeps_products() -> None:
    generator = np.random.default_rng(0)
    common = generator.normal(size=(1, 6000))
    whole = (common + generator.normal(size=(40, 6000))).astype(np.float32)
    whole /= np.linalg.norm(whole, axis=1, keepdims=True)
    small = mining.sketch(whole, 1024)
    assert small.shape == (40, 1024)
    error = (small @ small.T - whole @ whole.T)[np.triu_indices(40, 1)]
    assert np.sqrt(np.mean(error**2)) < np.sqrt(2 / 1024)
    assert np.array_equal(small, mining.sketch(whole, 1024)), "always the same signs"
    assert np.array_equal(small[:7], mining.sketch(whole[:7], 1024)), "row by row"
    assert mining.sketch(whole, 6000) is whole
    impulse = mining.sketch(np.eye(6000, dtype=np.float32)[:1], 1024)
    assert np.count_nonzero(impulse) == 1 and abs(impulse).max() == 1


def test_all_pairs_are_described_as_for_evaluation() -> None:
    torch.manual_seed(0)
    model = ModelConfig(
        backbone=BackboneConfig(name="test_efficientnet", weights="random"),
        attention=Triplet(kind="triplet"),
        head=Flatten(kind="flatten"),
    )
    pixels = np.random.default_rng(0).integers(0, 256, (300, 32, 64, 3), dtype=np.uint8)
    table = pd.DataFrame({column: np.arange(300.0) for column in COLUMNS})
    views = Views("train", table, pixels, pixels[::-1], ViewSpec.polar(height=32, width=64, tile_size_m=70.0))
    network = TwoBranch(model)
    for got, expected in zip(mining.describe_pairs(network, views, 48), embed_pairs(network, views, 48), strict=True):
        assert np.array_equal(got, expected)
