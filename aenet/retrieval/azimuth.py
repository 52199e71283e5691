"""Part of the horizon, and which part: comparing descriptor maps over windows and shifts of azimuth.

**Conventions.** Maps are [n, C, h, w]: a `flatten` head's descriptors reshaped in C order, their w features around the
horizon as the view's columns are (`fieldofview`). A *shift* s is the number of features by which the query's map has
to be moved to the right to lie on the reference: query[x] shows what reference[(x + s) mod w] shows, and the
query's centre looks towards **heading = 360 s / w** degrees, clockwise from north. So a panorama whose centre column
shows the east (90) has s = w / 4.

A comparison weighs each feature by the share of it that was seen, and normalises both sides over that same window: a
cosine, in -1..1. The correlation over shifts is DSM's (Shi et al., CVPR 2020, arXiv:2005.03860, eq. 3) with the
reference normalised under the window at each shift, computed by FFT: one product of [queries x C h] by
[C h x references] for each of the w // 2 + 1 frequencies takes the place of one over C h w for each of w shifts.
"""

import numpy as np
from jaxtyping import Complex, Float, Float64, Int

from aenet.io.errors import AenetError
from aenet.retrieval.products import UNIT, pair_products, products, rounding, rows_within, slices

Maps = Float[np.ndarray, "n c h w"]
_SMALL = 1e-12  # a window without any features has the cosine 0 with everything
_PAIR_BYTES = 16 * 2**20
_DEPTH = 1024  # complex features added up at once (`products`)


def as_maps(descriptors: Float[np.ndarray, "n d"], shape: tuple[int, int, int]) -> Maps:
    """Return descriptors as maps of (C, h, w); a descriptor that is no map is one of shape (D, 1, 1).

    Raises:
        AenetError: the sizes differ.
    """
    if descriptors.shape[1] != np.prod(shape):
        raise AenetError(
            f"descriptors of {descriptors.shape[1]} dimensions are no maps of {' x '.join(map(str, shape))}"
        )
    return descriptors.reshape(len(descriptors), *shape)


def compare(
    query: Maps, reference: Float[np.ndarray, "m c h w"], weights: Float[np.ndarray, "#n w"]
) -> Float[np.ndarray, "n m"]:
    """Return the cosine of every query with every reference over each query's own window; headings are known.

    With weights of 1 and unit descriptors this is their inner product, as in plain ranking.
    """
    return Windows(query, reference, weights).all()


class Windows:
    """What `compare` computes, and the same of parts in float64 (`tally.Exact`)."""

    def __init__(self, query: Maps, reference: Float[np.ndarray, "m c h w"], weights: Float[np.ndarray, "#n w"]):
        self._query = (query * weights[:, None, None]).astype(query.dtype, copy=False).reshape(len(query), -1)
        self._reference = reference.reshape(len(reference), -1)
        window = np.broadcast_to(weights, (len(query), weights.shape[1])) @ energy(reference).T
        self._norm = np.maximum(_window_norm(query, weights)[:, None] * np.sqrt(window), _SMALL)

    @property
    def error(self) -> float:
        """By how much `all` may be off: the product, over norms that bound it, and some roundings more."""
        return rounding(self._query.shape[1]) + 8 * UNIT

    def all(self) -> Float[np.ndarray, "n m"]:
        """Return the cosine of every query with every reference, in the maps' own precision."""
        product = products(self._query, self._reference)
        return np.asarray(product / self._norm.astype(product.dtype))

    def pairs(self, query: Int[np.ndarray, " p"], reference: Int[np.ndarray, " p"]) -> Float64[np.ndarray, " p"]:
        """Return the cosines of pairs."""
        out = np.empty(len(query), np.float64)
        for part in slices(len(query), rows_within(_PAIR_BYTES, self._query)):
            out[part] = pair_products(self._query[query[part]], self._reference[reference[part]])
        return np.asarray(out / self._norm[query, reference])

    def rows(self, part: slice) -> Float64[np.ndarray, "q m"]:
        """Return the cosines of some queries with all references."""
        return np.asarray(products(self._query[part], self._reference, np.float64) / self._norm[part])


def compare_pairs(query: Maps, reference: Maps, weights: Float[np.ndarray, "#n w"]) -> Float64[np.ndarray, " n"]:
    """Return what `compare` does for query i and reference i only, in float64."""
    each = np.arange(len(query))
    return Windows(query, reference, weights).pairs(each, each)


def energy(maps: Maps) -> Float64[np.ndarray, "n w"]:
    """Return the squared norm of every column of features."""
    return np.asarray(np.einsum("nchw,nchw->nw", maps, maps, dtype=np.float64))


def spectra(maps: Maps) -> Complex[np.ndarray, "f n k"]:
    """Return the Fourier transform along azimuth, frequency first: f = w // 2 + 1 matrices of n x (C h).

    Of float64 in double precision, of everything else in single.
    """
    count, channels, height, width = maps.shape
    precision = np.result_type(maps, np.float32)
    transform = np.fft.rfft(maps.astype(precision, copy=False).reshape(count, channels * height, width), axis=-1)
    return np.ascontiguousarray(np.moveaxis(transform, -1, 0))


