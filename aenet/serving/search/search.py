"""The nearest tiles of many photos at once: each kind of photo its own way, within what is known of its place."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int64

from aenet.serving.galleries.gallery import Gallery
from aenet.serving.search.compare import Question, compare_all
from aenet.serving.search.exact import gather, search
from aenet.serving.search.galleryindex import GalleryIndex
from aenet.serving.search.scores import heading_of, kind

__all__ = ["Match", "Question", "block_size", "search_gallery"]

_QUERIES, _QUERY_BYTES = 128, 192 << 20


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
        index: of the gallery, for panoramas of the whole horizon without a prior, their heading known or not; parts
            of the horizon are compared with all tiles, for the codes of a whole tile do not say how long a part of it
            is. None compares all photos with all tiles.
        threads: of faiss; 0 leaves its setting alone.
    """
    ways: dict[str, list[int]] = {}
    for number, question in enumerate(questions):
        ways.setdefault(_way(question, index), []).append(number)
    answers: list[Match | str] = [""] * len(questions)
    for way, numbers in ways.items():
        asked = [questions[number] for number in numbers]
        tiles = np.full(len(asked), len(gallery.tiles))
        if way == "whole":
            queries = np.stack([question.query.maps[0].ravel() for question in asked])
            found = index.search(queries, k, threads) if index else search(gallery.descriptors, queries, k, threads)
        elif way == "turned by index" and index:
            found = index.search_turned([question.query for question in asked], k, threads)
        else:
            scores, rows, tiles = compare_all(asked, gallery, k)
            found = scores, rows
        for number, question, score, row, count in zip(numbers, asked, *found, tiles, strict=True):
            answers[number] = _match(question, score, row, int(count), gallery)
    return answers


def _way(question: Question, index: GalleryIndex | None) -> str:
    """Return a name that photos searched in the same way share."""
    of_kind = kind(question.query)
    if question.prior is not None:
        return f"{of_kind} near"
    return f"{of_kind} by index" if index and of_kind == "turned" and question.query.whole else of_kind


def _match(question: Question, scores: np.ndarray, rows: np.ndarray, tiles: int, gallery: Gallery) -> Match | str:
    listed = rows >= 0
    listed &= np.isfinite(scores)
    if not listed.any():
        return "no tile of the gallery lies where the photo may have been taken: widen the area, or extend the gallery"
    scores, rows = scores[listed], rows[listed]
    heading = question.query.heading_deg
    if heading is None:
        heading = heading_of(question.query, gather(gallery.descriptors, rows[:1])[0])
    return Match(scores, rows, tiles, heading % 360)
