"""What the search compares, described photos, and their scores against a block of tiles.

All are cosines in -1..1. A photo that shows part of the horizon is compared over that part; one of unknown heading is
compared at every azimuth, and its score is the highest. The latter is a correlation along the horizon, done by FFT
(`aenet.retrieval.azimuth`): one matrix product for each frequency takes the place of one for each heading.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Complex64, Float, Float32

from aenet.data.card import ModelCard
from aenet.retrieval import azimuth

# What the search compares: a described photo.

_NO_MAP_PHASES = 4  # times as many turns where there is no map to be shifted


@dataclass(frozen=True)
class Query:
    """A photo, described.

    Attributes:
        maps: its descriptor as a map; for an unknown heading one for each of P phases, phase p turned p / P of a
            column to the right (`azimuth.interleave`).
        weights: the share of each column of the map that the photo shows, in 0..1.
        heading_deg: true azimuth of the photo's middle; None where it is to be found.
    """

    maps: Float32[np.ndarray, "p c h w"]
    weights: Float32[np.ndarray, "p w"]
    heading_deg: float | None

    @property
    def known(self) -> bool:
        """True if the maps are turned north."""
        return self.heading_deg is not None

    @property
    def whole(self) -> bool:
        """True if the photo shows all of the horizon."""
        return bool((self.weights == 1).all())

    @property
    def seen(self) -> float:
        """The share of the horizon it shows, in (0, 1]."""
        return float(self.weights[0].mean())


def shape_of(card: ModelCard) -> tuple[int, int, int]:
    """Return (C, h, w) of a model's maps; a descriptor that is no map is one of a single column."""
    return card.map_shape or (card.descriptor_dim, 1, 1)


def turns(card: ModelCard, phases: int) -> list[int]:
    """Return by how many columns of the view each phase of an unknown heading turns a photo."""
    width, features = card.view.ground.width, shape_of(card)[2]
    wanted = phases if features > 1 else _NO_MAP_PHASES * phases
    count = min(wanted, max(1, width // features))  # a turn is a whole number of columns
    return [round(phase * width / features / count) for phase in range(count)]


_SMALL = 1e-12  # a window without any features has the cosine 0 with everything


def kind(query: Query) -> str:
    """Return a name that queries of the same matcher share."""
    return ("whole" if query.whole else "part") if query.known else "turned"


class _Whole:
    """Known heading, all of the horizon: the inner product."""

    def __init__(self, queries: Sequence[Query]) -> None:
        self._queries = np.stack([query.maps[0].ravel() for query in queries])

    def scores(self, tiles: Float32[np.ndarray, "m d"]) -> Float[np.ndarray, "q m"]:
        """Return cosines."""
        return np.asarray(self._queries @ tiles.T)


class _Part:
    """Known heading, part of the horizon: the cosine over that part."""

    def __init__(self, queries: Sequence[Query]) -> None:
        self._maps = np.concatenate([query.maps for query in queries])
        self._weights = np.concatenate([query.weights for query in queries])

    def scores(self, tiles: Float32[np.ndarray, "m d"]) -> Float[np.ndarray, "q m"]:
        """Return cosines over the part seen."""
        return azimuth.compare(self._maps, azimuth.as_maps(tiles, self._maps.shape[1:]), self._weights)


class _Turned:
    """Unknown heading: the best of all azimuths. Queries of the same field of view share the window's norms.

    What `azimuth.correlate_spectra` does, in real numbers: real and imaginary parts stand below each other, so that
    every step is a plain matrix product, and the maximum runs over the first axis.
    """

    def __init__(self, queries: Sequence[Query]) -> None:
        windows: dict[bytes, list[int]] = {}
        for number, query in enumerate(queries):
            windows.setdefault(query.weights.tobytes(), []).append(number)
        self._count, self._shape = len(queries), queries[0].maps.shape[1:]
        self._forward, self._back = _fourier(self._shape[2])
        self._groups = []
        for numbers in windows.values():
            weights = queries[numbers[0]].weights
            maps = np.stack([queries[number].maps for number in numbers], axis=1)  # [p, n, c, h, w]
            phases = [
                (_conjugate(azimuth.window_spectra(one, mine)), mine) for one, mine in zip(maps, weights, strict=True)
            ]
            self._groups.append((numbers, phases))

    def scores(self, tiles: Float32[np.ndarray, "m d"]) -> Float[np.ndarray, "q m"]:
        """Return the best cosine over all azimuths and phases."""
        maps = azimuth.as_maps(tiles, self._shape)
        columns = np.ascontiguousarray(tiles.reshape(-1, self._shape[2]).T)  # [w, m c h]
        columns = columns.reshape(self._shape[2], len(tiles), -1).transpose(0, 2, 1)
        spectra = (self._forward @ columns.reshape(self._shape[2], -1)).reshape(-1, 2 * columns.shape[1], len(tiles))
        best = np.full((self._count, len(tiles)), -np.inf, np.float32)
        for numbers, phases in self._groups:
            top = np.full((len(numbers), len(tiles)), -np.inf, np.float32)
            for query, weights in phases:
                product = (query @ spectra).reshape(len(self._back[0]), -1)
                turned = (self._back @ product).reshape(-1, len(numbers), len(tiles))
                norm = np.maximum(np.sqrt(azimuth.window_energy(maps, weights)), _SMALL).astype(np.float32)
                if (weights == 1).all():  # the same norm at every azimuth
                    np.maximum(top, turned.max(0) / norm[:, 0], out=top)
                else:
                    turned /= norm.T[:, None]
                    np.maximum(top, turned.max(0), out=top)
            best[numbers] = top
        return best


def _fourier(width: int) -> tuple[Float32[np.ndarray, "f2 w"], Float32[np.ndarray, "w f2"]]:
    """Return the matrices of the real Fourier transform: rows of the first are Re 0, Im 0, Re 1, ... of the result."""
    basis = np.fft.rfft(np.eye(width), axis=0)  # [f, w]
    forward = np.stack([basis.real, basis.imag], axis=1).reshape(-1, width)
    frequencies = len(basis)
    parts = np.zeros((2 * frequencies, frequencies), complex)
    parts[0::2], parts[1::2] = np.eye(frequencies), 1j * np.eye(frequencies)
    back = np.fft.irfft(parts, n=width, axis=1).T
    return np.ascontiguousarray(forward, np.float32), np.ascontiguousarray(back, np.float32)


def _conjugate(spectra: Complex64[np.ndarray, "f n k"]) -> Float32[np.ndarray, "f n2 k2"]:
    """Return what multiplies [Re; Im] of the tiles to give [Re; Im] of their product with conjugate queries."""
    real, imaginary = spectra.real, spectra.imag
    upper = np.concatenate([real, imaginary], axis=2)
    return np.ascontiguousarray(np.concatenate([upper, np.concatenate([-imaginary, real], axis=2)], axis=1))


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