def correlate(
    query: Maps, reference: Float[np.ndarray, "m c h w"], weights: Float[np.ndarray, " w"]
) -> Float[np.ndarray, "n m w"]:
    """Return the cosine of every query with every reference at every shift, over the query's window `weights`.

    Extra memory: both sides' spectra, about (1 + 2 / w) of the maps each, and three times the result.
    """
    shifts = window_energy(reference, weights)
    return correlate_spectra(window_spectra(query, weights), spectra(reference), np.sqrt(shifts))


def correlate_pairs(query: Maps, reference: Maps, weights: Float[np.ndarray, " w"]) -> Float[np.ndarray, "n w"]:
    """Return what `correlate` does for query i and reference i only."""
    product = np.einsum("fnk,fnk->nf", np.conj(window_spectra(query, weights)), spectra(reference))
    norm = np.maximum(np.sqrt(window_energy(reference, weights)), _SMALL)
    return np.asarray(np.fft.irfft(product, n=len(weights), axis=1) / norm)


def correlation_error(shape: tuple[int, int, int], reference: Float[np.ndarray, "m w"], norm: np.ndarray) -> float:
    """Return by how much single precision puts `correlate_spectra` wrong, at most.

    The products of C h complex features, whose parts are sums of twice as many, and three transforms of some w: their
    errors are relative to the whole of query and reference (Parseval), and what is seen of the reference may be less.

    Args:
        shape: (C, h, w) of the maps.
        reference: squared norms of their columns.
        norm: what the correlations were divided by, [m, w].
    """
    channels, height, width = shape
    products_off = np.sqrt(2) * rounding(2 * channels * height, 2 * _DEPTH)
    transforms_off = 30 * (1 + np.log2(width)) * UNIT
    part = np.sqrt(reference.sum(1)) / np.maximum(norm.min(1), _SMALL)
    return float((products_off + transforms_off) * part.max())


def window_spectra(query: Maps, weights: Float[np.ndarray, " w"]) -> Complex[np.ndarray, "f n k"]:
    """Return the spectra of weighted queries, scaled to length 1 over their window, for `correlate_spectra`."""
    norm = np.maximum(_window_norm(query, weights[None]), _SMALL)[:, None, None, None]
    return spectra((query * (weights / norm)).astype(query.dtype, copy=False))


def window_energy(reference: Maps, weights: Float[np.ndarray, " w"]) -> Float64[np.ndarray, "n w"]:
    """Return the references' weighted squared norm under the window at every shift."""
    width = reference.shape[3]
    under = (np.arange(width)[:, None] - np.arange(width)) % width  # [column, shift] -> place in the window
    return np.asarray(energy(reference) @ weights[under])


def correlate_spectra(
    query: Complex[np.ndarray, "f n k"], reference: Complex[np.ndarray, "f m k"], norm: Float[np.ndarray, "m w"]
) -> Float[np.ndarray, "n m w"]:
    """Return what `correlate` does, from spectra; `norm` is the references' under the window at every shift."""
    product = _spectral_product(query, reference, slice(0, _DEPTH))
    for start in range(_DEPTH, query.shape[2], _DEPTH):
        product += _spectral_product(query, reference, slice(start, start + _DEPTH))
    circular = np.moveaxis(np.fft.irfft(product, n=norm.shape[1], axis=0), 0, -1)
    return np.asarray(circular / np.maximum(norm, _SMALL).astype(circular.dtype))


def _spectral_product(query: np.ndarray, reference: np.ndarray, part: slice) -> np.ndarray:
    return np.asarray(np.conj(query[:, :, part]) @ np.moveaxis(reference[:, :, part], 1, 2))


def interleave(scores: Float[np.ndarray, "p n m w"]) -> Float[np.ndarray, "n m wp"]:
    """Return correlations at w P fine shifts from those of P phases.

    In phase p the query was turned a further p / P of a feature (`look`), so its shift s means s - p / P.
    """
    phases, count, others, width = scores.shape
    fine = np.empty((count, others, width, phases), scores.dtype)
    for phase in range(phases):
        if phase == 0:
            fine[..., 0] = scores[0]
        else:  # s P - p = (s - 1) P + (P - p)
            fine[..., phases - phase] = np.roll(scores[phase], -1, axis=-1)
    return fine.reshape(count, others, width * phases)


def peak_heading(scores: Float[np.ndarray, "... t"]) -> Float[np.ndarray, "..."]:
    """Return the heading of the highest of t correlations around the circle, in degrees 0..360.

    The vertex of the parabola through the peak and its two neighbours, where there are three shifts or more.
    """
    count = scores.shape[-1]
    best = np.argmax(scores, axis=-1)
    left, top, right = (
        np.take_along_axis(scores, ((best + step) % count)[..., None], axis=-1)[..., 0].astype(np.float64)
        for step in (-1, 0, 1)
    )
    bend = left - 2 * top + right
    offset = np.where(bend < 0, 0.5 * (left - right) / np.where(bend < 0, bend, -1.0), 0.0) if count > 2 else 0.0
    return np.asarray(((best + offset) * 360 / count) % 360)


def angle_between(a_deg: Float[np.ndarray, "..."], b_deg: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """Return the angle between two directions, in degrees 0..180."""
    return np.asarray(np.abs((np.asarray(a_deg) - b_deg + 180) % 360 - 180))


def _window_norm(maps: Maps, weights: Float[np.ndarray, "#n w"]) -> Float[np.ndarray, " n"]:
    return np.asarray(np.sqrt((energy(maps) * weights).sum(1)))
