"""`aenet.evaluate`: descriptors to recall, median rank and metres. Any model's: two arrays are enough."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Float64

from aenet.data.distance import distance_m
from aenet.data.pairs import read_pairs
from aenet.doors.given import PathLike, one_path
from aenet.io.errors import AenetError
from aenet.retrieval.positives import Positives, identity, of_pairs, within
from aenet.retrieval.products import rows_within, slices, take
from aenet.retrieval.ranking import rank
from aenet.retrieval.recall import metrics
from aenet.serving.maps.quantities import Number

_LENGTH_TOLERANCE = 2e-2  # a hundredth in half-precision arithmetic, and as much again for what float16 rounds
_BLOCK_BYTES = 16 << 20
_PLACES = ("latitude", "longitude"), ("aerial_latitude", "aerial_longitude")
PlacesLike = np.ndarray | Sequence[Sequence[Number]]
DescriptorsLike = np.ndarray | Sequence[Sequence[Number]]


def evaluate(
    ground: DescriptorsLike,
    tiles: DescriptorsLike,
    truth: pd.DataFrame | PathLike | np.ndarray | Sequence[int],
    *,
    places: tuple[PlacesLike, PlacesLike] | None = None,
    positives_within_m: float | None = None,
) -> dict[str, float]:
    """Rank all tiles for every photo. Ties count against the model, so that one that collapsed scores zero.

    Args:
        ground: unit descriptors of photos, [q, d].
        tiles: unit descriptors of tiles, [r, d].
        truth: for each photo the row of its tile; or a table of pairs (or its path), one row a photo and a tile, with
            their positions: tiles that stand in several rows are then each other's right answers.
        places: positions of photos [q, 2] and of tiles [r, 2], latitude and longitude in degrees, where `truth` is rows
            and errors in metres are wanted.
        positives_within_m: count every tile centred within so many metres of the photo as right (a table of pairs
            only; CVACT_test's protocol: 5).

    Returns:
        `recall_at_1`, `recall_at_5`, `recall_at_10`, `recall_at_1_percent` and `chance_at_1` in percent, `median_rank`
        counted from 1, `places`; where positions are known also `median_error_m`, percentiles, and the share
        `within_25_m`.

    Raises:
        AenetError: descriptors that are not finite or not of unit length, or shapes or rows that do not fit.
    """
    one, other = _descriptors(ground, "ground"), _descriptors(tiles, "tiles")
    at: tuple[np.ndarray, np.ndarray] | None
    if isinstance(truth, pd.DataFrame) or _is_path(truth):
        pairs = truth if isinstance(truth, pd.DataFrame) else read_pairs(one_path(truth, "truth"))
        answers, at = _of_pairs(pairs, len(one), len(other), positives_within_m)
        if places is not None:
            raise AenetError("`places` stand in the table of `truth` already: leave them out")
    else:
        if positives_within_m is not None:
            raise AenetError("`positives_within_m` needs positions: give the table of pairs for `truth`")
        answers, at = _of_rows(truth, len(one)), _positions(places, len(one), len(other))
    tally = rank(one, other, answers, 1)
    return metrics(tally, len(other), _errors_m(at, tally.best.top[:, 0]))


def _is_path(given: object) -> bool:
    return isinstance(given, str) or hasattr(given, "__fspath__")


def _descriptors(given: Any, argument: str) -> Float[np.ndarray, "n d"]:
    """Return them as they are, memory maps too, once they are known to be of unit length."""
    array = given if isinstance(given, np.ndarray) else np.asarray(given)
    if array.ndim != 2 or array.dtype.kind != "f":
        raise AenetError(
            f"`{argument}` must be descriptors, floating-point numbers of [rows, dimensions]; found {array.dtype} of "
            f"{list(array.shape)}"
        )
    for part in slices(len(array), rows_within(_BLOCK_BYTES, array)):
        block = take(array, part).astype(np.float32, copy=False)
        lengths = np.sqrt(np.einsum("nd,nd->n", block, block))
        wrong = np.isfinite(lengths) & (np.abs(lengths - 1) >= _LENGTH_TOLERANCE)  # `rank` speaks of those not finite
        if wrong.any():
            row = int(wrong.argmax())
            raise AenetError(
                f"`{argument}`, row {part.start + row} has length {lengths[row]:g}, descriptors have 1: divide each by "
                "its length (np.linalg.norm(x, axis=1, keepdims=True)), or Euclidean and cosine order differ"
            )
    return array


def _of_rows(truth: Any, queries: int) -> Positives:
    rows = np.asarray(truth)
    if rows.shape != (queries,) or rows.dtype.kind not in "iu":
        raise AenetError(
            f"`truth` must name one row of `tiles` for each of {queries} photos; found {rows.dtype} of "
            f"{list(rows.shape)}"
        )
    return identity(rows.astype(np.int64))


def _of_pairs(
    pairs: pd.DataFrame, queries: int, references: int, within_m: float | None
) -> tuple[Positives, tuple[np.ndarray, np.ndarray]]:
    if not len(pairs) == queries == references:
        raise AenetError(
            f"a table of pairs has a row for each photo and its tile: `truth` has {len(pairs)}, `ground` {queries}, "
            f"`tiles` {references}; name rows of `tiles` instead where they are not paired"
        )
    needed = {"ground", "aerial", *_PLACES[0], *_PLACES[1]}
    if missing := sorted(needed - set(pairs.columns)):
        raise AenetError(f"`truth` is no table of pairs: it lacks {', '.join(missing)}")
    at = (pairs[list(_PLACES[0])].to_numpy(np.float64), pairs[list(_PLACES[1])].to_numpy(np.float64))
    return (of_pairs(pairs) if within_m is None else within(pairs, within_m)), at


def _positions(
    places: tuple[PlacesLike, PlacesLike] | None, queries: int, references: int
) -> tuple[np.ndarray, np.ndarray] | None:
    if places is None:
        return None
    try:
        photos, tiles = (np.asarray(part, np.float64) for part in places)
    except (TypeError, ValueError) as error:
        raise AenetError("`places` are two arrays: of photos and of tiles, latitude and longitude a row") from error
    if photos.shape != (queries, 2) or tiles.shape != (references, 2):
        raise AenetError(
            f"`places` must be latitude and longitude of {queries} photos and {references} tiles; found "
            f"{list(photos.shape)} and {list(tiles.shape)}"
        )
    return photos, tiles


def _errors_m(at: tuple[np.ndarray, np.ndarray] | None, first: np.ndarray) -> Float64[np.ndarray, " q"]:
    if at is None:
        return np.full(len(first), np.nan)
    photos, tiles = at[0], at[1][first]
    return distance_m(photos[:, 0], photos[:, 1], tiles[:, 0], tiles[:, 1])


def lines(values: Mapping[str, float]) -> list[str]:
    """Say an evaluation's numbers, one a line."""
    return [f"  {name:22} {value:10.2f}" for name, value in values.items()]
