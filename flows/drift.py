"""Do today's scores look like yesterday's? The first sign of another camera, another season, another region.

The figure is the two-sample Kolmogorov-Smirnov distance D = sup_x |F(x) - G(x)| between the empirical distribution
functions of this job's values and of a reference's: 0 for equal distributions, 1 where no value of one is among those
of the other. It has no bins to choose. Two samples of n and m values of one distribution exceed
sqrt(-ln(a / 2) / 2 * (n + m) / (n m)) with probability a (Smirnov 1948, Annals of Mathematical Statistics 19(2),
279-281; the limit for large samples), so a distance above that for a = 1 % is more than chance.
"""

import math
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float

CHANCE = 0.01
COLUMNS = ("score", "confidence")


class Drift(NamedTuple):
    """How far one column of a job's answers is from its reference.

    Attributes:
        column: `score` (cosine similarity of the best tile) or `confidence`.
        distance: Kolmogorov-Smirnov distance, in [0, 1].
        chance: what two samples of these sizes from one distribution exceed once in a hundred times.
        reference: what it was compared with.
    """

    column: str
    distance: float
    chance: float
    reference: str

    @property
    def drifted(self) -> bool:
        """Whether the distance is more than chance."""
        return self.distance > self.chance

    def sentence(self) -> str:
        """Say it in one line."""
        verdict = "more than chance: other photos than before" if self.drifted else "within chance"
        return (
            f"{self.column}s are {self.distance:.2f} from those of {self.reference} "
            f"(Kolmogorov-Smirnov; chance at 1 %: {self.chance:.2f}): {verdict}"
        )


def distance(values: Float[np.ndarray, " n"], reference: Float[np.ndarray, " m"]) -> float:
    """Return the Kolmogorov-Smirnov distance of two samples, in [0, 1]; neither may be empty."""
    at = np.concatenate([values, reference])
    shares = [np.searchsorted(np.sort(sample), at, side="right") / len(sample) for sample in (values, reference)]
    return float(np.abs(shares[0] - shares[1]).max())


def chance(n: int, m: int, probability: float = CHANCE) -> float:
    """Return the distance that samples of n and m values of one distribution exceed with that probability."""
    return math.sqrt(-math.log(probability / 2) / 2 * (n + m) / (n * m))


def drift(places: pd.DataFrame, reference: pd.DataFrame, name: str) -> list[Drift]:
    """Compare the columns of COLUMNS that both tables have values in.

    Args:
        places: a job's places; photos without an answer do not count.
        reference: another's, or a column of scores kept from a validation split.
        name: what to call the reference.
    """
    found = []
    for column in COLUMNS:
        if column in places and column in reference:
            values, others = (frame[column].dropna().to_numpy(dtype=np.float64) for frame in (places, reference))
            if len(values) and len(others):
                limit = chance(len(values), len(others))
                found.append(Drift(column, distance(values, others), limit, name))
    return found
