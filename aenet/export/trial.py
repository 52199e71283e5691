"""Photos sought in grids whose answers are known, and the numbers with which confidences and circles keep their word.

Confidence grows with the sharpness: the one is right at which its mean is the share of photos placed within
`NEAR_M`. Of the probability, the share that lies nearer to the answer than the truth does is then measured for every
photo; the circle that is to hold 90 % of the photos has to hold the 90 % quantile of it.
"""

import math
from functools import cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float32, Int, Int32
from scipy.optimize import brentq
from scipy.special import logsumexp

from aenet.data.card import Acuity
from aenet.scoring.confidence import NEAR_M, RADIUS_SHARE, cell_of, evidence

_SCORES = np.linspace(-1, 1, 4001)
_BLUNTEST, _SHARPEST, _STEP = math.log(0.05), math.log(5000.0), math.log(2.0)
_FINE_M = 100.0  # farther away a cell lies within a circle or outside


class _Search(NamedTuple):
    """What seeking some photos in one grid gave."""

    scores: Float32[np.ndarray, "q n"]
    step: Int32[np.ndarray, "q n"]  # of `_SCORES` below each score
    beyond: Float32[np.ndarray, "q n"]  # how far on to the next, 0..1
    best: Int[np.ndarray, " q"]
    away: Float32[np.ndarray, "q n"]  # metres of each tile from the answer
    error: Float[np.ndarray, " q"]
    number: Int[np.ndarray, " q"]


class Trial:
    """Searches in grids of one spacing."""

    def __init__(self, acuity: Acuity, spacing_m: float) -> None:
        self._cell, self._acuity = cell_of(spacing_m), acuity
        self._evidence = evidence(_SCORES, self._cell, acuity)
        self._searches: list[_Search] = []

    def seek(
        self,
        scores: Float32[np.ndarray, "q n"],
        photos: Float[np.ndarray, "q 2"],
        tiles: Float[np.ndarray, "n 2"],
        number: Int[np.ndarray, " q"],
    ) -> None:
        """Seek photos in a grid.

        Args:
            scores: cosines.
            photos, tiles: metres on a plane.
            number: of each photo, which may be sought in several grids.
        """
        best = scores.argmax(1)
        answer = tiles[best]
        away = np.hypot(*(tiles[None, :, axis] - answer[:, None, axis] for axis in (0, 1))).astype(np.float32)
        at = (scores.astype(np.float64) + 1) * ((len(_SCORES) - 1) / 2)
        step = np.clip(at.astype(np.int32), 0, len(_SCORES) - 2)  # found once, for all sharpnesses that are tried
        beyond = (at - step).astype(np.float32)
        self._searches.append(_Search(scores, step, beyond, best, away, np.hypot(*(answer - photos).T), number))

    def fit(self) -> tuple[float, float]:
        """Return the sharpness, and the share of the probability that a circle must hold to hold 90 % of the photos.

        Half a photo more is taken to be right, and one wrong: q right answers in a row prove no certainty, nor q wrong
        ones that no photo is ever right. The circle holds a standard error more than 90 % of these photos: said to hold
        90 %, it had better hold more than less.
        """
        photos = len(np.unique(np.concatenate([search.number for search in self._searches])))
        error = np.concatenate([search.error for search in self._searches])
        target = (float((error <= NEAR_M).mean()) * photos + 0.5) / (photos + 1.5)

        @cache
        def excess(log_sharpness: float) -> float:
            return float(self._held(math.exp(log_sharpness), None).mean()) - target

        low = high = math.log(self._acuity.centred)  # not far from it
        while excess(low) > 0 and low > _BLUNTEST:
            low -= _STEP
        while excess(high) < 0 and high < _SHARPEST:
            high += _STEP
        crosses = excess(low) < 0 < excess(high)
        found = brentq(excess, low, high, xtol=1e-3) if crosses else high if excess(low) < 0 else low
        sharpness = math.exp(found)
        margin = (RADIUS_SHARE * (1 - RADIUS_SHARE) / photos) ** 0.5
        return sharpness, float(np.quantile(self._held(sharpness, error), min(1.0, RADIUS_SHARE + margin)))

    def _held(self, sharpness: float, reach_m: Float[np.ndarray, " p"] | None) -> Float[np.ndarray, " p"]:
        """Return the probability within `reach_m` of each photo's answer, `NEAR_M` of all where it is None."""
        log_weight = logsumexp(sharpness * self._evidence, axis=1).astype(np.float32)
        counts = [len(search.best) for search in self._searches]
        reaches = np.split(np.full(sum(counts), NEAR_M) if reach_m is None else reach_m, np.cumsum(counts)[:-1])
        return np.concatenate(
            [
                self._within(search, sharpness, log_weight, reach)
                for search, reach in zip(self._searches, reaches, strict=True)
            ]
        )

    def _within(
        self,
        search: _Search,
        sharpness: float,
        log_weight: Float32[np.ndarray, " s"],
        reach: Float[np.ndarray, " q"],
    ) -> Float[np.ndarray, " q"]:
        weight = log_weight[search.step] + search.beyond * np.diff(log_weight)[search.step]
        top = weight[np.arange(len(search.best)), search.best]
        np.exp(weight - top[:, None], out=weight)
        rim = np.where(reach <= _FINE_M, self._cell.radius_m, 0.0)[:, None]
        whole = search.away + rim <= reach[:, None]
        photo, tile = np.nonzero(~whole & (search.away - rim < reach[:, None]))
        said = evidence(search.scores[photo, tile], self._cell, self._acuity)
        points = np.exp(sharpness * said - top[photo, None])
        points *= self._cell.distance_m(search.away[photo, tile].astype(np.float64)) <= reach[photo, None]
        inside = (weight * whole).sum(1) + np.bincount(photo, points.sum(1), len(reach))
        return np.asarray(np.minimum(1.0, inside / weight.sum(1)))
