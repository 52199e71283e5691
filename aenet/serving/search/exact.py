"""Exact nearest tiles by inner product, shard by shard, straight from the memory-mapped descriptors."""

from collections.abc import Sequence

import faiss
import numpy as np
from jaxtyping import Float32, Int64

_BLOCK_BYTES = 256 << 20  # descriptors read at once; bounds memory whatever the gallery's size


def search(
    shards: Sequence[np.ndarray], queries: Float32[np.ndarray, "q d"], k: int, threads: int = 0
) -> tuple[Float32[np.ndarray, "q k2"], Int64[np.ndarray, "q k2"]]:
    """Return scores and row numbers of each query's best tiles, best first.

    Args:
        shards: descriptor arrays [n_i, d], float32 or float16, whose rows are numbered through.
        queries: unit descriptors; scores are cosine similarities in [-1, 1].
        k: how many tiles; fewer columns come back where the gallery has fewer.
        threads: faiss threads; 0 leaves its setting alone.

    Equal scores are ordered by row number, so that the answer does not depend on how shards were cut.
    """
    if threads:
        faiss.omp_set_num_threads(threads)
    total = sum(len(shard) for shard in shards)
    k = min(k, total)
    best_scores = np.full((len(queries), 0), -np.inf, np.float32)
    best_rows = np.full((len(queries), 0), -1, np.int64)
    offset = 0
    for shard in shards:
        for block in _blocks(shard):
            scores, rows = faiss.knn(queries, block, min(k, len(block)), metric=faiss.METRIC_INNER_PRODUCT)
            best_scores, best_rows = merge(best_scores, best_rows, scores, rows + offset, k)
            offset += len(block)
    return best_scores, best_rows


def _blocks(shard: np.ndarray) -> list[np.ndarray]:
    if len(shard) == 0:
        return []
    rows = max(1, _BLOCK_BYTES // (4 * shard.shape[1]))
    # faiss reads float32; for a float32 memory map this copies nothing.
    return [np.ascontiguousarray(shard[i : i + rows], dtype=np.float32) for i in range(0, len(shard), rows)]


def merge(
    scores: np.ndarray, rows: np.ndarray, more_scores: np.ndarray, more_rows: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray]:
    scores = np.concatenate([scores, more_scores], axis=1)
    rows = np.concatenate([rows, more_rows.astype(np.int64)], axis=1)
    order = np.lexsort((rows, -scores), axis=1)[:, :k]
    return np.take_along_axis(scores, order, axis=1), np.take_along_axis(rows, order, axis=1)
