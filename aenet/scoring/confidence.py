"""How much an answer is to be believed: a probability for every place, from how alike photo and tiles are.

**Model.** A tile centred d metres from the photo has a cosine of mean + rise kappa(d) on average, where kappa(d) =
1 / sqrt(1 + (d / reach)^2) is the share of its scene that is still there: half of it is gone soon, and something of the
street and the quarter stays for long. Tiles of other places have the same, without the rise. For normal scores of one
variance the logarithm of the odds that the photo was taken d metres from the centre of a tile of score s, against
anywhere else, is

    b kappa(d) (s - mean - rise kappa(d) / 2)

A tile of a grid stands for its cell, the ground nearer to it than to any other, and before the photo is seen every
place is as likely as any other. So a cell's weight is the integral of the odds over its area: with twice as many tiles
each has half the area, a coarse grid, whose tiles lie farther from the photo, says less, and tiles that a search does
not list take their share, too (`rest`). From the probabilities follow the confidence (within `NEAR_M` of the answer),
the error radius and the spread of the best tiles.

Were scores of neighbouring tiles to vary together exactly as kappa has it, and to keep nothing of it elsewhere, the
value at the place itself would tell all (the matched filter), one sharpness b would do for every spacing, and a circle
that holds 90 % of the probability would hold 90 % of the photos. They do not quite: b, and the share that a circle has
to hold, are fitted for several spacings (`aenet.export.calibration`).
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float, Int

from aenet.data.card import Acuity
from aenet.io.errors import AenetError

NEAR_M = 25.0  # the field's usual radius for a useful answer
RADIUS_SHARE = 0.9
LISTED = 256  # tiles whose scores are wanted: around the best of a dense grid, and rivals elsewhere
_POINTS = 64  # in a cell


def resemblance(distance_m: Float[np.ndarray, "*n"], reach_m: float) -> Float[np.ndarray, "*n"]:
    """Return kappa, in 0..1."""
    return np.asarray(1 / np.sqrt(1 + (distance_m / reach_m) ** 2))


@dataclass(frozen=True)
class Cell:
    """Points spread evenly over a tile's ground: metres from its centre, along and across the way to the answer.

    A cell is taken to be a disc of the same area, so that only its distance from the answer matters.
    """

    along: Float[np.ndarray, " p"]
    across: Float[np.ndarray, " p"]

    @property
    def radius_m(self) -> float:
        """No point lies farther from the centre."""
        return float(np.hypot(self.along, self.across).max())

    def distance_m(self, centre_m: Float[np.ndarray, " k"]) -> Float[np.ndarray, "k p"]:
        """Return each point's distance from the answer, for tiles whose centres lie so far from it."""
        return np.asarray(np.hypot(centre_m[:, None] + self.along, self.across))


@lru_cache(maxsize=16)
def cell_of(spacing_m: float | None) -> Cell:
    """Return the cell of a grid's tiles; one point where tiles are centred on photos (None)."""
    if spacing_m is None:
        return Cell(np.zeros(1), np.zeros(1))
    turn = np.arange(_POINTS) * np.pi * (3 - 5**0.5)  # a sunflower: every point has the same area around it
    radius = spacing_m / np.pi**0.5 * np.sqrt((np.arange(_POINTS) + 0.5) / _POINTS)
    return Cell(radius * np.cos(turn), radius * np.sin(turn))


def evidence(scores: Float[np.ndarray, "*n"], cell: Cell, acuity: Acuity) -> Float[np.ndarray, "*n p"]:
    """Return the logarithm of the odds of each point of each tile's cell, against anywhere else, at a sharpness of 1.

    Args:
        scores: the tiles' cosines.
    """
    kappa = resemblance(np.hypot(cell.along, cell.across), acuity.reach_m)
    above = scores.astype(np.float64)[..., None] - acuity.mean
    return np.asarray(kappa * (above - acuity.rise * kappa / 2))


def probabilities(
    scores: Float[np.ndarray, " k"],
    others: Float[np.ndarray, " m"],
    count: Float[np.ndarray, " m"],
    cell: Cell,
    acuity: Acuity,
    sharpness: float,
) -> Float[np.ndarray, "k p"]:
    """Return the probability of each point of the listed tiles' cells; they sum to 1 less the unlisted tiles' share.

    Args:
        scores: cosines of the listed tiles.
        others, count: cosines of the unlisted, and how many tiles have about each.
        sharpness: see `card.Acuity`. Columns of the horizon are so many witnesses: with half of them seen, half of it.
    """
    odds, rest = (sharpness * evidence(some, cell, acuity) for some in (scores, others))
    top = max(odds.max(), rest.max(initial=-np.inf))
    weight = np.exp(odds - top)
    return np.asarray(weight / (weight.sum() + (count[:, None] * np.exp(rest - top)).sum()))


def fit_sharpness(similarity: Float[np.ndarray, "q r"], truth: Int[np.ndarray, " q"]) -> float:
    """Return the b that makes softmax(b s) most likely to give each query's true reference.

    Args:
        similarity: cosine similarities of validation queries and references, the true ones among them.
        truth: column of each query's true reference.

    The likelihood is concave in b: its slope is halved in on. One more query is taken to be answered by any reference
    alike (label smoothing by 1 / (q + 1)), for q right answers in a row prove no certainty, and have no maximum.

    Raises:
        AenetError: the similarities say nothing of the truth: no b > 0 is better than guessing.
    """
    similarity = similarity.astype(np.float64)
    own = np.take_along_axis(similarity, truth[:, None], axis=1)[:, 0]
    own += (similarity.mean(1) - own) / (len(truth) + 1)
    below = similarity - similarity.max(1, keepdims=True)

    def slope(sharpness: float) -> float:
        weight = np.exp(sharpness * below)
        return float((own - (weight * similarity).sum(1) / weight.sum(1)).mean())

    low, high = 1e-3, 1.0
    if slope(low) <= 0:
        raise AenetError(f"no calibration for {len(truth)} validation queries: similarity says nothing of their places")
    while slope(high) > 0:
        low, high = high, 2 * high
    while high / low > 1 + 1e-6:
        middle = (low * high) ** 0.5
        low, high = (middle, high) if slope(middle) > 0 else (low, middle)
    return high


def probability_within(
    probability: Float[np.ndarray, " n"], distance_m: Float[np.ndarray, " n"], metres: float = NEAR_M
) -> float:
    """Return the probability that the photo was taken within `metres` of the answer.

    Args:
        probability: of points.
        distance_m: of each from the answer.
    """
    return float(probability[distance_m <= metres].sum())


def error_radius_m(
    probability: Float[np.ndarray, " n"], distance_m: Float[np.ndarray, " n"], share: float = RADIUS_SHARE
) -> float:
    """Return the radius in metres around the answer that holds `share` of the probability, which sums to 1."""
    order = np.argsort(distance_m, kind="stable")
    held = np.cumsum(probability[order])
    return float(distance_m[order][min(int(np.searchsorted(held, share * held[-1])), len(order) - 1)])


def spread_m(probability: Float[np.ndarray, " k"], distance_m: Float[np.ndarray, " k"]) -> float:
    """Return the root mean square distance in metres of the given tiles from the answer, by their probability."""
    share = probability / probability.sum()
    return float(np.sqrt((share * distance_m**2).sum()))
