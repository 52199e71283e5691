"""Photos against tile after tile, whatever the photos show and wherever they may have been taken."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int64

from aenet.retrieval.rowblocks import slices, take
from aenet.serving.galleries.gallery import Gallery
from aenet.serving.search.exact import merge
from aenet.serving.search.prior import Box, Near, allowed
from aenet.serving.search.queries import Query
from aenet.serving.search.rest import BINS, count
from aenet.serving.search.scores import matcher

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
        asked: photos of one kind (`scores.kind`), all with a prior or none.
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
