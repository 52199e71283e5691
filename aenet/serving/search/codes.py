"""Every tile in about one bit a value, to be scanned in full: candidates for an exact ranking.

Product quantization (Jegou, Douze and Schmid 2011): a descriptor is cut into sub-vectors of four values, and each is
replaced by the nearest of 16 centroids, 4 bits. The inner product with a query is then a sum of table look-ups, which
the processor does 32 tiles at a time (Andre, Kermarrec and Le Scouarnec 2017; faiss's fast scan). There are no lists
to choose from, so nothing depends on whether tiles stand in clusters (docs/decisions/0006-codes-not-lists.md).

codes.npy         uint8 [blocks, bytes]: 32 tiles a block, in faiss's order, tiles numbered through
quantizer.faiss   the centroids
rotation.npy      what was done to descriptors before
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import faiss
import numpy as np
from jaxtyping import Float32, Int64, UInt8

from aenet.io.errors import CorruptArtifact
from aenet.io.nolinks import read_listed
from aenet.io.plainfiles import open_array
from aenet.retrieval.products import slices
from aenet.serving.search.bruteforce import merge

# A rotation that spreads a descriptor's energy evenly over its values, so that each deserves the same few bits.
#
# Principal components, and channels of a network, differ in energy by orders of magnitude, and codes that give all of
# them alike waste most of their bits (docs/decisions/0006-codes-not-lists.md). Values are shuffled, their signs flipped
# at random, and each 256 of them multiplied by a Hadamard matrix: the randomized Hadamard transform of Ailon and
# Chazelle (2009), in blocks. Inner products stay what they were.

_ROTATED_BLOCK = 256


@dataclass(frozen=True)
class Rotation:
    """Order of the values, of the zeros they are padded with, and their signs (1 or -1)."""

    order: Int64[np.ndarray, " d2"]
    signs: Int64[np.ndarray, " d2"]

    @classmethod
    def random(cls, dim: int) -> "Rotation":
        """Return a rotation of `dim` values into the next multiple of 256, or power of two below; always the same."""
        generator, size = np.random.default_rng(0), padded(dim)
        return cls(generator.permutation(size), generator.choice([-1, 1], size))

    @classmethod
    def load(cls, path: Path) -> "Rotation":
        """Return the rotation that `save` wrote.

        Raises:
            CorruptArtifact: the file holds something else.
        """
        order, signs = np.array(open_array(path, ("int64",), (2, None)))
        size = len(order)
        if size < 4 or padded(size) != size or set(np.unique(signs)) - {-1, 1}:
            raise CorruptArtifact(f"{path} holds no rotation: run `aenet gallery index` again")
        if not np.array_equal(np.sort(order), np.arange(size)):
            raise CorruptArtifact(f"{path} names some values twice: run `aenet gallery index` again")
        return cls(order, signs)

    def save(self, path: Path) -> None:
        """Write it: a later numpy may draw other random numbers."""
        np.save(path, np.stack([self.order, self.signs]))

    def apply(self, rows: Float32[np.ndarray, "n d"]) -> Float32[np.ndarray, "n d2"]:
        """Return rotated rows."""
        padded = np.pad(rows, ((0, 0), (0, len(self.order) - rows.shape[1])))
        mixed = padded[:, self.order] * self.signs.astype(np.float32)
        size = min(_ROTATED_BLOCK, len(self.order))
        return np.asarray(mixed.reshape(-1, size) @ _hadamard(size), np.float32).reshape(padded.shape)


def padded(dim: int) -> int:
    """Return how many values a rotation makes of `dim`: the next multiple of 256, or power of two below."""
    return -(-dim // _ROTATED_BLOCK) * _ROTATED_BLOCK if dim > _ROTATED_BLOCK else max(4, 1 << (dim - 1).bit_length())


def _hadamard(size: int) -> Float32[np.ndarray, "b b"]:
    """Return Sylvester's matrix of a power of two, scaled to be orthogonal."""
    matrix = np.ones((1, 1), np.float32)
    while len(matrix) < size:
        matrix = np.block([[matrix, matrix], [matrix, -matrix]])
    return matrix / np.float32(size**0.5)


