"""Approximate nearest tiles for galleries too large to be searched in full: inverted lists, then exact re-ranking.

The tiles are sorted into lists around centroids (IVF: Sivic and Zisserman 2003; Jegou, Douze and Schmid 2011) and kept
there in 8 bits a value. A query reads the lists of its nearest centroids, takes the best candidates by those codes,
and ranks them by their descriptors as they stand on disk: scores are exact, only membership is approximate. Neither
lists nor descriptors are read into memory as a whole; both are memory-mapped.

index/
  ivf.faiss      centroids and lists
  manifest.json  digests, and in its `meta` what the index covers (IvfMeta)
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import faiss
import numpy as np
from jaxtyping import Float32, Int64

from aenet.artifacts import atomic_folder, read_manifest, verify_folder
from aenet.errors import CorruptArtifact
from aenet.params import Config

INDEX = "ivf.faiss"
_TRAINING_PER_LIST = 50  # faiss wants 39 at least; more than 256 it would not use
_BLOCK_BYTES = 128 << 20


class IvfMeta(Config):
    """What an index covers.

    Attributes:
        shards: digests of the gallery's shards it covers, in order; rows are numbered through them.
        tiles, dim: descriptors covered, and their length.
        lists: number of inverted lists.
    """

    shards: tuple[str, ...]
    tiles: int
    dim: int
    lists: int


@dataclass(frozen=True)
class SearchOptions:
    """What a search spends.

    Attributes:
        probes: lists read for a query.
        candidates: tiles re-ranked for a query.
    """

    probes: int = 16
    candidates: int = 100


def build_ivf(
    shards: Sequence[np.ndarray],
    digests: Sequence[str],
    out: Path,
    lists: int | None = None,
    threads: int = 0,
    on_progress: Callable[[int, int], None] | None = None,
) -> IvfMeta:
    """Build the index of memory-mapped descriptor arrays [n_i, d] and write it to `out`, wholly or not at all.

    Args:
        shards, digests: the gallery's descriptors and the digests that name them.
        lists: number of inverted lists; None takes 2 sqrt(n), which halves the work between centroids and lists.
        threads: faiss threads; 0 leaves its setting alone.
    """
    if threads:
        faiss.omp_set_num_threads(threads)
    total, dim = sum(len(shard) for shard in shards), shards[0].shape[1]
    lists = min(lists or max(1, round(2 * total**0.5)), max(1, total // _TRAINING_PER_LIST))
    index = faiss.IndexIVFScalarQuantizer(
        faiss.IndexFlatIP(dim), dim, lists, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT
    )
    index.cp.niter = 10  # more does not sharpen lists that 16 probes read
    index.train(_sample(shards, lists * _TRAINING_PER_LIST))
    done = 0
    for shard in shards:
        for block in _blocks(shard):
            index.add(block)
            done += len(block)
            if on_progress is not None:
                on_progress(done, total)
    meta = IvfMeta(shards=tuple(digests), tiles=total, dim=dim, lists=lists)
    with atomic_folder(out, meta.model_dump(mode="json")) as folder:
        faiss.write_index(index, str(folder / INDEX))
    return meta


def _sample(shards: Sequence[np.ndarray], wanted: int) -> Float32[np.ndarray, "n d"]:
    """Every n-th descriptor of all shards: the same ones every time."""
    step = max(1, sum(len(shard) for shard in shards) // wanted)
    return np.concatenate([np.asarray(shard[::step], dtype=np.float32) for shard in shards])


def _blocks(shard: np.ndarray) -> list[np.ndarray]:
    rows = max(1, _BLOCK_BYTES // (4 * shard.shape[1]))
    return [np.ascontiguousarray(shard[i : i + rows], dtype=np.float32) for i in range(0, len(shard), rows)]


class Ivf:
    """An opened index. Its lists stay on disk; pages that a search touches are the system's to keep or to drop."""

    def __init__(self, folder: Path, full: bool = True) -> None:
        """Open `folder`.

        Raises:
            CorruptArtifact: not a finished index, or its bytes differ from its manifest.
        """
        verify_folder(folder, full=full)
        try:
            self.meta = IvfMeta.model_validate_json(_json(read_manifest(folder).meta))
            self._index = faiss.read_index(str(folder / INDEX), faiss.IO_FLAG_MMAP | faiss.IO_FLAG_READ_ONLY)
        except (ValueError, RuntimeError) as error:
            raise CorruptArtifact(f"{folder} is not an index or is damaged: delete it and build it again") from error

    def candidates(
        self, queries: Float32[np.ndarray, "q d"], options: SearchOptions, threads: int = 0
    ) -> Int64[np.ndarray, "q c"]:
        """Return the row numbers of each query's candidates, -1 where its lists hold fewer."""
        faiss.omp_set_num_threads(threads or os.cpu_count() or 1)
        parameters = faiss.SearchParametersIVF()
        parameters.nprobe = min(options.probes, self.meta.lists)
        count = min(options.candidates, self.meta.tiles)
        rows: np.ndarray = self._index.search(queries, count, params=parameters)[1]
        return rows.astype(np.int64)


def rerank(
    shards: Sequence[np.ndarray],
    queries: Float32[np.ndarray, "q d"],
    candidates: Int64[np.ndarray, "q c"],
    k: int,
) -> tuple[Float32[np.ndarray, "q k"], Int64[np.ndarray, "q k"]]:
    """Return exact scores and rows of each query's `k` best candidates, best first; -inf and -1 fill up.

    Equal scores are ordered by row number, as an exact search orders them.
    """
    starts = np.cumsum([0, *(len(shard) for shard in shards)])
    scores = np.full(candidates.shape, -np.inf, np.float32)
    for number, query in enumerate(queries):
        rows = candidates[number]
        owner = np.searchsorted(starts, rows, side="right") - 1
        for shard in np.unique(owner[rows >= 0]):
            at = np.flatnonzero((owner == shard) & (rows >= 0))
            scores[number, at] = shards[shard][rows[at] - starts[shard]].astype(np.float32) @ query
    order = np.lexsort((candidates, -scores), axis=1)[:, :k]
    return np.take_along_axis(scores, order, axis=1), np.take_along_axis(candidates, order, axis=1)


def _json(meta: object) -> str:
    import json

    return json.dumps(meta)
