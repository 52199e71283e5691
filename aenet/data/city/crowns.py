"""Tree crowns: lumpy domes and cones set into the canopy layer, trunks into the surface."""

import cv2
import numpy as np
from jaxtyping import Float32

from aenet.data.city import palette
from aenet.data.city.config import CityConfig
from aenet.data.city.layers import Kind, window
from aenet.data.city.noise import Rng, smooth_noise
from aenet.data.city.plan import Plan
from aenet.data.city.trees import Species


def _crowns(rng: Rng) -> list[list[Float32[np.ndarray, "s s"]]]:
    """Height profiles in [0, 1] on a 65 x 65 square, several for each species; 0 outside the crown."""
    ys, xs = np.mgrid[-1:1:65j, -1:1:65j]
    reach, around = np.hypot(xs, ys), np.arctan2(ys, xs)
    library = []
    for species in Species:
        variants = []
        for _ in range(6):
            lobes = sum(rng.normal(0, 0.09) * np.cos(k * around + rng.uniform(0, 6)) for k in (2, 3, 5, 7))
            edge = reach / (0.88 + lobes * (0.5 if species is Species.CONIFER else 1.0))
            dome = 1 - edge if species is Species.CONIFER else np.sqrt(np.clip(1 - edge**2, 0, 1))
            lump = smooth_noise(rng, 65, 65, 11.0) * (0.05 if species is Species.CONIFER else 0.10)
            crown = np.where(edge < 1, np.clip(dome * (1 + lump) + 0.5 * lump, 0.04, 1.0), 0.0)
            variants.append(crown.astype(np.float32))
        library.append(variants)
    return library


def raise_trees(
    rng: Rng,
    config: CityConfig,
    plan: Plan,
    surface: np.ndarray,
    canopy: np.ndarray,
    kind: np.ndarray,
    albedo: np.ndarray,
) -> None:
    """Stamp every tree: crown top, base and look into `canopy`, its trunk into the other layers."""
    library, res = _crowns(rng), config.resolution_m
    picks = rng.integers(0, 6, len(plan.plants.trees))
    for tree, pick in zip(plan.plants.trees, picks, strict=True):
        x, y, radius = float(tree["x"]), float(tree["y"]), float(tree["radius"])
        ys, xs = window(config, x, y, radius)
        rows, cols = ys.stop - ys.start, xs.stop - xs.start
        size = max(3, round(2 * radius / res))
        if rows < 3 or cols < 3 or ys.start == 0 or xs.start == 0:
            continue
        crown = cv2.resize(library[int(tree["species"])][pick], (size, size), interpolation=cv2.INTER_AREA)
        rows, cols = min(size, rows), min(size, cols)
        crown = crown[:rows, :cols]
        part = canopy[:, ys.start : ys.start + rows, xs.start : xs.start + cols]
        base, height = float(tree["base"]), float(tree["height"])
        top = ((base + (height - base) * (0.15 + 0.85 * crown)) * 10).astype(np.uint8)
        on = (crown > 0) & (top > part[0])
        on &= kind[ys.start : ys.start + rows, xs.start : xs.start + cols] != Kind.BUILDING
        part[0, on] = top[on]
        part[1, on] = int(base * 10)
        part[2, on] = int(tree["species"]) * 32 + int(float(tree["tone"]) * 31)
        row, col = int(y / res), int(x / res)
        if base > 0 and kind[row, col] < Kind.ROAD:
            thick = slice(row, row + (2 if radius > 2.5 else 1)), slice(col, col + (2 if radius > 2.5 else 1))
            surface[thick] += np.float32(base + 0.4)
            kind[thick] = Kind.TRUNK
            albedo[thick] = palette.SOIL * 0.7
