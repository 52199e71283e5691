"""Ranks and best references, counted while tiles of a matrix of similarities go by.

A rank is the number of references, right answers aside, at least as similar as the query's best right answer: 0 is
best, and **a tie counts against the query**, so that collapsed descriptors rank last instead of first.
"""

import numpy as np
from jaxtyping import Float, Int

from aenet.retrieval.positives import Positives

# Equal descriptors may differ by rounding after a blocked product; nearer than this is a tie.
_TIE = 1e-6


class Best:
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
        self.best = Best(len(positives), k)
        self._k = k
        self.positives = positives
        self._own = np.full(len(positives), np.nan, np.float32)

    def expect(self, rows: slice, similarity: Float[np.ndarray, " p"]) -> None:
        """Tell the similarities of the right answers of `rows`, in the order of `Positives.pairs`, before any tile."""
        self._own[rows] = self.positives.best(rows, similarity)

    def add(self, rows: slice, columns: slice, similarity: Float[np.ndarray, "q r"]) -> None:
        """Count one tile; its array is used up."""
        if self._k:
            self.best.add(rows, columns, similarity)
        query, reference = self.positives.pairs(rows)
        inside = (reference >= columns.start) & (reference < columns.stop)
        similarity[query[inside] - rows.start, reference[inside] - columns.start] = -np.inf
        # What is not worse counts, rather than what is as good: NaN must not look like a good rank.
        worse = np.count_nonzero(similarity < self._own[rows, None] - _TIE, axis=1)
        self.rank[rows] += similarity.shape[1] - worse


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
