"""A gallery's index: which of its shards it covers, and the search that merges it with the shards it does not.

Up to a million tiles an exact search takes seconds and needs no index. Above, `aenet gallery index` builds one into
the gallery's folder (`ivf.build_ivf`); a search uses it where it lies. Shards added later are searched exactly until
the index is built again.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int64

from aenet.artifacts import folder_digest
from aenet.errors import AenetError, CorruptArtifact
from aenet.locks import hold
from aenet.serving.galleries.gallery import Gallery
from aenet.serving.galleries.manifest import read_gallery
from aenet.serving.search.exact import merge, search
from aenet.serving.search.ivf import Ivf, IvfMeta, SearchOptions, build_ivf, rerank

INDEX_FOLDER = "index"


def build_gallery_index(
    gallery: Path,
    lists: int | None = None,
    threads: int = 0,
    on_progress: Callable[[int, int], None] | None = None,
) -> IvfMeta:
    """Build the index of all shards of a finished gallery; one that covers them already is left as it is.

    Raises:
        AenetError: no finished gallery, or another run holds it.
    """
    manifest = read_gallery(gallery)
    with hold(gallery / ".lock", f"gallery {gallery}"):
        digests = tuple(manifest.shards.values())
        folder = gallery / INDEX_FOLDER
        if lists is None and folder.exists() and (meta := Ivf(folder).meta).shards == digests:
            return meta
        files = [gallery / name / "descriptors.npy" for name in manifest.shards]
        shards = [np.load(file, mmap_mode="r", allow_pickle=False) for file in files]
        return build_ivf(shards, digests, folder, lists, threads, on_progress)


class GalleryIndex:
    """An index opened for the gallery it lies in."""

    def __init__(self, gallery: Gallery, full: bool = True) -> None:
        """Open it.

        Raises:
            CorruptArtifact: it is damaged, or of shards the gallery does not have.
        """
        folder = gallery.folder / INDEX_FOLDER
        self._ivf = Ivf(folder, full=full)
        numbers = {digest: number for number, digest in enumerate(gallery.manifest.shards.values())}
        if strange := [digest for digest in self._ivf.meta.shards if digest not in numbers]:
            raise CorruptArtifact(
                f"{folder} covers shard {strange[0][:12]}, which {gallery.folder} does not have: the gallery was "
                "built again since; repeat `aenet gallery index`, or delete the index"
            )
        starts = np.cumsum([0, *(len(shard) for shard in gallery.descriptors)])
        rows = [np.arange(starts[number], starts[number + 1]) for number in range(len(gallery.descriptors))]
        covered = [numbers[digest] for digest in self._ivf.meta.shards]
        rest = [number for number in range(len(rows)) if number not in set(covered)]
        self._covered = [gallery.descriptors[number] for number in covered]
        self._rest = [gallery.descriptors[number] for number in rest]
        empty = np.empty(0, np.int64)
        self._covered_rows = np.concatenate([empty, *(rows[number] for number in covered)])
        self._rest_rows = np.concatenate([empty, *(rows[number] for number in rest)])

    def search(
        self, queries: Float32[np.ndarray, "q d"], k: int, threads: int = 0
    ) -> tuple[Float32[np.ndarray, "q k2"], Int64[np.ndarray, "q k2"]]:
        """Return scores and rows of the best tiles as `index.search` does; -inf and -1 where fewer were found."""
        options = SearchOptions(candidates=max(SearchOptions.candidates, 2 * k))
        found = self._ivf.candidates(queries, options, threads)
        scores, rows = rerank(self._covered, queries, found, k)
        rows = np.where(rows >= 0, self._covered_rows[rows], -1)
        if self._rest:
            more, others = search(self._rest, queries, k, threads)
            scores, rows = merge(scores, rows, more, self._rest_rows[others], k)
        return scores, rows


def open_index(gallery: Gallery, full: bool = True) -> GalleryIndex | None:
    """Return the index in a gallery's folder, None where there is none."""
    return GalleryIndex(gallery, full) if (gallery.folder / INDEX_FOLDER).exists() else None


def index_digest(gallery: Path) -> str | None:
    """Return what names the index in a gallery's folder, None where there is none.

    Raises:
        AenetError: something lies there that is no finished index.
    """
    folder = gallery / INDEX_FOLDER
    if not folder.exists():
        return None
    try:
        return folder_digest(folder)
    except (AenetError, OSError) as error:
        raise CorruptArtifact(f"{folder} is no finished index: delete it, or run `aenet gallery index`") from error
