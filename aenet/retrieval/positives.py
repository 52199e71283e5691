"""Which references answer a query: its own, or every one near enough (CVACT_test's GPS protocol)."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from aenet.data.distance import distance_m
from aenet.data.pairs import sharing
from aenet.io.errors import AenetError
from aenet.retrieval.products import slices

_QUERIES = 4096  # whose candidates are measured at once
_METRES_PER_DEGREE = 110_500  # of latitude, at its shortest on WGS84 (110,574): a window never too small


@dataclass(frozen=True)
class Positives:
    """The right answers of all queries: those of query i are `rows[start[i]:start[i + 1]]`, at least one.

    A query is found at the rank of its best positive, and its other positives stand in nobody's way.

    Attributes:
        repeated: references whose tile stands in a row before: nobody's answer and in nobody's way. None: no one is.
    """

    start: Int[np.ndarray, " q1"]
    rows: Int[np.ndarray, " p"]
    repeated: Bool[np.ndarray, " r"] | None = None

    def __post_init__(self) -> None:
        if (empty := int((np.diff(self.start) < 1).sum())) > 0:
            raise AenetError(f"{empty} of {len(self)} queries have no right answer: they cannot be ranked")

    def __len__(self) -> int:
        return len(self.start) - 1

    def listed(self, references: int) -> int:
        """Return how many of so many references are tiles of their own."""
        return references - (0 if self.repeated is None else int(self.repeated.sum()))

    def first(self, queries: int) -> "Positives":
        """Return those of the first so many queries."""
        return Positives(self.start[: queries + 1], self.rows[: self.start[queries]], self.repeated)

    def pairs(self, queries: slice) -> tuple[Int[np.ndarray, " p"], Int[np.ndarray, " p"]]:
        """Return (query, reference) of every right answer of a block of queries, queries in order."""
        start = self.start[queries.start : queries.stop + 1]
        return np.repeat(np.arange(queries.start, queries.stop), np.diff(start)), self.rows[start[0] : start[-1]]

    def best(self, queries: slice, values: Float[np.ndarray, " p"]) -> Float[np.ndarray, " q"]:
        """Return the greatest value of each query, of one value for each of its `pairs`."""
        start = self.start[queries.start : queries.stop]
        return np.asarray(np.maximum.reduceat(values, start - start[0]))


def identity(truth: Int[np.ndarray, " q"]) -> Positives:
    """Return one right answer each: row `truth[i]` for query i."""
    return Positives(np.arange(len(truth) + 1), truth)


def of_pairs(pairs: pd.DataFrame) -> Positives:
    """Return each query's own reference, and those of all rows that show its panorama or that tile.

    A tile that stands in several rows counts once, in its first.
    """
    return _listed_once(pairs, np.arange(len(pairs))[:, None].repeat(2, axis=1))


def _listed_once(pairs: pd.DataFrame, answers: Int[np.ndarray, "p 2"]) -> Positives:
    """Return positives of (query, reference) rows, with what shared tiles and panoramas add to them."""
    shared, rows = sharing(pairs), len(pairs)
    if shared.any:
        first = np.unique(shared.tile, return_index=True)[1]
        panorama, tile = np.divmod(shared.matches, rows)
        start = np.searchsorted(panorama, np.arange(rows + 1))
        counts = np.diff(start)[shared.panorama]
        query = np.repeat(np.arange(rows), counts)
        place = np.arange(len(query)) - np.repeat(np.cumsum(counts) - counts, counts)
        more = np.stack([query, tile[start[shared.panorama[query]] + place]], axis=1)
        answers = np.concatenate([np.stack([answers[:, 0], shared.tile[answers[:, 1]]], axis=1), more])
        answers[:, 1] = first[answers[:, 1]]
    answers = np.unique(answers, axis=0)
    counts = np.bincount(answers[:, 0], minlength=rows)
    start = np.concatenate([[0], np.cumsum(counts)])
    return Positives(start, answers[:, 1], shared.repeated if shared.any else None)


def within(pairs: pd.DataFrame, metres: float) -> Positives:
    """Return each query's own reference and every other whose centre is within `metres` of the query's position.

    On CVACT_test, 5 m is the data set's own protocol. A query whose own tile is centred further off keeps it.

    Raises:
        AenetError: positions are missing.
    """
    own = pairs[["latitude", "longitude"]].to_numpy(np.float64)
    other = pairs[["aerial_latitude", "aerial_longitude"]].to_numpy(np.float64)
    if missing := int((~np.isfinite(own) | ~np.isfinite(other)).any(1).sum()):
        raise AenetError(
            f"positives within {metres:g} m need positions, and {missing} of {len(pairs)} pairs have none: "
            "leave evaluate.positives_within_m out to score by identity"
        )
    found = [np.arange(len(pairs))[:, None].repeat(2, axis=1)]
    for query, reference in _candidates(own, other, metres):
        near = distance_m(own[query, 0], own[query, 1], other[reference, 0], other[reference, 1]) <= metres
        found.append(np.stack([query[near], reference[near]], axis=1))
    return _listed_once(pairs, np.concatenate(found))


def _candidates(
    own: Float[np.ndarray, "q 2"], other: Float[np.ndarray, "r 2"], metres: float
) -> Iterator[tuple[Int[np.ndarray, " c"], Int[np.ndarray, " c"]]]:
    """Yield pairs that a window in degrees lets through: all within `metres`, and a few more."""
    order = np.argsort(other[:, 0], kind="stable")
    latitude = other[order, 0]
    reach = metres / _METRES_PER_DEGREE
    for queries in slices(len(own), _QUERIES):
        low = np.searchsorted(latitude, own[queries, 0] - reach, "left")
        count = np.searchsorted(latitude, own[queries, 0] + reach, "right") - low
        query = np.repeat(np.arange(queries.start, queries.stop), count)
        position = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count) + np.repeat(low, count)
        reference = order[position]
        near = _longitudes_near(own[query], other[reference, 1], reach)
        yield query[near], reference[near]


def _longitudes_near(
    own: Float[np.ndarray, "c 2"], longitude: Float[np.ndarray, " c"], reach: float
) -> Bool[np.ndarray, " c"]:
    """Compare across the date line; near the poles, where a degree shrinks to nothing, let everything through."""
    across = np.abs((own[:, 1] - longitude + 180) % 360 - 180)
    shrunk = np.cos(np.radians(np.minimum(90, np.abs(own[:, 0]) + reach)))
    return np.asarray(across * shrunk <= reach)
