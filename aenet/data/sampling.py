"""Which pairs meet in a batch. Every strategy shows every pair once an epoch and is deterministic.

A batch of strangers soon holds no hard negative; pairs that look alike, put into one batch, keep teaching
(Sample4Geo, Deuser et al., ICCV 2023, arXiv:2303.11851).
"""

from collections.abc import Callable
from typing import Annotated, Literal

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from pydantic import Field

from aenet.metrics import best_match
from aenet.params import Config


class RandomBatches(Config):
    """Batches are a permutation of all pairs, cut up."""

    kind: Literal["random"]


class SimilarBatches(Config):
    """Batches are made of groups of look-alikes under the current weights.

    Attributes:
        group: pairs that look alike in one batch.
        first_epoch: epochs before this one are random: a new network finds everything alike.
    """

    kind: Literal["similarity"]
    group: int = Field(default=8, ge=2)
    first_epoch: int = Field(default=1, ge=1)


SamplingConfig = Annotated[RandomBatches | SimilarBatches, Field(discriminator="kind")]
Descriptors = tuple[Float[np.ndarray, "n d"], Float[np.ndarray, "n d"]]


def epoch_order(
    config: SamplingConfig, pairs: pd.DataFrame, epoch: int, seed: int, describe: Callable[[], Descriptors]
) -> Int[np.ndarray, " n"]:
    """Return the order in which an epoch takes the pairs.

    Args:
        pairs: the pair table of the split, one row per pair.
        seed: differs from epoch to epoch.
        describe: returns the pairs' current ground and aerial descriptors; called only where they are needed.
    """
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(pairs))
    if isinstance(config, RandomBatches) or epoch < config.first_epoch:
        return order
    # Twice the group's size, because the nearest may be taken by the time it is an anchor's turn.
    alike = best_match(*describe(), 2 * config.group)
    groups = group_neighbours(order, alike, config.group)
    return np.concatenate([groups[number] for number in generator.permutation(len(groups))])


def group_neighbours(
    order: Int[np.ndarray, " n"], neighbours: Int[np.ndarray, "n k"], size: int
) -> list[Int[np.ndarray, " g"]]:
    """Cut all pairs into groups of at most `size`: each anchor, in `order`, with its nearest that are still free."""
    free = np.ones(len(order), dtype=bool)
    groups = []
    for anchor in order:
        if not free[anchor]:
            continue
        free[anchor] = False
        chosen = [row for row in neighbours[anchor] if free[row]][: size - 1]
        free[chosen] = False
        groups.append(np.array([anchor, *chosen]))
    return groups
