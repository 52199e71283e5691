"""Part of the horizon, and which part: comparing descriptor maps over windows and shifts of azimuth.

**Conventions.** A view of W columns and a map of w features cover the whole circle. Column 0 begins in the south, W/4
is west, the centre W/2 north, 3W/4 east, so azimuth = 180 + 360 column / W, clockwise; feature i covers the view's
columns i W/w to (i + 1) W/w. A *shift* s is a number of features by which the query's map has to be moved to the right
to lie on the reference: query[x] shows what reference[(x + s) mod w] shows, and the query's centre looks towards
**heading = 360 s / w** degrees. So a photo taken towards the east (90), whose centre column shows the east, has s =
w / 4. Maps are [n, C, h, w], a `flatten` head's descriptors reshaped in C order.

Limited field of view: the view keeps its width, columns that were not seen are painted in the network's mean colour,
and the comparison weighs each feature by the share of its columns that was seen. Both sides are normalised over that
same window: a cosine, in -1..1. The correlation over shifts is DSM's (Shi et al., CVPR 2020, arXiv:2005.03860, eq. 3)
with the reference normalised over the window at each shift, computed by FFT: one product of [queries x C h] by
[C h x references] for each of the w / 2 + 1 frequencies takes the place of one over C h w for each of w shifts.
"""

import numpy as np
from jaxtyping import Bool, Complex64, Float, Int, UInt8

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


def seen(width: int, fov_deg: float, centre: int) -> Bool[np.ndarray, " width"]:
    """Return which of `width` columns a field of view around column `centre` keeps: fov / 360 of them, at least one.

    An even number of columns extends as far to the left of the boundary before `centre` as to its right.
    """
    kept = min(width, max(1, round(fov_deg / 360 * width)))
    out = np.zeros(width, dtype=bool)
    out[(centre - kept // 2 + np.arange(kept)) % width] = True
    return out


def feature_weights(columns: Bool[np.ndarray, " width"], features: int) -> Float[np.ndarray, " w"]:
    """Return the share of each feature's columns that were seen, in 0..1."""
    edges = np.linspace(0, len(columns), features + 1)
    total = np.interp(edges, np.arange(len(columns) + 1), np.concatenate([[0], np.cumsum(columns)]))
    return np.asarray(np.diff(total) * features / len(columns), dtype=np.float32)


def look(
    views: UInt8[np.ndarray, "n h width 3"],
    turns: Int[np.ndarray, " n"],
    columns: Bool[np.ndarray, "#n width"],
    fill: UInt8[np.ndarray, "3"],
) -> UInt8[np.ndarray, "n h width 3"]:
    """Return views turned so that what stood `turns` columns right of the centre stands in it, unseen columns filled.

    A north-centred panorama turned by W / 4 is that of a camera headed east: 360 turn / W degrees.
    """
    rows = np.arange(len(views))[:, None]
    places = (np.arange(views.shape[2]) + turns[:, None]) % views.shape[2]
    turned = np.moveaxis(views, 2, 1)[rows, places]
    turned[np.broadcast_to(~columns, places.shape)] = fill
    return np.ascontiguousarray(np.moveaxis(turned, 1, 2))


def compare(
    query: Maps, reference: Float[np.ndarray, "m c h w"], weights: Float[np.ndarray, "#n w"]
) -> Float[np.ndarray, "n m"]:
    """Return the cosine of every query with every reference over each query's own window; headings are known.

    With weights of 1 and unit descriptors this is their inner product, as in plain ranking.
    """
    weighted = (query * weights[:, None, None]).reshape(len(query), -1)
    product = weighted @ reference.reshape(len(reference), -1).T
    window = np.broadcast_to(weights, (len(query), weights.shape[1])) @ energy(reference).T
    return product / np.maximum(_window_norm(query, weights)[:, None] * np.sqrt(window), _SMALL)


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
