"""Which pairs meet in a batch. Every strategy shows every pair once an epoch and is deterministic.

A random batch soon holds no hard negative; pairs that look alike, put into one batch, keep teaching. Before a
network can tell what looks alike, neighbours on the ground are the next best: they share streets and roofs
(Sample4Geo, Deuser et al., ICCV 2023, arXiv:2303.11851).

Groups lie in a row: make `batch_size` a multiple of `group`, or batches cut them.

An order that was mined depends on weights that are gone an epoch later. A run that can be interrupted keeps the
running epoch's order in its checkpoint and, where `every` is above 1, the `Mined` neighbours too. Several processes
take the order that one of them found.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal, assert_never

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int
from pydantic import Field

from aenet.data.distance import earth_centred, ground_neighbours, group_neighbours, joined
from aenet.io.errors import AenetError
from aenet.io.params import Config
from aenet.retrieval.recall import best_match


class _Sampling(Config):
    """What all strategies have in common.

    Attributes:
        ignore_within_m: pairs whose cameras are nearer than this are not taken as each other's negatives, because a
            tile shows its neighbours' ground too; None: half a tile's side, where positions are known; 0: only those
            that share a tile or a panorama, which never are.
    """

    ignore_within_m: float | None = Field(default=None, ge=0)


class RandomBatches(_Sampling):
    """Batches are a permutation of all pairs, cut up."""

    kind: Literal["random"]


class GeographicBatches(_Sampling):
    """Batches are made of groups of neighbours on the ground.

    Attributes:
        group: neighbouring pairs in one batch.
    """

    kind: Literal["geographic"]
    group: int = Field(default=8, ge=2)


class SimilarBatches(_Sampling):
    """Batches are made of groups of hard negatives, mined under the current weights.

    Attributes:
        group: pairs that look alike (before `first_epoch`: that are neighbours) in one batch.
        first_epoch: first epoch, counted from 0, of hard negatives: a new network finds everything alike.
        every: epochs from one mining to the next; those between draw new groups from the same neighbours.
        before: how the epochs before `first_epoch` are made.
    """

    kind: Literal["similarity"]
    group: int = Field(default=8, ge=2)
    first_epoch: int = Field(default=1, ge=1)
    every: int = Field(default=1, ge=1)
    before: Literal["random", "geographic"] = "random"

    def mines(self, epoch: int) -> bool:
        """True where the epoch needs new descriptors."""
        return epoch >= self.first_epoch and (epoch - self.first_epoch) % self.every == 0


SamplingConfig = Annotated[RandomBatches | GeographicBatches | SimilarBatches, Field(discriminator="kind")]
NoNegative = Callable[[Int[np.ndarray, "n k"], Int[np.ndarray, "n k"]], Bool[np.ndarray, "n k"]]
Descriptors = tuple[Float[np.ndarray, "n d"], Float[np.ndarray, "n d"]]


@dataclass
class Mined:
    """The neighbours last mined; `epoch_order` fills it, a checkpoint keeps it.

    Attributes:
        neighbours: rows of each pair's hard negatives, the hardest first; None before the first mining.
    """

    neighbours: Int[np.ndarray, "n k"] | None = None


def epoch_order(
    config: SamplingConfig,
    pairs: pd.DataFrame,
    epoch: int,
    seed: int,
    describe: Callable[[], Descriptors],
    mined: Mined | None = None,
    ignored: NoNegative | None = None,
) -> Int[np.ndarray, " n"]:
    """Return the order in which an epoch takes the pairs.

    Args:
        pairs: the pair table of the split, one row per pair.
        seed: differs from epoch to epoch.
        describe: returns the pairs' current ground and aerial descriptors (`aenet.training.epoch.describe_pairs`
            does, in little memory); called only where they are needed.
        mined: goes from epoch to epoch; needed only where `every` is above 1.
        ignored: tells of rows which are no negatives of each other (`pairs.Ignored.between`): similar rows that
            are none teach nothing, and are not put together.

    Raises:
        AenetError: a pair has no coordinates and neighbours on the ground are asked for, or `mined` is missing.
    """
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(pairs))
    match config:
        case RandomBatches():
            return order
        case GeographicBatches():
            groups = ground_neighbours(earth_centred(pairs), config.group, generator)
        case SimilarBatches() if epoch < config.first_epoch:
            if config.before == "random":
                return order
            groups = ground_neighbours(earth_centred(pairs), config.group, generator)
        case SimilarBatches():
            groups = group_neighbours(
                order, _look_alikes(config, epoch, describe, mined or Mined(), ignored), config.group
            )
        case _:
            assert_never(config)
    return joined(groups, config.group, generator)


def _look_alikes(
    config: SimilarBatches,
    epoch: int,
    describe: Callable[[], Descriptors],
    mined: Mined,
    ignored: NoNegative | None,
) -> Int[np.ndarray, "n k"]:
    if config.mines(epoch):
        # Twice the group's size, because the nearest may be taken by the time it is an anchor's turn.
        # Four times where some do not count.
        k = 2 * config.group
        found = best_match(*describe(), k if ignored is None else 2 * k)
        mined.neighbours = found if ignored is None else _negatives_first(found, ignored)[:, :k]
    if mined.neighbours is None:
        raise AenetError(
            f"epoch {epoch} takes its hard negatives from an epoch before (train.sampling.every is {config.every}), "
            "and they were not kept: start the run anew, or set every to 1"
        )
    return mined.neighbours


def _negatives_first(found: Int[np.ndarray, "n k"], ignored: NoNegative) -> Int[np.ndarray, "n k"]:
    """Return each row's neighbours; others than itself that are no negatives of its are itself, at the end."""
    own = np.broadcast_to(np.arange(len(found))[:, None], found.shape)
    useless = ignored(own, found) & (found != own)
    order = np.argsort(useless, axis=1, kind="stable")
    return np.take_along_axis(np.where(useless, own, found), order, axis=1)
