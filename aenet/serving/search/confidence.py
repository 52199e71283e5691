"""How much an answer is to be believed: a probability over the gallery's tiles, from the scores of the best of them.

A tile's probability is softmax(b s) of its cosine similarity s; the sharpness b is the only number that is learnt, by
maximum likelihood on a validation split (temperature scaling: Guo et al. 2017, arXiv:1706.04599). The size of the
gallery enters by itself, for every further tile takes its share. A search returns the best tiles only; the share of
the others is extrapolated from how scores fall with the logarithm of the rank.

A tile of a grid stands for its cell: its probability is spread evenly over the ground that is nearer to it than to
any other tile (`spread_out`). From that follow the confidence (probability within `NEAR_M` of the answer), the error
radius (smallest circle around the answer that holds 90 %) and the spread of the best tiles.
"""

import numpy as np
from jaxtyping import Bool, Float, Int

from aenet.errors import AenetError

NEAR_M = 25.0  # the field's usual radius for a useful answer
RADIUS_SHARE = 0.9
_POINTS = 64  # in a cell
_ROUNDING = 1e-6  # sums of probabilities in another order differ by less
LISTED = 256  # tiles whose scores are wanted: on ten thousand tiles the rest then holds a few per cent


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


def probabilities(scores: Float[np.ndarray, "q k"], tiles: int, sharpness: float) -> Float[np.ndarray, "q k"]:
    """Return the probability of each listed tile, best first; a row sums to 1 less the share of unlisted tiles.

    Args:
        scores: similarities of the best tiles, descending.
        tiles: how many tiles the gallery has.
    """
    weight = np.exp(sharpness * (scores.astype(np.float64) - scores[:, :1]))
    return np.asarray(weight / (weight.sum(1) + _unlisted(scores, tiles, sharpness))[:, None])


def _unlisted(scores: Float[np.ndarray, "q k"], tiles: int, sharpness: float) -> Float[np.ndarray, " q"]:
    """Weight of the tiles beyond the listed ones, in units of the best tile's."""
    listed = scores.shape[1]
    if tiles <= listed or listed < 2:
        return np.zeros(len(scores))
    last = scores[:, -1].astype(np.float64)
    fall = (scores[:, listed // 2 - 1] - last) / np.log(listed / (listed // 2))  # per unit of the rank's logarithm
    # sum over ranks r > k of exp(-b fall ln(r / k)), as an integral.
    power = sharpness * np.maximum(fall, 0.0)
    ratio = tiles / listed
    near_one = np.abs(1 - power) < 1e-9
    integral = np.where(near_one, np.log(ratio), (ratio ** (1 - power) - 1) / np.where(near_one, 1.0, 1 - power))
    return np.asarray(np.exp(sharpness * (last - scores[:, 0])) * listed * integral)


def in_reach(
    probability: Float[np.ndarray, " k"], distance_m: Float[np.ndarray, " k"], spacing_m: float | None
) -> Bool[np.ndarray, " k"]:
    """Return which tiles count for `within` and `error_radius_m`: all others lie outside both circles.

    Most listed tiles do, and need not be spread out: those farther away than a circle that certainly holds 90 %.
    Arguments as in `spread_out`.
    """
    cell = (spacing_m or 0.0) / np.pi**0.5
    whole = distance_m + cell  # a circle of this radius holds all of the cell
    order = np.argsort(whole)
    held = np.cumsum(probability[order])
    enough = int(np.searchsorted(held, RADIUS_SHARE + _ROUNDING))
    reach = whole[order[enough]] if enough < len(order) else np.inf
    if held[-1] < RADIUS_SHARE - _ROUNDING:  # no circle holds 90 %
        reach = 0.0
    return np.asarray(distance_m - cell <= max(reach, NEAR_M))


def spread_out(
    probability: Float[np.ndarray, " k"], distance_m: Float[np.ndarray, " k"], spacing_m: float | None
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Return probabilities and distances from the answer of points spread evenly over the tiles' cells.

    Args:
        probability, distance_m: of the listed tiles, and of their centres from the answer.
        spacing_m: of the grid; None where tiles are centred on photos: then each is its own point.

    A cell is taken to be a disc of the same area, so that only its distance matters.
    """
    if spacing_m is None:
        return probability, distance_m
    turn = np.arange(_POINTS) * np.pi * (3 - 5**0.5)  # a sunflower: every point has the same area around it
    radius = spacing_m / np.pi**0.5 * np.sqrt((np.arange(_POINTS) + 0.5) / _POINTS)
    along, across = radius * np.cos(turn), radius * np.sin(turn)
    return np.repeat(probability / _POINTS, _POINTS), np.hypot(distance_m[:, None] + along, across).ravel()


def within(probability: Float[np.ndarray, " k"], distance_m: Float[np.ndarray, " k"], metres: float = NEAR_M) -> float:
    """Return the probability that the photo was taken within `metres` of the answer.

    Args:
        probability: of the listed tiles.
        distance_m: of each from the answer.
    """
    return float(probability[distance_m <= metres].sum())


def error_radius_m(probability: Float[np.ndarray, " k"], distance_m: Float[np.ndarray, " k"]) -> float | None:
    """Return the radius in metres around the answer that holds 90 % of the probability.

    None where the listed tiles hold less: then the photo may be anywhere.
    """
    order = np.argsort(distance_m, kind="stable")
    held = np.cumsum(probability[order])
    reached = int(np.searchsorted(held, RADIUS_SHARE))
    return float(distance_m[order][reached]) if reached < len(order) else None


def spread_m(probability: Float[np.ndarray, " k"], distance_m: Float[np.ndarray, " k"]) -> float:
    """Return the root mean square distance in metres of the given tiles from the answer, by their probability."""
    share = probability / probability.sum()
    return float(np.sqrt((share * distance_m**2).sum()))
