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

from aenet.errors import CorruptArtifact
from aenet.serving.galleries.gallery import Gallery
from aenet.serving.search.codes import Codes
from aenet.serving.search.compare import Question, compare_all
from aenet.serving.search.exact import gather, merge, rerank, search
from aenet.serving.search.indexbuild import INDEX_FOLDER, IndexMeta, index_digest, index_meta
from aenet.serving.search.queries import Query
from aenet.serving.search.rest import Rest, extrapolate, some_rows
from aenet.serving.search.rotation import padded
from aenet.serving.search.scores import matcher
from aenet.serving.search.turned import rerank_turned, turned_candidates, turned_depth

_SAMPLE = 256, 2048  # tiles, at least and at most, that stand for all that the index does not list
_SAMPLE_BYTES = 16 << 20

__all__ = ["GalleryIndex", "index_digest", "open_index"]


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
        """Return scores and rows of the best tiles as `exact.search` does."""
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
        return rows, gather(self._gallery.descriptors, rows)

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
