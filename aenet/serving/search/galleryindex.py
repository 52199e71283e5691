"""A gallery's index at work: scan, exact ranking, and the merge with shards the index does not cover.

Up to a million tiles an exact search takes seconds and needs no index. Above, `aenet gallery index` builds one into
the gallery's folder (`indexbuild`); a search uses it where it lies. All tiles are scanned by their codes (`codes`),
the best candidates are ranked by their descriptors as they stand on disk: scores are exact, only membership is
approximate. How many candidates that takes was measured when the index was built (`tuning`). Shards added later are
searched exactly until it is built again.
"""

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from jaxtyping import Float32, Int64

from aenet.io.errors import CorruptArtifact
from aenet.retrieval.products import slices
from aenet.scoring.similarity import Query, matcher
from aenet.serving.galleries.gallery import Gallery
from aenet.serving.search.bruteforce import Question, compare_all, gather_rows, merge, rerank, search
from aenet.serving.search.codes import Codes, padded
from aenet.serving.search.indexbuild import INDEX_FOLDER, IndexMeta, index_digest, index_meta
from aenet.serving.search.unlisted import Rest, extrapolate, some_rows

__all__ = ["GalleryIndex", "index_digest", "open_index"]

# Panoramas of unknown heading against codes: every azimuth is a query of its own, and the best of them counts.
#
# The score of such a photo is its best cosine over all azimuths (`scores`). Turning a descriptor that is a map is
# rolling its columns, so each azimuth is an inner product like any other, and codes rank them all alike.

_TIMES = 4  # the candidates, because every heading brings rivals of its own (docs/decisions/0006-codes-not-lists.md)
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
        scores[number, listed] = matcher([query]).scores(gather_rows(shards, rows[listed]))[0]
    order = np.lexsort((candidates, -scores), axis=1)[:, :k]
    return np.take_along_axis(scores, order, axis=1), np.take_along_axis(candidates, order, axis=1)


_SAMPLE = 256, 2048  # tiles, at least and at most, that stand for all that the index does not list
_SAMPLE_BYTES = 16 << 20


class GalleryIndex:
    """An index opened for the gallery it lies in."""

    def __init__(self, gallery: Gallery, meta: IndexMeta) -> None:
        """Open it.

        Raises:
            CorruptArtifact: it is damaged, or of shards the gallery does not have.
        """
        folder = gallery.folder / INDEX_FOLDER
        covered, self._rest = shards_of(meta, gallery)
        self._codes = Codes(folder, meta.tiles)
        self._gallery, self._candidates = gallery, meta.candidates
        self._covered = [gallery.descriptors[number] for number in covered]
        tiles, dim = sum(map(len, self._covered)), gallery.manifest.descriptor_dim
        if (meta.tiles, meta.dim, self._codes.size) != (tiles, dim, padded(dim)):
            raise CorruptArtifact(
                f"{folder} is of {meta.tiles:,} tiles of {meta.dim:,} numbers, the shards it covers have {tiles:,} of "
                f"{dim:,}: run `aenet gallery index` again"
            )
        self._covered_rows = self._rows(covered)

    def search(
        self, queries: Float32[np.ndarray, "q d"], k: int, threads: int = 0
    ) -> tuple[Float32[np.ndarray, "q k2"], Int64[np.ndarray, "q k2"]]:
        """Return scores and rows of the best tiles as `bruteforce.search` does."""
        found = self._codes.candidates(queries, max(self._candidates, 2 * k), threads)[1]
        scores, rows = rerank(self._covered, queries, found, k)
        rows = np.where(rows >= 0, self._covered_rows[rows], -1)
        if self._rest:
            others = [self._gallery.descriptors[number] for number in self._rest]
            more, at = search(others, queries, k, threads)
            scores, rows = merge(scores, rows, more, self._rows(self._rest)[at], k)
        return scores, rows

    def search_turned(
        self, queries: Sequence[Query], k: int, threads: int = 0
    ) -> tuple[Float32[np.ndarray, "q k2"], Int64[np.ndarray, "q k2"]]:
        """Return the same for panoramas of unknown heading, all of the horizon: every heading is looked up."""
        found = turned_candidates(self._codes, queries, turned_depth(self._candidates, k), threads)
        scores, rows = rerank_turned(self._covered, queries, found, k)
        rows = np.where(rows >= 0, self._covered_rows[rows], -1)
        if self._rest:
            more, others, _ = compare_all([Question(query) for query in queries], self._gallery, k, self._rest)
            scores, rows = merge(scores, rows, more, others, k)
        return scores, rows

    def rests(self, queries: Sequence[Query], listed: Float32[np.ndarray, "q k"]) -> list[Rest]:
        """Return what is known of the tiles beyond those listed, best first, from a sample of the gallery."""
        rows, descriptors = self._sample
        tiles, scores = len(self._gallery.tiles), matcher(queries).scores(descriptors).astype(np.float32)
        places = rows[some_rows(len(rows))]
        known = (mine[np.isfinite(mine)] for mine in listed)
        return [extrapolate(mine, tiles, one, places) for mine, one in zip(known, scores, strict=True)]

    @cached_property
    def _sample(self) -> tuple[Int64[np.ndarray, " n"], Float32[np.ndarray, "n d"]]:
        """Tiles from all over the gallery, the same ones every time."""
        tiles = len(self._gallery.tiles)
        wanted = max(_SAMPLE[0], min(_SAMPLE[1], _SAMPLE_BYTES // (4 * self._gallery.manifest.descriptor_dim)))
        rows = np.unique(np.linspace(0, tiles - 1, min(tiles, wanted)).round().astype(np.int64))
        return rows, gather_rows(self._gallery.descriptors, rows)

    def _rows(self, shards: Sequence[int]) -> Int64[np.ndarray, " n"]:
        """Return the gallery's row numbers of some shards' tiles, one shard after the other."""
        starts = np.cumsum([0, *(len(shard) for shard in self._gallery.descriptors)])
        return np.concatenate([np.arange(starts[number], starts[number + 1]) for number in shards])


def shards_of(meta: IndexMeta, gallery: Gallery) -> tuple[list[int], list[int]]:
    """Return the numbers of the shards an index covers, in its order, and of the others.

    Shards without a tile are alike to the byte, so that one digest may stand for several.

    Raises:
        CorruptArtifact: it covers one that the gallery does not have.
    """
    left: dict[str, list[int]] = {digest: [] for digest in gallery.manifest.shards.values()}
    for number, digest in enumerate(gallery.manifest.shards.values()):
        left[digest].append(number)
    covered = []
    for digest in meta.shards:
        if not left.get(digest):
            raise CorruptArtifact(
                f"{gallery.folder / INDEX_FOLDER} covers shard {digest[:12]}, which {gallery.folder} does not have: "
                "the gallery was built again since; repeat `aenet gallery index`, or delete the index"
            )
        covered.append(left[digest].pop(0))
    return covered, sorted(number for numbers in left.values() for number in numbers)


def open_index(gallery: Gallery, full: bool = True) -> GalleryIndex | None:
    """Return the index in a gallery's folder, None where there is none.

    Raises:
        CorruptArtifact: it is damaged, or of shards the gallery does not have.
    """
    meta = index_meta(gallery.folder, full)
    return None if meta is None else GalleryIndex(gallery, meta)
