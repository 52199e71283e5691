"""What data sets with published splits share: our validation pairs, counts to expect, a pair listed twice."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from pydantic import Field

from aenet.ingest.verification import DatasetConfig, left_out
from aenet.io.errors import AenetError


class PublishedConfig(DatasetConfig):
    """A data set with a published training and test part.

    The published test part is our `test`; nothing is chosen on it. `validation` pairs are taken out of the published
    training part, and the best epoch is chosen there.

    Attributes:
        validation: how many pairs are held out of the training part.
        seed: of their choice; the same pairs whatever the order of the tables.
    """

    validation: int = Field(default=1000, ge=1)
    seed: int = Field(default=0, ge=0)


def hold_out(pairs: pd.DataFrame, config: PublishedConfig, name: str) -> pd.DataFrame:
    """Return the pairs with `config.validation` of their `train` rows made `val`.

    Raises:
        AenetError: the training part has no more pairs than are to be held out.
    """
    train = np.sort(pairs.loc[pairs["split"] == "train", "pair_id"].to_numpy(dtype=str))
    if config.validation >= len(train):
        raise AenetError(
            f"{name}: download.validation holds {config.validation} pairs out of a training part of {len(train)}: "
            "make it smaller"
        )
    chosen = np.random.default_rng(config.seed).choice(train, config.validation, replace=False)
    return pairs.assign(split=pairs["split"].mask(pairs["pair_id"].isin(set(chosen.tolist())), "val"))


def once(pairs: pd.DataFrame, name: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the pairs without repetitions, and the repetitions as rows of the list of what was left out.

    Raises:
        AenetError: a pair stands in the training and in the test part: the score would be of pairs learnt by heart.
    """
    parts = pairs.groupby("pair_id")["split"].nunique()
    if (shared := parts > 1).any():
        raise AenetError(
            f"{name}: {int(shared.sum())} pairs stand in the training and in the test part "
            f"({parts.index[shared][0]}): the tables are not the published ones"
        )
    twice = pairs["pair_id"].duplicated()
    return pairs[~twice].reset_index(drop=True), left_out(pairs[twice], "listed twice")


def count_departures(
    pairs: pd.DataFrame, repeated: pd.DataFrame, published: Mapping[str, int], name: str
) -> tuple[str, ...]:
    """Sentences about parts whose number of listed pairs is not the published one, and about repetitions."""
    listed = {split: int((pairs["split"] == split).sum()) for split in published}
    part = {"train": "training", "test": "test"}
    said = [
        f"{name}'s {part[split]} part lists {listed[split]} pairs, published are {count}"
        for split, count in published.items()
        if listed[split] != count
    ]
    return (*said, *([f"{name} lists {len(repeated)} pairs twice"] if len(repeated) else []))
