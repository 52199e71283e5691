"""Limited field of view and unknown heading as settings of evaluation; conventions in `aenet.retrieval.azimuth`.

Each query looks in a direction drawn at random, the same for every field of view.

* **Known heading**: the part of the north-centred panorama within the field of view about that direction, the rest
  painted; compared with references over that part.
* **Unknown heading**: the panorama turned to look there, the same part kept, now about the centre; compared at every
  shift, and the highest correlation is the similarity. To resolve more than a feature (8 or 16 around the horizon)
  the query is described at several turns within one, the *phases*.

Heads that keep no map (gap, gem, projection) are taken as maps of one feature around the whole circle: the same
method then describes the query at `4 * phases` turns and takes the best. Of references they only know the whole, so
a limited field of view compares the part with it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float64, Int

from aenet.data.views import Views
from aenet.evaluation.embed import embed, map_shape
from aenet.nn.branches import Branch, TwoBranch
from aenet.retrieval import azimuth
from aenet.retrieval.positives import Positives
from aenet.retrieval.products import check_block, rows_within, slices, take
from aenet.retrieval.recall import EvaluateConfig, right_answers
from aenet.retrieval.tally import Tally
from aenet.view import fieldofview
from aenet.view.spec import Paint, Unseen

_NO_MAP_PHASES = 4
# At once, at most: queries at all phases (half of it their spectra), references (and as much again in spectra), and
# rows of either. Every block of queries transforms all references again: the larger, the less that costs.
_QUERY_BYTES, _REFERENCE_BYTES = 512 * 2**20, 64 * 2**20
_QUERIES, _REFERENCES = 256, 512
_PAIR_BYTES = 8 * 2**20  # of pairs gathered, or references in double precision; their spectra take four times as much


@dataclass(frozen=True)
class Horizon:
    """One network and one split: what all fields of view have in common.

    Attributes:
        aerial: descriptors of the references, in memory or mapped.
        shape: (C, h, w) of a descriptor's map.
        turns: columns of the view by which each query looks clockwise of north.
        phases: turns within one feature at which a query of unknown heading is described.
        unseen: what stands where nothing was seen.
    """

    branch: Branch
    views: Views
    aerial: Float[np.ndarray, "n d"]
    positives: Positives
    shape: tuple[int, int, int]
    turns: Int[np.ndarray, " n"]
    phases: int
    batch_size: int
    unseen: Unseen

    @property
    def width(self) -> int:
        """Columns of a view."""
        return self.views.spec.ground.width

    def describe(
        self, rows: slice, turns: Int[np.ndarray, " n"], columns: Bool[np.ndarray, "#n width"]
    ) -> azimuth.Maps:
        """Return maps of the queries `rows`, turned, and painted where `columns` were not seen."""
        pixels = fieldofview.look(np.asarray(self.views.ground[rows]), turns, columns, self.unseen)
        descriptors = embed(self.branch, pixels, self.batch_size, self.branch.mean.device)
        check_block(descriptors, descriptors, "query")
        return azimuth.as_maps(descriptors, self.shape)

    def references(self, rows: slice | Int[np.ndarray, " m"]) -> azimuth.Maps:
        """Return maps of references."""
        descriptors = take(self.aerial, rows)
        check_block(descriptors, self.aerial, "reference")
        return azimuth.as_maps(descriptors, self.shape)

    def query_blocks(self) -> Iterator[slice]:
        """Cut the queries so that a block's spectra fit."""
        return slices(len(self.views), min(_QUERIES, rows_within(_QUERY_BYTES // (2 * self.phases), self.aerial)))

    def reference_blocks(self) -> Iterator[slice]:
        """Cut the references likewise."""
        return slices(len(self.aerial), min(_REFERENCES, rows_within(_REFERENCE_BYTES, self.aerial)))


def open_horizon(
    network: TwoBranch, views: Views, aerial: Float[np.ndarray, "n d"], config: EvaluateConfig, unseen: Paint = "edge"
) -> Horizon:
    """Draw the directions and look up the map's shape.

    Args:
        unseen: the model's own rule; `config.unseen` counts before it.
    """
    shape, width = map_shape(network.ground, views.spec), views.spec.ground.width
    phases = config.phases if shape[2] > 1 else _NO_MAP_PHASES * config.phases
    turns = np.random.default_rng(config.seed).integers(0, width, len(views))
    positives = right_answers(views, config.positives_within_m)
    phases = min(phases, max(1, width // shape[2]))  # a turn is a whole number of columns
    painted = Unseen(rule=config.unseen or unseen, colour=network.ground.zero_colour)
    return Horizon(network.ground, views, aerial, positives, shape, turns, phases, config.batch_size, painted)


def known_heading(horizon: Horizon, fov_deg: float) -> Tally:
    """Rank queries that keep `fov_deg` about a direction that is known."""
    width, tally = horizon.width, Tally(horizon.positives, 1)
    for rows in horizon.query_blocks():
        turns = horizon.turns[rows]
        columns = np.stack([fieldofview.seen(width, fov_deg, width // 2 + turn) for turn in turns.tolist()])
        weights = np.stack([fieldofview.feature_weights(one, horizon.shape[2]) for one in columns])
        query = horizon.describe(rows, np.zeros_like(turns), columns)
        number, right = horizon.positives.pairs(rows)
        own = [
            azimuth.compare_pairs(query[n - rows.start], horizon.references(r), weights[n - rows.start])
            for n, r in _chunks(number, right, horizon.aerial)
        ]
        tally.expect(rows, np.concatenate(own))
        for part in horizon.reference_blocks():
            windows = azimuth.Windows(query, horizon.references(part), weights)
            tally.add(rows, part, windows.all(), windows)
    return tally


def unknown_heading(horizon: Horizon, fov_deg: float) -> tuple[Tally, Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Rank queries that keep `fov_deg` about a direction to be found.

    Returns the tally, and errors of the heading in degrees 0..180: against the query's own reference, and against
    the one ranked first (a guess where that is the wrong place).
    """
    tally = Tally(horizon.positives, 1)
    at_own, at_first = np.empty((2, len(horizon.views)))
    for rows in horizon.query_blocks():
        query = _phases(horizon, rows, fov_deg)
        number, right = horizon.positives.pairs(rows)
        own = [
            _best_of(query, n - rows.start, horizon.references(r)) for n, r in _chunks(number, right, horizon.aerial)
        ]
        tally.expect(rows, np.concatenate(own))
        _correlate_all(horizon, rows, query, tally)
        truth = horizon.turns[rows] * 360 / horizon.width
        for out, found in ((at_own, np.arange(rows.start, rows.stop)), (at_first, tally.best.top[rows, 0])):
            fine = [_fine(horizon, query, n, r) for n, r in _chunks(np.arange(len(found)), found, horizon.aerial)]
            out[rows] = azimuth.angle_between(azimuth.peak_heading(np.concatenate(fine)), truth)
    return tally, at_own, at_first


_Phase = tuple[azimuth.Maps, Float[np.ndarray, " w"]]


def _phases(horizon: Horizon, rows: slice, fov_deg: float) -> list[_Phase]:
    """Return maps and window of the queries at every phase; the part seen moves with the turn."""
    width, features = horizon.width, horizon.shape[2]
    out = []
    for phase in range(horizon.phases):
        step = round(phase * width / features / horizon.phases)
        columns = fieldofview.seen(width, fov_deg, width // 2 - step)
        maps = horizon.describe(rows, horizon.turns[rows] + step, columns[None])
        out.append((maps, fieldofview.feature_weights(columns, features)))
    return out


def _fine(
    horizon: Horizon, query: list[_Phase], number: Int[np.ndarray, " p"], reference: Int[np.ndarray, " p"]
) -> Float[np.ndarray, "p t"]:
    """Return the correlations of pairs at all fine shifts."""
    maps = horizon.references(reference)
    scores = [azimuth.correlate_pairs(one[number], maps, weights) for one, weights in query]
    return azimuth.interleave(np.stack(scores)[:, :, None])[:, 0]


def _correlate_all(horizon: Horizon, rows: slice, query: list[_Phase], tally: Tally) -> None:
    spectra = [azimuth.window_spectra(maps, weights) for maps, weights in query]
    for part in horizon.reference_blocks():
        maps = horizon.references(part)
        reference = azimuth.spectra(maps)
        best = np.full((rows.stop - rows.start, len(maps)), -np.inf, np.float32)
        energy, error = azimuth.energy(maps), 0.0
        for one, (_, weights) in zip(spectra, query, strict=True):
            norm = np.sqrt(azimuth.window_energy(maps, weights))
            error = max(error, azimuth.correlation_error(horizon.shape, energy, norm))
            np.maximum(best, azimuth.correlate_spectra(one, reference, norm).max(2), out=best)
        tally.add(rows, part, best, Turned(query, maps, error))


@dataclass(frozen=True)
class Turned:
    """The best cosines of one tile over all phases and shifts, in double precision (`tally.Exact`).

    Attributes:
        error: of the same in single precision, at most.
    """

    query: list[_Phase]
    reference: Float[np.ndarray, "m c h w"]
    error: float

    def pairs(self, query: Int[np.ndarray, " p"], reference: Int[np.ndarray, " p"]) -> Float64[np.ndarray, " p"]:
        """Return those of pairs, a few at a time."""
        parts = [_best_of(self.query, n, self.reference[r]) for n, r in _chunks(query, reference, self.reference)]
        return np.concatenate(parts)

    def rows(self, part: slice) -> Float64[np.ndarray, "q r"]:
        """Return those of some queries with all references, a few references at a time."""
        out = np.full((len(self.query[0][0][part]), len(self.reference)), -np.inf)
        for columns in slices(len(self.reference), rows_within(_PAIR_BYTES, self.reference)):
            some = self.reference[columns].astype(np.float64)
            for maps, weights in self.query:
                found = azimuth.correlate(maps[part].astype(np.float64), some, weights).max(2)
                np.maximum(out[:, columns], found, out=out[:, columns])
        return out


def _best_of(
    query: list[_Phase], number: Int[np.ndarray, " p"], reference: Float[np.ndarray, "p c h w"]
) -> Float64[np.ndarray, " p"]:
    """Return the best cosine of pairs over all phases and shifts, in double precision."""
    reference = reference.astype(np.float64)
    scores = [
        azimuth.correlate_pairs(maps[number].astype(np.float64), reference, weights).max(1) for maps, weights in query
    ]
    return np.asarray(np.max(scores, axis=0))


def _chunks(
    number: Int[np.ndarray, " p"], reference: Int[np.ndarray, " p"], maps: np.ndarray
) -> Iterator[tuple[Int[np.ndarray, " c"], Int[np.ndarray, " c"]]]:
    return ((number[part], reference[part]) for part in slices(len(number), rows_within(_PAIR_BYTES, maps)))
