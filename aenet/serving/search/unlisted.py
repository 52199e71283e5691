"""The tiles that a search does not list: how many there are of each score, and where.

A search that compares a photo with every tile counts scores as it goes (`count`), and what is not listed is known to
a bin. An index sees most tiles as codes only: there a sample of the gallery is compared, too, and a
curve is laid through both (`extrapolate`).
"""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from jaxtyping import Bool, Float, Float32, Int64

BINS = 1024  # over -1..1: within a bin, odds of sharpness 100 vary by 1.2 times, and their mean is off by 0.2 %
_FIRST = 16  # of a sorted sample that is relied on: its rank is known to a quarter
_TRUST = 16.0  # the bulk of a sample is not to outweigh its tail
_STEPS = 64  # of the tail
_PLACES = 512


@dataclass(frozen=True)
class Rest:
    """Unlisted tiles.

    Attributes:
        scores, tiles: so many tiles have about that cosine.
        rows: row numbers of some of the compared tiles, drawn evenly from all: where unlisted tiles lie.
    """

    scores: Float[np.ndarray, " m"]
    tiles: Float[np.ndarray, " m"]
    rows: Int64[np.ndarray, " n"]


def count(scores: Float32[np.ndarray, "q m"], inside: Bool[np.ndarray, "q m"] | None) -> Int64[np.ndarray, "q b"]:
    """Return how many of the tiles compared with each photo have scores in each bin; `inside` says which count."""
    bins = np.clip((scores + 1) * (BINS / 2), 0, BINS - 1).astype(np.int64)
    bins += np.arange(len(scores))[:, None] * BINS
    counted = bins.ravel() if inside is None else bins[inside]
    return np.bincount(counted, minlength=len(scores) * BINS).reshape(len(scores), BINS)


def bin_scores() -> Float[np.ndarray, " b"]:
    """Return the score in the middle of each bin."""
    return (np.arange(BINS) + 0.5) / (BINS / 2) - 1


def counted(counts: Int64[np.ndarray, " b"], listed: Float32[np.ndarray, " k"], rows: Int64[np.ndarray, " n"]) -> Rest:
    """Return the rest where all tiles were counted, those listed among them."""
    left = counts - count(listed[None], None)[0]
    some = np.flatnonzero(left)
    return Rest(bin_scores()[some], left[some].astype(np.float64), rows)


def extrapolate(
    listed: Float32[np.ndarray, " k"], tiles: int, sample: Float32[np.ndarray, " n"], rows: Int64[np.ndarray, " n2"]
) -> Rest:
    """Return the rest of `tiles` tiles of which the best `k` are listed, from the scores of an even sample.

    Scores are taken to be a parabola in the normal quantile of their rank, in which a normal distribution is a straight
    line: the one that lies best along the listed tiles and those of the sample that stand for lower ranks.
    """
    k = len(listed)
    if tiles <= k:
        return Rest(np.empty(0), np.empty(0), rows)
    ordered = np.sort(sample.astype(np.float64))[::-1]
    mine, theirs = _some_ranks(k), _some_ranks(len(ordered))
    behind = (theirs - 0.5) / len(ordered) * tiles > k
    rank = np.concatenate([mine - 0.5, (theirs[behind] - 0.5) / len(ordered) * tiles])
    score = np.concatenate([listed[mine - 1].astype(np.float64), ordered[theirs[behind] - 1]])
    quantile = _quantile(rank / (tiles + 1))
    # The n-th of a sorted sample has its rank to within 1 / sqrt(n).
    weight = np.minimum(np.sqrt(np.concatenate([mine, theirs[behind]])), _TRUST) * np.maximum(np.abs(quantile), 0.3)
    shape = np.polyfit(quantile, score, min(2, len(rank) - 1), w=weight)
    edges = np.geomspace(k, tiles, _STEPS + 1)
    said = np.polyval(shape, _quantile(np.sqrt(edges[1:] * edges[:-1]) / (tiles + 1)))
    return Rest(np.minimum(said, float(listed[-1])), np.diff(edges), rows)


def _quantile(shares: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Return the normal distribution's quantiles of a few shares in 0..1; the base install has no scipy."""
    normal = NormalDist()
    return np.array([normal.inv_cdf(share) for share in shares])


def _some_ranks(tiles: int) -> Int64[np.ndarray, " n"]:
    return np.unique(np.geomspace(min(_FIRST, tiles), tiles, _STEPS).astype(np.int64))


def some_rows(rows: int) -> Int64[np.ndarray, " n"]:
    """Return numbers of some of so many rows, evenly from first to last, the same ones every time."""
    return np.unique(np.linspace(0, rows - 1, min(rows, _PLACES)).round().astype(np.int64))
