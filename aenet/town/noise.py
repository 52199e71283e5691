"""The town's raw material: smooth random fields, colours, and curves through points."""

import cv2
import numpy as np
from jaxtyping import Float32, Float64, UInt8

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


# Colours, all RGB. Roofs and facades are drawn from separate lists, so one tells nothing of the other.


def _rgb(text: str) -> Float32[np.ndarray, "n 3"]:
    return np.array([[int(word[i : i + 2], 16) for i in (0, 2, 4)] for word in text.split()], np.float32)


PITCHED_ROOFS = _rgb("a8563f 95452f b4694c 7c4a3c 8a3a34 5e6066 4c5057 71757b 6b5a4e a37b5c 86604c 3f4450")
FLAT_ROOFS = _rgb("a3a19b b9b6ae 8b8a88 c9c6bf 77797b 9a8f82 6f7d6a d6d3cc 84786c 5f6164")
METAL_ROOFS = _rgb("b7bcc0 8fa0ad a9b3a4 d7d9d8 6f8291 a1554a")
FACADES = _rgb(
    "e8dcc4 d9b98c c98f6b b5624c 9c4f41 f0ece2 cfd3d2 a9b4b8 dcc7a0 8d9a8f e3b7a0 b7a58d"
    " f4e3b2 7f8c9a c7c0b2 a86a4d d8d0e0 95a88a e9cfc0 6d6a6c"
)
TRIMS = _rgb("f5f2ea 4a4238 2f3a44 7a5a3c dfe3e4 5b2f2a")
CARS = _rgb("d8d9da f1f1ef 1f2124 3a3d42 7d8388 8f1f22 1d3f73 2b5a8c 6a6f5a c7b58a 39594a b5661f")
CLOTHES = _rgb("20242c 3b4a63 7a2b2f c0b8a8 e3d9c0 2f5d50 8a6d3b 4b3f55 c7593a 6e7f91")
SKINS = _rgb("f0c8a8 c58f68 8a5a3c e0ac84")
GRASS, MEADOW, LAWN = _rgb("85955e 9a9f6c 7c9059")
CROPS = _rgb("c9b66b a8b25a 7f9d4e d6c98a 93a865 b79f6e 6d8f48 dccb57 9c8a63")
CROP_ROWS = _rgb("b39d57 8d9a49 62813c c0b074 7b9053 9d8558 557a3a c9b545 86734f")
SOIL, SAND, GRAVEL = _rgb("8f7658")[0], _rgb("cdbb8f")[0], _rgb("b3ab9c")[0]
ASPHALT, PAVEMENT, KERB, SETTS = _rgb("686a6e")[0], _rgb("b3aea4")[0], _rgb("cfcbc2")[0], _rgb("bba894")[0]
PAINT, WATER, BANK = _rgb("eeece4")[0], _rgb("4d6b6f")[0], _rgb("8a8f63")[0]


# Curves through points, and their rasters.

Points = Float64[np.ndarray, "_ 2"]


STEP = 2.0  # metres between points of a road


def spline(nodes: Points, step: float = STEP) -> Points:
    """Catmull-Rom curve through the nodes, resampled evenly."""
    padded = np.concatenate([2 * nodes[:1] - nodes[1:2], nodes, 2 * nodes[-1:] - nodes[-2:-1]])
    t = np.linspace(0, 1, 24, endpoint=False)[:, None]
    parts = []
    for a, b, c, d in zip(padded, padded[1:], padded[2:], padded[3:], strict=False):
        parts.append(0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - 3 * c + d - a) * t**3))
    return resample(np.concatenate([*parts, nodes[-1:]]), step)


def resample(points: Points, step: float) -> Points:
    """Points every `step` metres along a polyline (both ends kept)."""
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))])
    stops = np.linspace(0.0, along[-1], max(2, int(along[-1] / step) + 1))
    return np.stack([np.interp(stops, along, points[:, 0]), np.interp(stops, along, points[:, 1])], axis=1)


def polyline_mask(lines: list[tuple[Points, float]], width_m: float, height_m: float) -> UInt8[np.ndarray, "h w"]:
    """One-metre raster that is 1 within half the given width of any of the lines."""
    mask = np.zeros((int(height_m), int(width_m)), np.uint8)
    for points, width in lines:
        cv2.polylines(mask, [np.round(points * 16).astype(np.int32)], False, 1, max(1, round(width)), shift=4)
    return mask
