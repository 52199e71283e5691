"""What an index in a gallery's folder covers and reaches, and building it.

index/
  codes.npy, quantizer.faiss, rotation.npy   see `codes`
  manifest.json                             digests, and in its `meta` IndexMeta
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Int64
from pydantic import Field

from aenet.io.artifacts import atomic_folder, folder_digest, read_manifest, verify_folder
from aenet.io.diskspace import writing
from aenet.io.errors import AenetError, CorruptArtifact
from aenet.io.locks import hold
from aenet.io.nolinks import listed_folder
from aenet.io.params import Config
from aenet.serving.galleries.gallery import open_shard
from aenet.serving.galleries.manifest import MANIFEST, read_gallery
from aenet.serving.search.bruteforce import gather_rows, search
from aenet.serving.search.codes import CODES, QUANTIZER, ROTATION, Codes, write_codes

__all__ = [
    "INDEX_FOLDER",
    "IndexMeta",
    "IndexOptions",
    "build_gallery_index",
    "build_index",
    "index_digest",
    "index_meta",
]

# How many candidates an index must re-rank: measured on the gallery itself, for galleries differ.
#
# Probes are tiles' own descriptors, moved to the cosine that photos have with their tiles. They are moved along the
# directions in which the gallery's tiles differ from each other, because in any other direction no rival would come
# nearer. An exact search says which tile is each probe's best; where that tile stands among the candidates tells the
# recall for every number of candidates at once.

_RUNGS = (32, 64, 128, 256, 512, 1024, 2048, 4096)
_OTHERS = 256  # tiles whose differences move the probes
_SAME = 1e-5  # scores of tiles that look the same


class IndexOptions(Config):
    """What an index has to reach.

    Attributes:
        recall: share of photos whose best tile must be found.
        similarity: cosine of a photo and its tile for which that must hold.
        probes: how many tiles it is measured with; 512 tell 95 % to within one per cent (standard error).
    """

    recall: float = Field(default=0.95, gt=0, le=1)
    similarity: float = Field(default=0.7, gt=0, lt=1)
    probes: int = Field(default=512, ge=1)


class Rung(Config):
    """Share of probes whose best tile is found where so many `candidates` are re-ranked."""

    candidates: int
    recall: float


def measure(shards: Sequence[np.ndarray], codes: Codes, options: IndexOptions, threads: int = 0) -> tuple[Rung, ...]:
    """Return the recall for 32 to 4,096 candidates, or for all tiles where there are fewer."""
    probes = make_probes(shards, options)
    scores, best = search(shards, probes, 1, threads)
    listed = codes.candidates(probes, _RUNGS[-1], threads)[1]
    found = listed == best
    place = np.where(found.any(1), found.argmax(1), listed.shape[1])
    # A tile that looks the same as the best is as good: water and meadows come in thousands.
    for number in np.flatnonzero(place >= _RUNGS[0]):
        same = gather_rows(shards, np.maximum(listed[number], 0)) @ probes[number] >= scores[number, 0] - _SAME
        equal = same & (listed[number] >= 0)
        place[number] = equal.argmax() if equal.any() else listed.shape[1]
    sizes = [rung for rung in _RUNGS if rung < listed.shape[1]] + [listed.shape[1]]
    return tuple(Rung(candidates=size, recall=float((place < size).mean())) for size in sizes)


def choose_candidates(ladder: Sequence[Rung], options: IndexOptions) -> int:
    """Return the fewest candidates that reach the recall.

    Raises:
        AenetError: none do.
    """
    for rung in ladder:
        if rung.recall >= options.recall:
            return rung.candidates
    top = ladder[-1]
    raise AenetError(
        f"no index reaches a recall of {options.recall:g} here: with {top.candidates:,} candidates re-ranked it finds "
        f"the best tile of {100 * top.recall:.1f} % of probes of cosine {options.similarity:g}; demand less with "
        "`recall`, or search without an index"
    )


def make_probes(shards: Sequence[np.ndarray], options: IndexOptions) -> Float32[np.ndarray, "p d"]:
    """Return unit descriptors with the cosine `similarity` to one tile each; the same ones every time."""
    generator = np.random.default_rng(0)
    total = sum(len(shard) for shard in shards)
    own = gather_rows(shards, _some(generator, total, options.probes))
    others = gather_rows(shards, _some(generator, total, _OTHERS))
    away = generator.standard_normal((len(own), len(others)), dtype=np.float32) @ (others - others.mean(0))
    away -= (away * own).sum(1, keepdims=True) * own
    away /= np.maximum(np.linalg.norm(away, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    probes = options.similarity * own + (1 - options.similarity**2) ** 0.5 * away
    return np.asarray(probes / np.linalg.norm(probes, axis=1, keepdims=True), np.float32)


def _some(generator: np.random.Generator, total: int, wanted: int) -> Int64[np.ndarray, " n"]:
    return np.sort(generator.choice(total, min(wanted, total), replace=False)).astype(np.int64)


INDEX_FOLDER = "index"


class IndexMeta(Config):
    """What an index covers, and what it reaches.

    Attributes:
        shards: digests of the gallery's shards it covers, in order; rows are numbered through them.
        tiles, dim: descriptors covered, and their length.
        code_bytes: of a tile.
        asked: what was demanded.
        ladder: recall by candidates re-ranked.
        candidates: the fewest that reach what was demanded: a search re-ranks so many.
    """

    shards: tuple[str, ...]
    tiles: int = Field(ge=1, le=1 << 40)
    dim: int = Field(ge=1, le=1 << 24)
    code_bytes: int = Field(ge=1)
    asked: IndexOptions
    ladder: tuple[Rung, ...]
    candidates: int = Field(ge=1, le=1 << 40)

    def lines(self) -> list[str]:
        """Return what it is, for people."""
        steps = ", ".join(f"{rung.candidates:,}: {100 * rung.recall:.1f} %" for rung in self.ladder)
        asked = f"{100 * self.asked.recall:g} % demanded at a cosine of {self.asked.similarity:g}"
        size = self.tiles * self.code_bytes / 1e6
        return [
            f"{'index':12} {self.tiles:,} tiles of {self.dim:,} numbers, {size:,.1f} MB of codes",
            f"{'recall':12} of the best tile, by candidates re-ranked: {steps}",
            f"{'candidates':12} {self.candidates:,} ({asked})",
        ]


def build_index(
    shards: Sequence[np.ndarray],
    digests: Sequence[str],
    out: Path,
    options: IndexOptions,
    threads: int = 0,
    on_progress: Callable[[int, int], None] | None = None,
) -> IndexMeta:
    """Build the index of memory-mapped descriptor arrays [n_i, d] in `out`, wholly or not at all.

    Args:
        shards, digests: the gallery's descriptors and the digests that name them.
        threads: faiss threads; 0 leaves its setting alone.

    Raises:
        AenetError: it cannot reach the recall demanded.
    """
    total, record = sum(len(shard) for shard in shards), dict[str, Any]()
    with atomic_folder(out, record) as folder:
        code_bytes = write_codes(shards, folder, threads, on_progress)
        ladder = measure(shards, Codes(folder, total), options, threads)
        meta = IndexMeta(
            shards=tuple(digests),
            tiles=total,
            dim=shards[0].shape[1],
            code_bytes=code_bytes,
            asked=options,
            ladder=ladder,
            candidates=choose_candidates(ladder, options),
        )
        record.update(meta.model_dump(mode="json"))  # known only now, written when the folder is left
    return meta


def build_gallery_index(
    gallery: Path,
    options: IndexOptions,
    threads: int = 0,
    on_progress: Callable[[int, int], None] | None = None,
) -> IndexMeta:
    """Build the index of all shards of a finished gallery; one that covers them as demanded is left as it is.

    Raises:
        AenetError: no finished gallery, another run holds it, the recall cannot be reached, or the disk is full.
    """
    manifest = read_gallery(gallery)
    with writing(gallery), hold(gallery / ".lock", f"gallery {gallery}"):
        digests = tuple(manifest.shards.values())
        found = _found(gallery)
        if found is not None and (found.shards, found.asked) == (digests, options):
            return found
        shards = [open_shard(gallery, name, manifest, full=True)[1] for name in manifest.shards]
        return build_index(shards, digests, gallery / INDEX_FOLDER, options, threads, on_progress)


def _found(gallery: Path) -> IndexMeta | None:
    """Return what lies there; nothing where it is damaged, for then it is built again."""
    try:
        return index_meta(gallery)
    except CorruptArtifact:
        return None


def index_meta(gallery: Path, full: bool = True) -> IndexMeta | None:
    """Return the record of the index in a gallery's folder, None where there is none.

    Args:
        full: check the SHA-256 of its files, not only their sizes.

    Raises:
        CorruptArtifact: something lies there that is no finished index, or its bytes are not those written.
    """
    if not (gallery / INDEX_FOLDER).exists():
        return None
    folder = listed_folder(gallery, INDEX_FOLDER, MANIFEST)
    try:
        verify_folder(folder, full, needed=(CODES, QUANTIZER, ROTATION))
        return IndexMeta.model_validate_json(json.dumps(read_manifest(folder).meta))
    except CorruptArtifact:
        raise
    except (AenetError, OSError, ValueError) as error:
        raise CorruptArtifact(
            f"{folder} is no finished index, or of an older version: delete it, or run `aenet gallery index`"
        ) from error


def index_digest(gallery: Path) -> str | None:
    """Return what names the index in a gallery's folder, None where there is none.

    Raises:
        CorruptArtifact: something lies there that is no finished index.
    """
    if not (gallery / INDEX_FOLDER).exists():
        return None
    folder = listed_folder(gallery, INDEX_FOLDER, MANIFEST)
    try:
        return folder_digest(folder)
    except (AenetError, OSError) as error:
        raise CorruptArtifact(f"{folder} is no finished index: delete it, or run `aenet gallery index`") from error
