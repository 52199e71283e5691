"""Which pairs meet in a batch: all of them once, look-alikes together, the same again for the same seed."""

import numpy as np
import pandas as pd
import pytest

from aenet.data.sampling import Descriptors, RandomBatches, SimilarBatches, epoch_order, group_neighbours

PAIRS, KINDS = 60, 6
TABLE = pd.DataFrame({"pair_id": [str(row) for row in range(PAIRS)]})


def _describe() -> Descriptors:
    """Pairs of KINDS kinds: row i looks like every row of kind i % KINDS and unlike all others."""
    descriptors = np.eye(KINDS, dtype=np.float32)[np.arange(PAIRS) % KINDS]
    return descriptors, descriptors


def _never() -> Descriptors:
    raise AssertionError("descriptors were computed although nobody needs them")


@pytest.mark.parametrize("config", [RandomBatches(kind="random"), SimilarBatches(kind="similarity", group=5)])
def test_every_pair_once_and_the_same_for_the_same_seed(config: RandomBatches | SimilarBatches) -> None:
    order = epoch_order(config, TABLE, 3, 11, _describe)
    assert sorted(order) == list(range(PAIRS))
    assert np.array_equal(order, epoch_order(config, TABLE, 3, 11, _describe))
    assert not np.array_equal(order, epoch_order(config, TABLE, 3, 12, _describe))


def test_look_alikes_share_a_batch() -> None:
    order = epoch_order(SimilarBatches(kind="similarity", group=5), TABLE, 1, 0, _describe)
    groups = (order % KINDS).reshape(-1, 5)
    assert (groups == groups[:, :1]).all(), "ten of a kind make two groups of five, with no stranger among them"


def test_descriptors_are_not_computed_before_they_are_used() -> None:
    epoch_order(RandomBatches(kind="random"), TABLE, 5, 0, _never)
    epoch_order(SimilarBatches(kind="similarity", first_epoch=2), TABLE, 1, 0, _never)


def test_groups_by_hand() -> None:
    neighbours = np.array([[1, 2], [0, 3], [3, 0], [2, 1]])
    groups = group_neighbours(np.array([2, 1, 0, 3]), neighbours, 2)
    assert [group.tolist() for group in groups] == [[2, 3], [1, 0]]
