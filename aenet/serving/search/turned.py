"""Panoramas of unknown heading against codes: every azimuth is a query of its own, and the best of them counts.

The score of such a photo is its best cosine over all azimuths (`scores`). Turning a descriptor that is a map is
rolling its columns, so each azimuth is an inner product like any other, and codes rank them all alike.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32, Int64

from aenet.retrieval.rowblocks import slices
from aenet.serving.search.codes import Codes
from aenet.serving.search.exact import gather
from aenet.serving.search.queries import Query
from aenet.serving.search.scores import matcher

_TIMES = 4  # the candidates, for every heading brings rivals of its own (docs/decisions/0006-codes-not-lists.md)
_LISTED = 4 << 20  # candidates of all azimuths held at a time: 12 bytes each, and as much again to sort them


def turned_depth(candidates: int, k: int) -> int:
    """Return how many tiles to re-rank for the best `k`, where `candidates` are enough at a known heading."""
    return max(_TIMES * candidates, 2 * k)


def turned_candidates(codes: Codes, queries: Sequence[Query], count: int, threads: int = 0) -> Int64[np.ndarray, "q c"]:
    """Return the row numbers of the `count` tiles that promise most at any azimuth, -1 where fewer were listed."""
    turns = queries[0].maps.shape[0] * queries[0].maps.shape[-1]
    parts = []
    for some in slices(len(queries), max(1, _LISTED // (turns * count))):
        mine = np.concatenate([_all_turns(query) for query in queries[some]])
        scores, rows = codes.candidates(mine, count, threads)
        groups = len(mine) // turns
        for score, row in zip(scores.reshape(groups, -1), rows.reshape(groups, -1), strict=True):
            parts.append(_best(score, row, count))
    return np.stack(parts)


def _all_turns(query: Query) -> Float32[np.ndarray, "t d"]:
    columns = query.maps.shape[-1]
    turned = [np.roll(query.maps, shift, axis=-1).reshape(len(query.maps), -1) for shift in range(columns)]
    return np.ascontiguousarray(np.concatenate(turned), np.float32)


def _best(scores: Float32[np.ndarray, " n"], rows: Int64[np.ndarray, " n"], count: int) -> Int64[np.ndarray, " c"]:
    """Return each row once, by the best of its scores."""
    rows = rows[np.argsort(-scores, kind="stable")]
    rows = rows[np.sort(np.unique(rows, return_index=True)[1])][:count]
    return np.pad(rows, (0, count - len(rows)), constant_values=-1)


def rerank_turned(
    shards: Sequence[np.ndarray], queries: Sequence[Query], candidates: Int64[np.ndarray, "q c"], k: int
) -> tuple[Float32[np.ndarray, "q k2"], Int64[np.ndarray, "q k2"]]:
    """Return exact scores and rows of each photo's `k` best among its candidates; -inf and -1 fill up."""
    scores = np.full(candidates.shape, -np.inf, np.float32)
    for number, (query, rows) in enumerate(zip(queries, candidates, strict=True)):
        listed = rows >= 0
        scores[number, listed] = matcher([query]).scores(gather(shards, rows[listed]))[0]
    order = np.lexsort((candidates, -scores), axis=1)[:, :k]
    return np.take_along_axis(scores, order, axis=1), np.take_along_axis(candidates, order, axis=1)
