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
from jaxtyping import Complex64, Float

from aenet.errors import AenetError

Maps = Float[np.ndarray, "n c h w"]
_SMALL = 1e-12  # a window without any features has the cosine 0 with everything


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
    weighted = (query * weights[:, None, None]).reshape(len(query), -1)
    product = weighted @ reference.reshape(len(reference), -1).T
    window = np.broadcast_to(weights, (len(query), weights.shape[1])) @ energy(reference).T
    return np.asarray(product / np.maximum(_window_norm(query, weights)[:, None] * np.sqrt(window), _SMALL))


def compare_pairs(query: Maps, reference: Maps, weights: Float[np.ndarray, "#n w"]) -> Float[np.ndarray, " n"]:
    """Return what `compare` does for query i and reference i only."""
    product = np.einsum("nchw,nchw,nw->n", query, reference, np.broadcast_to(weights, (len(query), weights.shape[1])))
    return np.asarray(product / np.maximum(_window_norm(query, weights) * _window_norm(reference, weights), _SMALL))


def energy(maps: Maps) -> Float[np.ndarray, "n w"]:
    """Return the squared norm of every column of features."""
    return np.asarray(np.einsum("nchw,nchw->nw", maps, maps))


def spectra(maps: Maps) -> Complex64[np.ndarray, "f n k"]:
    """Return the Fourier transform along azimuth, frequency first: f = w // 2 + 1 matrices of n x (C h)."""
    count, channels, height, width = maps.shape
    transform = np.fft.rfft(maps.astype(np.float32, copy=False).reshape(count, channels * height, width), axis=-1)
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


def window_spectra(query: Maps, weights: Float[np.ndarray, " w"]) -> Complex64[np.ndarray, "f n k"]:
    """Return the spectra of weighted queries, scaled to length 1 over their window, for `correlate_spectra`."""
    norm = np.maximum(_window_norm(query, weights[None]), _SMALL)[:, None, None, None]
    return spectra(query * weights / norm)


def window_energy(reference: Maps, weights: Float[np.ndarray, " w"]) -> Float[np.ndarray, "n w"]:
    """Return the references' weighted squared norm under the window at every shift."""
    width = reference.shape[3]
    under = (np.arange(width)[:, None] - np.arange(width)) % width  # [column, shift] -> place in the window
    return np.asarray(energy(reference) @ weights[under])


def correlate_spectra(
    query: Complex64[np.ndarray, "f n k"], reference: Complex64[np.ndarray, "f m k"], norm: Float[np.ndarray, "m w"]
) -> Float[np.ndarray, "n m w"]:
    """Return what `correlate` does, from spectra; `norm` is the references' under the window at every shift."""
    product = np.conj(query) @ np.moveaxis(reference, 1, 2)
    circular = np.moveaxis(np.fft.irfft(product, n=norm.shape[1], axis=0), 0, -1)
    return np.asarray(circular / np.maximum(norm, _SMALL))


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
