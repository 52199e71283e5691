"""Roofs: their shape, their colours, and what stands on them."""

import numpy as np

from aenet.data.city.houses import Roof
from aenet.data.city.noise import Rng


def roof(house: np.void, u: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Height above the base and colour of the roof at local coordinates."""
    half_u, half_v, eaves, ridge = (float(house[k]) for k in ("half_u", "half_v", "eaves", "ridge"))
    rng = np.random.default_rng(int(house["seed"]))
    colour = np.repeat(house["roof_rgb"][None].astype(np.float32), len(u), axis=0)
    if half_u < half_v:
        u, v, half_u, half_v = v, u, half_v, half_u
    shape = Roof(int(house["roof"]))
    if shape is Roof.FLAT:
        height = np.full(len(u), eaves, np.float32)
        _flat_details(rng, u, v, half_u, half_v, height, colour)
        return height, colour
    if shape is Roof.GABLE:
        share = 1 - np.abs(v) / half_v
    elif shape is Roof.HIP:
        share = np.minimum(half_v - np.abs(v), half_u - np.abs(u)) / half_v
    else:
        share = 1 - np.maximum(np.abs(v) / half_v, np.abs(u) / half_u)
    height = (eaves + (ridge - eaves) * share).astype(np.float32)
    colour *= (1 + 0.05 * np.sin(share * half_v * 9))[:, None]  # courses of tiles
    colour[share > 1 - 0.3 / half_v] *= 0.8
    if shape is not Roof.SPIRE and int(house["use"]) != 3:
        for _ in range(int(rng.integers(1, 3))):
            at_u, at_v = rng.uniform(-0.7, 0.7) * half_u, rng.uniform(-0.4, 0.4) * half_v
            chimney = (np.abs(u - at_u) < 0.55) & (np.abs(v - at_v) < 0.55)
            height[chimney] = max(height[chimney].max(initial=eaves), ridge - 0.3) + 0.9
            colour[chimney] = (120, 74, 60)
        if rng.random() < 0.25:  # solar panels on one slope
            at = rng.uniform(-0.4, 0.4) * half_u
            panel = (np.abs(u - at) < 0.35 * half_u) & (v > 0.2 * half_v) & (v < 0.8 * half_v)
            colour[panel] = (38, 44, 66)
        elif rng.random() < 0.5:  # roof lights
            pane = (np.abs((u + 40) % 3.6 - 1.8) < 0.45) & (np.abs(np.abs(v) - 0.5 * half_v) < 0.5)
            colour[pane] = (92, 112, 126)
    return height, colour


def _flat_details(
    rng: Rng, u: np.ndarray, v: np.ndarray, half_u: float, half_v: float, height: np.ndarray, colour: np.ndarray
) -> None:
    """Parapet, seams, skylights, plant boxes."""
    rim = (np.abs(u) > half_u - 0.5) | (np.abs(v) > half_v - 0.5)
    height[rim] += np.float32(0.5)
    colour[rim] = colour[rim] * 0.8 + 40
    pitch = rng.uniform(3, 9)
    colour[(np.abs((u + 80) % pitch) < 0.25) & ~rim] *= 0.93
    for _ in range(int(rng.integers(1, 3 + int(half_u * half_v / 45)))):
        at_u, at_v = rng.uniform(-0.75, 0.75) * half_u, rng.uniform(-0.7, 0.7) * half_v
        size_u, size_v = rng.uniform(0.6, 2.2), rng.uniform(0.5, 1.6)
        box = (np.abs(u - at_u) < size_u) & (np.abs(v - at_v) < size_v) & ~rim
        if rng.random() < 0.5:
            height[box] += np.float32(rng.uniform(0.8, 2.4))
            colour[box] = rng.uniform(110, 215)
        else:
            colour[box] = (120, 142, 154)
    if half_u > 12 and rng.random() < 0.5:
        strip = (np.abs((u + 80) % 6 - 3) < 0.9) & (np.abs(v) < 0.65 * half_v)
        colour[strip] = (158, 178, 188)
    if rng.random() < 0.12:
        colour[~rim] = colour[~rim] * 0.3 + np.array([100, 122, 72]) * 0.7  # a green roof
