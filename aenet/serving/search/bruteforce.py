"""Photos against tile after tile, whatever the photos show and wherever they may have been taken."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import faiss
import numpy as np
from jaxtyping import Bool, Float32, Int64

from aenet.retrieval.products import rows_within, slices, take
from aenet.scoring.similarity import Query, matcher
from aenet.serving.galleries.gallery import Gallery
from aenet.serving.search.prior import Box, Near, allowed
from aenet.serving.search.unlisted import BINS, count

# Exact nearest tiles by inner product, shard by shard, straight from the memory-mapped descriptors.

_BLOCK_BYTES = 256 << 20  # descriptors read at once; bounds memory whatever the gallery's size
_GATHERED_BYTES = 16 << 20


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
        for block in _tile_blocks(shard):
            scores, rows = faiss.knn(queries, block, min(k, len(block)), metric=faiss.METRIC_INNER_PRODUCT)
            best_scores, best_rows = merge(best_scores, best_rows, scores, rows + offset, k)
            offset += len(block)
    return best_scores, best_rows


def _tile_blocks(shard: np.ndarray) -> Iterator[Float32[np.ndarray, "m d"]]:
    # faiss reads float32; for a float32 memory map this copies nothing.
    for part in slices(len(shard), max(1, _BLOCK_BYTES // (4 * shard.shape[1]))):
        yield np.ascontiguousarray(shard[part], dtype=np.float32)


def rerank(
    shards: Sequence[np.ndarray],
    queries: Float32[np.ndarray, "q d"],
    candidates: Int64[np.ndarray, "q c"],
    k: int,
) -> tuple[Float32[np.ndarray, "q k2"], Int64[np.ndarray, "q k2"]]:
    """Return exact scores and rows of each query's `k` best among its candidates, best first.

    A candidate of -1 is none, and its score -inf. Equal scores are ordered by row number, as an exact search orders
    them.
    """
    scores = np.empty(candidates.shape, np.float32)
    step = rows_within(_GATHERED_BYTES, np.broadcast_to(queries[:1], (1, candidates.shape[1], queries.shape[1])))
    for some in slices(len(queries), step):
        rows = candidates[some]
        tiles = gather_rows(shards, np.maximum(rows, 0).ravel()).reshape(*rows.shape, -1)
        scores[some] = np.where(rows < 0, -np.inf, (tiles @ queries[some][:, :, None])[:, :, 0])
    order = np.lexsort((candidates, -scores), axis=1)[:, :k]
    return np.take_along_axis(scores, order, axis=1), np.take_along_axis(candidates, order, axis=1)


def gather_rows(shards: Sequence[np.ndarray], rows: Int64[np.ndarray, " m"]) -> Float32[np.ndarray, "m d"]:
    """Return the descriptors of some rows; the disk is read in its order, each shard once."""
    starts = np.cumsum([0, *(len(shard) for shard in shards)])
    order = np.argsort(rows, kind="stable")
    edges = np.searchsorted(rows[order], starts)
    out = np.empty((len(rows), shards[0].shape[1]), np.float32)
    for shard, start, first, last in zip(shards, starts, edges, edges[1:], strict=False):
        if first < last:
            mine = order[first:last]
            out[mine] = shard[rows[mine] - start]
    return out


def merge(
    scores: np.ndarray, rows: np.ndarray, more_scores: np.ndarray, more_rows: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the `k` best of two lists a query, best first; equal scores are ordered by row number."""
    scores = np.concatenate([scores, more_scores], axis=1)
    rows = np.concatenate([rows, more_rows.astype(np.int64)], axis=1)
    order = np.lexsort((rows, -scores), axis=1)[:, :k]
    return np.take_along_axis(scores, order, axis=1), np.take_along_axis(rows, order, axis=1)


_TILES, _BLOCK_BYTES = 512, 64 << 20  # compared at once, at most; spectra take as much again


@dataclass(frozen=True)
class Question:
    """A photo and where it may have been taken; None: anywhere."""

    query: Query
    prior: Near | Box | None = None


def compare_all(
    asked: Sequence[Question], gallery: Gallery, k: int, shards: Sequence[int] | None = None
) -> tuple[Float32[np.ndarray, "q k2"], Int64[np.ndarray, "q k2"], Int64[np.ndarray, "q b"]]:
    """Return scores and rows of each photo's `k` best tiles, best first, and how many tiles have which score (`rest`).

    Args:
        asked: photos of one kind (`similarity.kind`), all with a prior or none.
        shards: numbers of the gallery's shards to be searched; None: all.

    -inf and -1 fill up where the prior leaves fewer tiles than `k`.
    """
    compare = matcher([question.query for question in asked])
    scores, rows = np.empty((len(asked), 0), np.float32), np.empty((len(asked), 0), np.int64)
    counts = np.zeros((len(asked), BINS), np.int64)
    for numbers, descriptors, inside in _blocks(asked, gallery, shards):
        found = np.asarray(compare.scores(descriptors), np.float32)
        counts += count(found, inside)
        if inside is not None:
            found[~inside] = -np.inf
        best = _best(found, k)
        at = np.broadcast_to(numbers, found.shape) if best is None else numbers[best]
        scores, rows = merge(scores, rows, found if best is None else np.take_along_axis(found, best, 1), at, k)
    return scores, rows, counts


def _best(found: Float32[np.ndarray, "q m"], k: int) -> Int64[np.ndarray, "q k"] | None:
    """Return the columns of each row's `k` highest, the first of equals; None where that is all of them."""
    if k >= found.shape[1]:
        return None
    last = np.partition(found, -k, axis=1)[:, -k, None]
    kept, equal = found > last, found == last
    kept |= equal & (equal.cumsum(1) <= k - kept.sum(1, keepdims=True))
    return np.nonzero(kept)[1].reshape(len(found), k)


def _blocks(
    asked: Sequence[Question], gallery: Gallery, shards: Sequence[int] | None
) -> Iterator[tuple[Int64[np.ndarray, " m"], Float32[np.ndarray, "m d"], Bool[np.ndarray, "q m"] | None]]:
    """Yield row numbers, descriptors, and which photo may be there; tiles where none may be are not read."""
    places = [gallery.tiles[name].to_numpy(np.float64) for name in ("latitude", "longitude")]
    offset = 0
    for number, shard in enumerate(gallery.descriptors):
        if shards is None or number in shards:
            step = max(1, min(_TILES, _BLOCK_BYTES // max(1, 4 * shard.shape[1])))
            inside = _inside(asked, *(values[offset : offset + len(shard)] for values in places))
            wanted = np.arange(len(shard)) if inside is None else np.flatnonzero(inside.any(0))
            for part in slices(len(wanted), step):
                local = wanted[part]
                descriptors = np.ascontiguousarray(take(shard, local), dtype=np.float32)
                yield local + offset, descriptors, None if inside is None else inside[:, local]
        offset += len(shard)


def _inside(asked: Sequence[Question], latitude: np.ndarray, longitude: np.ndarray) -> Bool[np.ndarray, "q n"] | None:
    if asked[0].prior is None:
        return None
    masks: dict[Near | Box, np.ndarray] = {}
    for question in asked:
        if question.prior is not None and question.prior not in masks:
            masks[question.prior] = allowed(question.prior, latitude, longitude)
    return np.stack([masks[question.prior] for question in asked if question.prior is not None])
