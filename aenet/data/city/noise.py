"""Smooth random fields, the raw material of terrain, colour and curved streets."""

import cv2
import numpy as np
from jaxtyping import Float32, Float64

Rng = np.random.Generator


def smooth_noise(rng: Rng, height: int, width: int, cell: float) -> Float32[np.ndarray, "h w"]:
    """Zero-mean, roughly unit-variance noise whose features are about `cell` pixels wide."""
    rows, cols = int(height / cell) + 4, int(width / cell) + 4
    small = rng.standard_normal((rows, cols)).astype(np.float32)
    full = cv2.resize(small, (int(cols * cell) + 1, int(rows * cell) + 1), interpolation=cv2.INTER_CUBIC)
    top, left = int(cell), int(cell)
    return np.ascontiguousarray(full[top : top + height, left : left + width])


def fractal_noise(rng: Rng, height: int, width: int, cells: tuple[float, ...]) -> Float32[np.ndarray, "h w"]:
    """Sum of `smooth_noise` octaves, each half as strong as the one before, scaled to unit variance."""
    total = np.zeros((height, width), np.float32)
    for octave, cell in enumerate(cells):
        total += smooth_noise(rng, height, width, cell) * np.float32(0.5**octave)
    return total / np.float32(max(float(total.std()), 1e-6))


def wrapped_noise(rng: Rng, size: int, sigmas: tuple[float, ...]) -> Float32[np.ndarray, "s s"]:
    """Unit-variance noise that tiles seamlessly: white noise blurred with a wrapped Gaussian per octave."""
    total = np.zeros((size, size), np.float32)
    for sigma in sigmas:
        white = rng.standard_normal((size, size)).astype(np.float32)
        pad = min(size, int(4 * sigma) + 2)
        blurred = cv2.GaussianBlur(np.pad(white, pad, mode="wrap"), (0, 0), sigma)[pad:-pad, pad:-pad]
        total += blurred / np.float32(max(float(blurred.std()), 1e-6))
    return total / np.float32(max(float(total.std()), 1e-6))


def sample(field: Float32[np.ndarray, "h w"], xy: Float64[np.ndarray, "n 2"], cell: float) -> Float32[np.ndarray, " n"]:
    """Bilinear values of a field with `cell` metres per pixel at points in metres (x East, y South)."""
    scaled = np.asarray(xy, np.float32) / np.float32(cell) - np.float32(0.5)
    out = np.empty(len(scaled), np.float32)
    for start in range(0, len(scaled), 32000):  # cv2.remap's maps may not exceed 32767 in either direction
        part = scaled[start : start + 32000]
        values = cv2.remap(field, part[None, :, 0], part[None, :, 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        out[start : start + 32000] = values[0]
    return out
