"""The nearest tiles of many photos at once: each kind of photo its own way, within what is known of its place."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int64

from aenet.scoring.similarity import heading_of, kind
from aenet.serving.galleries.gallery import Gallery
from aenet.serving.search.bruteforce import Question, compare_all, gather_rows, rerank
from aenet.serving.search.galleryindex import GalleryIndex
from aenet.serving.search.prior import Box, Near, allowed
from aenet.serving.search.unlisted import Rest, counted, some_rows

__all__ = ["Match", "Question", "block_size", "search_gallery"]

_QUERIES, _QUERY_BYTES = 128, 192 << 20


@dataclass(frozen=True)
class Match:
    """A photo's best tiles.

    Attributes:
        scores, rows: cosine and row number in the gallery of the best tiles, best first.
        rest: the other tiles that were compared.
        heading_deg: true azimuth of the photo's middle: as it was known, else where it fits the best tile best.
    """

    scores: Float32[np.ndarray, " k"]
    rows: Int64[np.ndarray, " k"]
    rest: Rest
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
            of the horizon are compared with all tiles, because the codes of a whole tile do not say how long a part
            of it is. None compares all photos with all tiles.
        threads: of the index; 0 leaves faiss's setting alone.
    """
    ways: dict[str, list[int]] = {}
    for number, question in enumerate(questions):
        ways.setdefault(_way(question, index), []).append(number)
    answers: list[Match | str] = [""] * len(questions)
    for way, numbers in ways.items():
        asked = [questions[number] for number in numbers]
        found = _by_index(way, asked, index, k, threads) if index else None
        scores, rows, rests = found or _by_all(asked, gallery, k)
        for number, question, score, row, rest in zip(numbers, asked, scores, rows, rests, strict=True):
            answers[number] = _match(question, score, row, rest, gallery)
    return answers


Found = tuple[Float32[np.ndarray, "q k"], Int64[np.ndarray, "q k"], list[Rest]]


def _by_index(way: str, asked: Sequence[Question], index: GalleryIndex, k: int, threads: int) -> Found | None:
    queries = [question.query for question in asked]
    match way:
        case "whole":
            scores, rows = index.search(np.stack([query.maps[0].ravel() for query in queries]), k, threads)
        case "turned by index":
            scores, rows = index.search_turned(queries, k, threads)
        case _:
            return None
    return scores, rows, index.rests(queries, scores)


def _by_all(asked: Sequence[Question], gallery: Gallery, k: int) -> Found:
    scores, rows, counts = compare_all(asked, gallery, k)
    where = _Searched(gallery)
    rests = [
        counted(mine, score[np.isfinite(score)], where.rows(question.prior))
        for question, mine, score in zip(asked, counts, scores, strict=True)
    ]
    if kind(asked[0].query) == "whole":
        # Photo by photo: a product of many rounds otherwise, and no answer may depend on who was searched beside it.
        queries = np.stack([question.query.maps[0].ravel() for question in asked])
        scores, rows = rerank(gallery.descriptors, queries, rows, k)
    return scores, rows, rests


class _Searched:
    """Some rows of what a prior leaves of a gallery; each prior is looked up once."""

    def __init__(self, gallery: Gallery) -> None:
        self._gallery = gallery
        self._known: dict[Near | Box | None, Int64[np.ndarray, " n"]] = {None: some_rows(len(gallery.tiles))}

    def rows(self, prior: Near | Box | None) -> Int64[np.ndarray, " n"]:
        if prior not in self._known:
            places = [self._gallery.tiles[name].to_numpy(np.float64) for name in ("latitude", "longitude")]
            inside = np.flatnonzero(allowed(prior, *places)) if prior is not None else np.arange(len(places[0]))
            self._known[prior] = inside[some_rows(len(inside))]
        return self._known[prior]


def _way(question: Question, index: GalleryIndex | None) -> str:
    """Return a name that photos searched in the same way share."""
    of_kind = kind(question.query)
    if question.prior is not None:
        return f"{of_kind} near"
    return f"{of_kind} by index" if index and of_kind == "turned" and question.query.whole else of_kind


def _match(question: Question, scores: np.ndarray, rows: np.ndarray, rest: Rest, gallery: Gallery) -> Match | str:
    listed = rows >= 0
    listed &= np.isfinite(scores)
    if not listed.any():
        return "no tile of the gallery lies where the photo may have been taken: widen the area, or extend the gallery"
    scores, rows = scores[listed], rows[listed]
    heading = question.query.heading_deg
    if heading is None:
        heading = heading_of(question.query, gather_rows(gallery.descriptors, rows[:1])[0])
    return Match(scores, rows, rest, heading % 360)
