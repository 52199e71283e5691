"""Ranking in blocks over queries and references: no matrix of all similarities, no array wholly in memory.

Descriptors are unit vectors, so Euclidean distance ranks as cosine similarity does, highest first.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64, Int

from aenet.io.errors import AenetError
from aenet.retrieval.positives import Positives, identity
from aenet.retrieval.products import (
    check_block,
    check_descriptors,
    is_mapped,
    pair_products,
    products,
    rounding,
    rows_within,
    slices,
    take,
)
from aenet.retrieval.tally import BestReferences, Tally

# One tile of similarities. The arrays that pick its best take three times as much, for a moment.
_BLOCK_BYTES = 16 * 2**20
_REFERENCES = 4096  # columns of a tile: enough for BLAS, so that a tile has many rows, too
_GATHER_BYTES = 32 * 2**20
# Copies of mapped descriptors. Every block of queries reads all references once: the larger, the fewer readings.
_QUERY_BYTES = 1024 * 2**20
_REFERENCE_BYTES = 128 * 2**20


@dataclass(frozen=True)
class Inner:
    """The inner products of one tile in float64 (`tally.Exact`).

    Attributes:
        error: of the same in float32, at most.
    """

    query: Float[np.ndarray, "q d"]
    reference: Float[np.ndarray, "r d"]
    error: float

    def pairs(self, query: Int[np.ndarray, " p"], reference: Int[np.ndarray, " p"]) -> Float64[np.ndarray, " p"]:
        """Return those of pairs, a few rows at a time."""
        out = np.empty(len(query), np.float64)
        for part in slices(len(query), rows_within(_GATHER_BYTES // 2, self.query)):
            out[part] = pair_products(self.query[query[part]], self.reference[reference[part]])
        return out

    def rows(self, part: slice) -> Float64[np.ndarray, "q r"]:
        """Return those of some queries with all references."""
        return products(self.query[part], self.reference, np.float64)


Tile = tuple[slice, slice, Float[np.ndarray, "q r"], Inner]


def rank(
    query: Float[np.ndarray, "q d"], reference: Float[np.ndarray, "r e"], positives: Positives, k: int = 0
) -> Tally:
    """Rank all references for every query, and keep the `k` best, in one pass.

    A rank is the number of references, right answers aside, at least as similar as the query's best right answer;
    0 is best, and a tie counts against the query, so that collapsed descriptors rank last instead of first (`tally`
    says what a tie is).

    Extra memory, whatever the number of rows: under 100 MiB beside arrays in memory (a tile of similarities, what
    sorts it, a chunk of right answers; where nearly all are ties, a part of the tile in float64). Mapped arrays
    (`np.load(mmap_mode="r")`) are never held whole: 1 GiB of queries, 128 MiB of references and 32 MiB of pages at
    most on top, and the references are read once per GiB of queries. `benchmarks/ranking.py` measures both.

    Raises:
        AenetError: descriptors that are not finite, or shapes that do not fit.
    """
    _check(query, reference)
    if len(positives) != len(query):
        raise AenetError(f"{len(query)} queries, but right answers for {len(positives)}")
    low, high = int(positives.rows.min()), int(positives.rows.max())
    if low < 0 or high >= len(reference):
        raise AenetError(f"right answers are rows {low} to {high}, and there are {len(reference)} references")
    if positives.repeated is not None and len(positives.repeated) != len(reference):
        raise AenetError(f"{len(reference)} references, but {len(positives.repeated)} that may be repeated")
    tally = Tally(positives, min(k, positives.listed(len(reference))))
    for queries, block, longest in _query_blocks(query):
        tally.expect(queries, _pair_similarity(block, queries, reference, positives))
        for tile in _tiles(block, queries.start, reference, longest):
            tally.add(*tile)
            del tile  # and its references, before the next ones are read
        del block  # before the next one is read
    return tally


def ranks(
    query: Float[np.ndarray, "q d"], reference: Float[np.ndarray, "r d"], truth: Int[np.ndarray, " q"]
) -> Int[np.ndarray, " q"]:
    """Return, for each query, how many references other than row `truth` are at least as similar; see `rank`."""
    return rank(query, reference, identity(truth)).rank


def best_match(query: Float[np.ndarray, "q d"], reference: Float[np.ndarray, "r d"], k: int) -> Int[np.ndarray, "q k"]:
    """Return the rows of the `k` most similar references (all, if fewer), best first, in blocks like `rank`."""
    _check(query, reference)
    best = BestReferences(len(query), min(k, len(reference)))
    for queries, block, longest in _query_blocks(query):
        for tile in _tiles(block, queries.start, reference, longest):
            best.add(*tile[:3])
            del tile
        del block
    return best.top


def _check(query: Float[np.ndarray, "q d"], reference: Float[np.ndarray, "r e"]) -> None:
    for descriptors, name in ((query, "query"), (reference, "reference")):
        if len(descriptors) == 0:
            check_descriptors(descriptors, name)
    if query.shape[1] != reference.shape[1]:
        raise AenetError(f"query descriptors have {query.shape[1]} dimensions, references {reference.shape[1]}")


def _query_blocks(query: Float[np.ndarray, "q d"]) -> Iterator[tuple[slice, Float[np.ndarray, "m d"], float]]:
    """Yield which rows, the rows, and the greatest norm among them."""
    step = rows_within(_QUERY_BYTES, query) if is_mapped(query) else len(query)
    for rows in slices(len(query), step):
        block = take(query, rows)
        longest = check_block(block, query, "query")
        yield rows, block, longest
        del block


def _pair_similarity(
    block: Float[np.ndarray, "q d"], queries: slice, reference: Float[np.ndarray, "r d"], positives: Positives
) -> Float64[np.ndarray, " p"]:
    query, right = positives.pairs(queries)
    values = np.empty(len(query), np.float64)
    for part in slices(len(query), rows_within(_GATHER_BYTES // 2, reference)):
        chosen = take(reference, right[part])
        check_block(chosen, reference, "reference")
        values[part] = pair_products(block[query[part] - queries.start], chosen)
    return values


def _tiles(
    block: Float[np.ndarray, "q d"], start: int, reference: Float[np.ndarray, "r d"], longest: float
) -> Iterator[Tile]:
    """Yield the similarities of a block of queries, whose first row is `start`, with all references."""
    width = min(_REFERENCES, rows_within(_REFERENCE_BYTES, reference)) if is_mapped(reference) else _REFERENCES
    for columns in slices(len(reference), width):
        chosen = take(reference, columns)
        # 1 % more, because norms are rounded, too.
        error = 1.01 * longest * check_block(chosen, reference, "reference") * rounding(block.shape[1])
        for rows in slices(len(block), max(1, _BLOCK_BYTES // (4 * len(chosen)))):
            whose = slice(start + rows.start, start + rows.stop)
            yield whose, columns, products(block[rows], chosen), Inner(block[rows], chosen, error)
        del chosen  # before the next ones are read
