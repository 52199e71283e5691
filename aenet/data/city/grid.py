"""The warped, rotated grid whose lines become streets."""

import numpy as np
from jaxtyping import Float64

from aenet.data.city.noise import Rng, sample, smooth_noise


def grid_nodes(rng: Rng, width_m: float, height_m: float) -> Float64[np.ndarray, "i j 2"]:
    """Crossings of two families of lines, rotated and bent by a smooth displacement."""
    reach = float(np.hypot(width_m, height_m)) / 2 + 60
    us, vs = _stops(rng, reach, 58.0, 112.0), _stops(rng, reach, 66.0, 124.0)
    angle = np.deg2rad(rng.uniform(12, 32) * rng.choice([-1, 1]))
    u, v = np.meshgrid(us, vs, indexing="ij")
    x = width_m / 2 + u * np.cos(angle) - v * np.sin(angle)
    y = height_m / 2 + u * np.sin(angle) + v * np.cos(angle)
    flat = np.stack([x.ravel(), y.ravel()], axis=1)
    cell, margin = 20.0, 2 * reach
    field_size = int((2 * margin + max(width_m, height_m)) / cell)
    moved = flat.copy()
    for axis in range(2):
        bend = smooth_noise(rng, field_size, field_size, 17.0)
        moved[:, axis] += 48.0 * sample(bend, flat + margin, cell)
    moved += rng.normal(0, 4.0, moved.shape)
    return moved.reshape(len(us), len(vs), 2)


def _stops(rng: Rng, reach: float, low: float, high: float) -> Float64[np.ndarray, " n"]:
    gaps = rng.uniform(low, high, int(2 * reach / low) + 1)
    stops = np.cumsum(gaps) - reach
    return stops[stops < reach]
