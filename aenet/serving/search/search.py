"""The nearest tiles of many photos at once: each kind of photo its own way, within what is known of its place."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int64

from aenet.errors import AenetError
from aenet.retrieval.rowblocks import slices, take
from aenet.serving.galleries.gallery import Gallery
from aenet.serving.search.exact import merge, search
from aenet.serving.search.galleryindex import GalleryIndex
from aenet.serving.search.prior import Box, Near, allowed
from aenet.serving.search.queries import Query
from aenet.serving.search.scores import heading_of, kind, matcher

_TILES, _BLOCK_BYTES = 512, 64 << 20  # compared at once, at most; spectra take as much again
_QUERIES, _QUERY_BYTES = 128, 192 << 20


@dataclass(frozen=True)
class Question:
    """A photo and where it may have been taken; None: anywhere."""

    query: Query
    prior: Near | Box | None = None


@dataclass(frozen=True)
class Match:
    """A photo's best tiles.

    Attributes:
        scores, rows: cosine and row number in the gallery of the best tiles, best first.
        tiles: how many tiles were compared.
        heading_deg: true azimuth of the photo's middle: as it was known, else where it fits the best tile best.
    """

    scores: Float32[np.ndarray, " k"]
    rows: Int64[np.ndarray, " k"]
    tiles: int
    heading_deg: float


def block_size(query_bytes: int) -> int:
    """Return how many photos of so many bytes of descriptors are searched at once: tiles are read once for all."""
    return max(1, min(_QUERIES, _QUERY_BYTES // max(1, query_bytes)))


def search_gallery(
    questions: Sequence[Question], gallery: Gallery, index: GalleryIndex | None, k: int, threads: int = 0
) -> list[Match | str]:
    """Return each photo's `k` best tiles, or why it has none.

    Args:
        index: of the gallery, for whole panoramas of known heading without a prior; None searches all tiles.
        threads: of faiss; 0 leaves its setting alone.
    """
    kinds: dict[str, list[int]] = {}
    for number, question in enumerate(questions):
        free = "free" if question.prior is None else "prior"
        kinds.setdefault(f"{kind(question.query)} {free}", []).append(number)
    answers: list[Match | str] = [""] * len(questions)
    for name, numbers in kinds.items():
        asked = [questions[number] for number in numbers]
        if name == "whole free":
            queries = np.stack([question.query.maps[0].ravel() for question in asked])
            found = index.search(queries, k, threads) if index else search(gallery.descriptors, queries, k, threads)
            tiles = np.full(len(asked), len(gallery.tiles))
        else:
            scores, rows, tiles = _compare_all(asked, gallery, k)
            found = scores, rows
        for number, question, score, row, count in zip(numbers, asked, *found, tiles, strict=True):
            answers[number] = _match(question, score, row, int(count), gallery)
    return answers


def _compare_all(
    asked: Sequence[Question], gallery: Gallery, k: int
) -> tuple[Float32[np.ndarray, "q k"], Int64[np.ndarray, "q k"], Int64[np.ndarray, " q"]]:
    """Compare block by block; -inf and -1 fill up where the prior leaves fewer tiles than `k`."""
    compare = matcher([question.query for question in asked])
    scores, rows = np.empty((len(asked), 0), np.float32), np.empty((len(asked), 0), np.int64)
    tiles = np.zeros(len(asked), np.int64)
    for numbers, descriptors, inside in _blocks(asked, gallery):
        found = np.asarray(compare.scores(descriptors), np.float32)
        if inside is not None:
            found[~inside] = -np.inf
        tiles += len(numbers) if inside is None else inside.sum(1)
        keep = min(k, len(numbers))
        best = np.argpartition(-found, keep - 1, axis=1)[:, :keep] if keep < len(numbers) else None
        at = np.broadcast_to(numbers, found.shape) if best is None else numbers[best]
        scores, rows = merge(scores, rows, found if best is None else np.take_along_axis(found, best, 1), at, k)
    return scores, rows, tiles


def _blocks(
    asked: Sequence[Question], gallery: Gallery
) -> Iterator[tuple[Int64[np.ndarray, " m"], Float32[np.ndarray, "m d"], Bool[np.ndarray, "q m"] | None]]:
    """Yield row numbers, descriptors, and which photo may be there; tiles where none may be are not read."""
    places = [gallery.tiles[name].to_numpy(np.float64) for name in ("latitude", "longitude")]
    offset = 0
    for shard in gallery.descriptors:
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


def _match(question: Question, scores: np.ndarray, rows: np.ndarray, tiles: int, gallery: Gallery) -> Match | str:
    listed = rows >= 0
    listed &= np.isfinite(scores)
    if not listed.any():
        return "no tile of the gallery lies where the photo may have been taken: widen the area, or extend the gallery"
    scores, rows = scores[listed], rows[listed]
    heading = question.query.heading_deg
    if heading is None:
        heading = heading_of(question.query, _descriptor(gallery, int(rows[0])))
    return Match(scores, rows, tiles, heading % 360)


def _descriptor(gallery: Gallery, row: int) -> Float32[np.ndarray, " d"]:
    for shard in gallery.descriptors:
        if row < len(shard):
            return np.asarray(shard[row], np.float32)
        row -= len(shard)
    raise AenetError(f"{gallery.folder} has no tile {row}")