CODES, QUANTIZER, ROTATION = "codes.npy", "quantizer.faiss", "rotation.npy"
_VALUES = 4  # in a sub-vector, at least: then codes take a 32nd of float32 descriptors
_SUB_VECTORS = 1024  # at most: sums of table entries are kept in 16 bits, and more would leave too few to each
_BLOCK = 32  # tiles, fixed by faiss
_SAMPLE = 1024, 16_384  # descriptors that centroids are learnt from, at least and at most
_SAMPLE_BYTES = _TABLE_BYTES = 64 << 20
_READ_BYTES = 16 << 20  # of descriptors; their rotation takes three times as much again
_HELD_BYTES = 64 << 20  # of codes, in memory at a time: a million tiles of 512 values


def write_codes(
    shards: Sequence[np.ndarray],
    folder: Path,
    threads: int = 0,
    on_progress: Callable[[int, int], None] | None = None,
) -> int:
    """Write the codes of memory-mapped descriptor arrays [n_i, d]; return the bytes a tile takes.

    Args:
        threads: faiss threads; 0 leaves its setting alone.
        on_progress: called with (tiles done, tiles in all).
    """
    if threads:
        faiss.omp_set_num_threads(threads)
    total, dim = sum(len(shard) for shard in shards), shards[0].shape[1]
    rotation = Rotation.random(dim)
    rotation.save(folder / ROTATION)
    index = _untrained(len(rotation.order))
    index.train(rotation.apply(_sample(shards)))
    (folder / QUANTIZER).write_bytes(faiss.serialize_index(index).tobytes())  # faiss says nothing of a full disk
    block_bytes = index.M2 * _BLOCK // 2
    # Written and not mapped: a full disk is an error this way, and a killed process the other.
    with (folder / CODES).open("wb") as stream:
        header = {"descr": "|u1", "fortran_order": False, "shape": (-(-total // _BLOCK), block_bytes)}
        np.lib.format.write_array_header_1_0(stream, header)
        done = 0
        for rows in _batches(shards, max(1, _READ_BYTES // (4 * index.d) // _BLOCK) * _BLOCK):
            index.reset()
            index.add(rotation.apply(rows))
            stream.write(faiss.AlignedTable_to_array(index.codes).data)
            done += len(rows)
            if on_progress is not None:
                on_progress(done, total)
    return block_bytes // _BLOCK


def _untrained(size: int) -> faiss.IndexPQFastScan:
    """Return the quantizer of rotated descriptors of `size` values."""
    count = size // max(_VALUES, 1 << ((size - 1) // _SUB_VECTORS).bit_length())
    return faiss.IndexPQFastScan(size, count, 4, faiss.METRIC_INNER_PRODUCT)


def _read_quantizer(path: Path, size: int) -> faiss.IndexPQFastScan:
    """Return the quantizer that `write_codes` wrote.

    faiss's own reader goes wrong in other people's files: it may read for ever, or beyond its memory. So only the
    centroids are taken from the file, and all else in it must be what faiss writes today.

    Raises:
        CorruptArtifact: it is not.
    """
    index = _untrained(size)
    index.is_trained = True
    count = index.pq.centroids.size()
    zeros, ones = (_with_centroids(index, np.full(count, value, np.float32)) for value in (0, 1))
    first = int((zeros != ones).argmax()) - 2  # 1.0 is 00 00 80 3f
    part = slice(first, first + 4 * count)
    content = np.frombuffer(read_listed(path, len(zeros)), np.uint8)
    expected = zeros.copy()
    if len(content) == len(zeros):
        expected[part] = content[part]
    centroids = np.array(expected[part]).view("<f4")
    if not (np.array_equal(content, expected) and np.isfinite(centroids).all()):
        raise CorruptArtifact(f"{path} is not what this version writes, or damaged: run `aenet gallery index` again")
    _with_centroids(index, centroids)
    return index


def _with_centroids(index: faiss.IndexPQFastScan, centroids: Float32[np.ndarray, " n"]) -> UInt8[np.ndarray, " b"]:
    """Give a quantizer its centroids; return how faiss writes it."""
    faiss.copy_array_to_vector(centroids, index.pq.centroids)
    return np.asarray(faiss.serialize_index(index))


def _sample(shards: Sequence[np.ndarray]) -> Float32[np.ndarray, "n d"]:
    """Descriptors from all over the gallery, the same ones every time; repeated where it has few."""
    least, most = _SAMPLE
    wanted = min(most, max(least, _SAMPLE_BYTES // (4 * shards[0].shape[1])))
    step = max(1, sum(len(shard) for shard in shards) // wanted)
    rows = np.concatenate([np.asarray(shard[::step], dtype=np.float32) for shard in shards])[:most]
    return rows if len(rows) >= least else np.resize(rows, (least, rows.shape[1]))


def _batches(shards: Sequence[np.ndarray], size: int) -> Iterator[Float32[np.ndarray, "m d"]]:
    """Yield all descriptors, `size` at a time across the borders of shards; the last batch may be smaller."""
    batch, filled = np.empty((size, shards[0].shape[1]), np.float32), 0
    for shard in shards:
        start = 0
        while start < len(shard):
            taken = min(size - filled, len(shard) - start)
            batch[filled : filled + taken] = shard[start : start + taken]
            start, filled = start + taken, filled + taken
            if filled == size:
                yield batch
                filled = 0
    if filled:
        yield batch[:filled]


class Codes:
    """Opened codes. They stay on disk, memory-mapped; a search holds at most 64 MiB of them at a time.

    `size` is the number of values of a rotated descriptor.
    """

    def __init__(self, folder: Path, tiles: int) -> None:
        """Open the codes of `tiles` tiles in `folder`.

        Raises:
            CorruptArtifact: files are missing, or not what `write_codes` wrote.
        """
        self._rotation = Rotation.load(folder / ROTATION)
        self.size = len(self._rotation.order)
        self._index = _read_quantizer(folder / QUANTIZER, self.size)
        shape = -(-tiles // _BLOCK), self._index.M2 * _BLOCK // 2
        self._blocks = open_array(folder / CODES, ("uint8",), shape)
        self._tiles = tiles
        self._held: slice | None = None
        self._lock = Lock()  # one part at a time is held, whoever asks

    def candidates(
        self, queries: Float32[np.ndarray, "q d"], count: int, threads: int = 0
    ) -> tuple[Float32[np.ndarray, "q c"], Int64[np.ndarray, "q c"]]:
        """Return approximate scores and row numbers of the `count` tiles (or all) that promise most, best first.

        A row is -1 where a table's sum is the lowest there is: faiss lists no tile for it.
        """
        if threads:
            faiss.omp_set_num_threads(threads)
        queries = self._rotation.apply(queries)
        scores = np.empty((len(queries), 0), np.float32)
        rows = np.empty((len(queries), 0), np.int64)
        step = max(1, _TABLE_BYTES // (64 * self._index.M2))  # a query's table has 16 float32 a sub-vector
        for part in slices(len(self._blocks), max(1, _HELD_BYTES // self._blocks.shape[1])):
            with self._lock:
                self._hold(part)
                wanted = min(count, self._index.ntotal)
                found = [self._index.search(queries[some], wanted) for some in slices(len(queries), step)]
            more, others = (np.concatenate(parts) for parts in zip(*found, strict=True))
            others = np.where(others < 0, -1, others + part.start * _BLOCK)
            scores, rows = merge(scores, rows, more, others, count) if scores.shape[1] else (more, others)
        return scores, rows

    def _hold(self, part: slice) -> None:
        if part == self._held:
            return
        self._held = None
        faiss.copy_array_to_AlignedTable(np.ascontiguousarray(self._blocks[part]).ravel(), self._index.codes)
        self._index.ntotal2 = (part.stop - part.start) * _BLOCK  # type: ignore[attr-defined]  # not in the stubs
        self._index.ntotal = min(part.stop * _BLOCK, self._tiles) - part.start * _BLOCK
        self._held = part
