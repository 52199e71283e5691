"""Ranks and best references, counted while tiles of a matrix of similarities go by.

A rank is the number of references, right answers aside, at least as similar as the query's best right answer: 0 is
best, and **a tie counts against the query**, so that collapsed descriptors rank last instead of first.

Similarities in float32 cannot tell: equal descriptors come out further apart than better ones (`products`). They
decide where they differ from the right answer's by more than their largest error; the few that are nearer are computed
again in float64, as the right answer's always is. So a tie is a tie at any dimension, on any processor.
"""

from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Float64, Int

from aenet.retrieval.positives import Positives
from aenet.retrieval.products import UNIT, slices

# Nearer than this is a tie. Components of descriptors are float32: each is off by up to UNIT of itself, and so a cosine
# of two by 2 UNIT whatever the dimension, and a difference of two cosines by 4. The network that computed them rounds,
# too, and not the same in every batch; this is four times as much.
_TIE = 16 * UNIT
_ROWS = 256  # looked at again together
# One in so many near the right answer, and all of its row are computed again: a pair by itself costs as much as some
# dozen of a matrix product.
_SPARSE = 32


@runtime_checkable  # the tests check types
class Exact(Protocol):
    """The similarities of one tile in float64; queries and references count from the tile's first."""

    @property
    def error(self) -> float:
        """By how much the tile's float32 may differ from these, at most."""

    def pairs(self, query: Int[np.ndarray, " p"], reference: Int[np.ndarray, " p"]) -> Float64[np.ndarray, " p"]:
        """Return the similarities of pairs."""

    def rows(self, part: slice) -> Float64[np.ndarray, "q r"]:
        """Return the similarities of some queries with all references of the tile."""


class BestReferences:
    """The `k` best references of all queries, while tiles of similarities go by in any order.

    `top` (rows, best first, among equals the lowest row first) and `similarity` (theirs) are right once every query
    has met every reference.
    """

    def __init__(self, queries: int, k: int) -> None:
        self.top = np.full((queries, k), -1, np.int64)
        self.similarity = np.full((queries, k), -np.inf, np.float32)

    def add(self, rows: slice, columns: slice, similarity: Float[np.ndarray, "q r"]) -> None:
        """Keep the best of one tile and of what came before."""
        k = self.top.shape[1]
        found = first_k(similarity, k)
        values = np.concatenate([self.similarity[rows], np.take_along_axis(similarity, found, axis=1)], axis=1)
        numbers = np.concatenate([self.top[rows], found + columns.start], axis=1)
        order = np.lexsort((numbers, -values), axis=1)[:, :k]
        self.similarity[rows] = np.take_along_axis(values, order, axis=1)
        self.top[rows] = np.take_along_axis(numbers, order, axis=1)


class Tally:
    """The rank of all queries, and with `k` their best references too, while tiles go by in any order."""

    def __init__(self, positives: Positives, k: int = 0) -> None:
        self.rank = np.zeros(len(positives), np.int64)
        self.best = BestReferences(len(positives), k)
        self._k = k
        self.positives = positives
        self._own = np.full(len(positives), np.nan, np.float64)

    def expect(self, rows: slice, similarity: Float64[np.ndarray, " p"]) -> None:
        """Tell the similarities of the right answers of `rows`, in the order of `Positives.pairs`, before any tile."""
        self._own[rows] = self.positives.best(rows, similarity)

    def add(self, rows: slice, columns: slice, similarity: Float[np.ndarray, "q r"], exact: Exact) -> None:
        """Count one tile; its array is used up."""
        if self.positives.repeated is not None:
            similarity[:, self.positives.repeated[columns]] = -np.inf
        if self._k:
            self.best.add(rows, columns, similarity)
        query, reference = self.positives.pairs(rows)
        inside = (reference >= columns.start) & (reference < columns.stop)
        similarity[query[inside] - rows.start, reference[inside] - columns.start] = -np.inf
        own = self._own[rows]
        reach = exact.error + _TIE + 2 * UNIT  # the last for the bounds' own rounding
        low, high = (own - reach).astype(np.float32), (own + reach).astype(np.float32)
        # What is not worse counts, rather than what is as good: NaN must not look like a good rank.
        counts = ~(similarity < low[:, None])
        self.rank[rows] += np.count_nonzero(counts, axis=1)
        near = counts & ~(similarity > high[:, None])
        self.rank[rows] -= _worse(near, own - _TIE, exact)


def _worse(near: Bool[np.ndarray, "q r"], bound: Float64[np.ndarray, " q"], exact: Exact) -> Int[np.ndarray, " q"]:
    """Return how many of the references `near` a query's right answer are below its `bound` after all."""
    out = np.zeros(len(near), np.int64)
    for part in slices(len(near), _ROWS):
        asked = near[part]
        if not asked.any():
            continue
        if np.count_nonzero(asked) > asked.size // _SPARSE:
            out[part] = np.count_nonzero(asked & (exact.rows(part) < bound[part, None]), axis=1)
        else:
            query, reference = np.nonzero(asked)
            worse = exact.pairs(query + part.start, reference) < bound[part][query]
            out[part] = np.bincount(query[worse], minlength=len(asked))
    return out


def first_k(values: Float[np.ndarray, "q r"], k: int) -> Int[np.ndarray, "q k2"]:
    """Return the columns of each row's `k` greatest values (all, if fewer), in no order; of equals, the first ones."""
    width = values.shape[1]
    if k >= width:
        return np.broadcast_to(np.arange(width), values.shape)
    found = np.argpartition(values, width - k, axis=1)[:, width - k :].copy()
    threshold = np.take_along_axis(values, found, axis=1).min(1)
    # A partition picks any of those equal to the last: where there is a choice, sort.
    for row in np.flatnonzero(np.count_nonzero(values >= threshold[:, None], axis=1) > k):
        found[row] = np.argsort(-values[row], kind="stable")[:k]
    return found
