"""Scores of described photos against a block of tiles, by whether heading and horizon are known.

All are cosines in -1..1. A photo that shows part of the horizon is compared over that part; one of unknown heading is
compared at every azimuth, and its score is the highest. The latter is a correlation along the horizon, done by FFT
(`aenet.azimuth`): one matrix product for each frequency takes the place of one for each heading.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Float32

from aenet import azimuth
from aenet.serving.queries import Query


def kind(query: Query) -> str:
    """Return a name that queries of the same matcher share."""
    return ("whole" if query.whole else "part") if query.known else "turned"


class _Whole:
    """Known heading, all of the horizon: the inner product."""

    def __init__(self, queries: Sequence[Query]) -> None:
        self._queries = np.stack([query.maps[0].ravel() for query in queries])

    def scores(self, tiles: Float32[np.ndarray, "m d"]) -> Float[np.ndarray, "q m"]:
        return np.asarray(self._queries @ tiles.T)


class _Part:
    """Known heading, part of the horizon: the cosine over that part."""

    def __init__(self, queries: Sequence[Query]) -> None:
        self._maps = np.concatenate([query.maps for query in queries])
        self._weights = np.concatenate([query.weights for query in queries])

    def scores(self, tiles: Float32[np.ndarray, "m d"]) -> Float[np.ndarray, "q m"]:
        return azimuth.compare(self._maps, azimuth.as_maps(tiles, self._maps.shape[1:]), self._weights)


class _Turned:
    """Unknown heading: the best of all azimuths. Queries of the same field of view share the window's norms."""

    def __init__(self, queries: Sequence[Query]) -> None:
        windows: dict[bytes, list[int]] = {}
        for number, query in enumerate(queries):
            windows.setdefault(query.weights.tobytes(), []).append(number)
        self._count, self._shape = len(queries), queries[0].maps.shape[1:]
        self._groups = []
        for numbers in windows.values():
            weights = queries[numbers[0]].weights
            maps = np.stack([queries[number].maps for number in numbers], axis=1)  # [p, n, c, h, w]
            phases = [(azimuth.window_spectra(one, mine), mine) for one, mine in zip(maps, weights, strict=True)]
            self._groups.append((numbers, phases))

    def scores(self, tiles: Float32[np.ndarray, "m d"]) -> Float[np.ndarray, "q m"]:
        maps = azimuth.as_maps(tiles, self._shape)
        spectra = azimuth.spectra(maps)
        best = np.full((self._count, len(tiles)), -np.inf, np.float32)
        for numbers, phases in self._groups:
            top = np.full((len(numbers), len(tiles)), -np.inf, np.float32)
            for query, weights in phases:
                norm = np.sqrt(azimuth.window_energy(maps, weights))
                np.maximum(top, azimuth.correlate_spectra(query, spectra, norm).max(2), out=top)
            best[numbers] = top
        return best


Matcher = _Whole | _Part | _Turned
"""Queries prepared for block after block of tiles."""


def matcher(queries: Sequence[Query]) -> Matcher:
    """Return what compares queries of one kind (`kind`)."""
    first = queries[0]
    if not first.known:
        return _Turned(queries)
    return _Whole(queries) if first.whole else _Part(queries)


def heading_of(query: Query, tile: Float32[np.ndarray, " d"]) -> float:
    """Return the azimuth in degrees, 0..360, at which a photo of unknown heading fits a tile best."""
    reference = azimuth.as_maps(tile[None], query.maps.shape[1:])
    scores = [
        azimuth.correlate_pairs(one[None], reference, weights)
        for one, weights in zip(query.maps, query.weights, strict=True)
    ]
    return float(azimuth.peak_heading(azimuth.interleave(np.stack(scores)[:, :, None]))[0, 0])
