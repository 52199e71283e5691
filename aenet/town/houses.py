"""What a house is: its row in the table of houses, and what each land use builds."""

from enum import IntEnum
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from aenet.town import noise
from aenet.town.noise import Rng
from aenet.town.zones import Use


class Roof(IntEnum):
    """Shape of a roof; ridges run along the longer side."""

    FLAT = 0
    GABLE = 1
    HIP = 2
    SPIRE = 3


# One row per rectangle: centre, direction of its front (radians), half length along it, half depth, eaves and ridge
# above ground, storey height, window pitch/width/height shares, facade style, garden flag.
BUILDING = np.dtype(
    [
        ("x", "f4"), ("y", "f4"), ("angle", "f4"), ("half_u", "f4"), ("half_v", "f4"), ("eaves", "f4"), ("ridge", "f4"),
        ("storey", "f4"), ("pitch", "f4"), ("window_w", "f4"), ("window_h", "f4"), ("style", "i4"), ("roof", "i4"),
        ("facade", "f4", 3), ("trim", "f4", 3), ("roof_rgb", "f4", 3), ("base", "f4"), ("use", "i4"), ("seed", "i4"),
    ]
)  # fmt: skip


class Style(NamedTuple):
    """Ranges a land use draws its houses from; metres."""

    front: tuple[float, float]
    depth: tuple[float, float]
    setback: tuple[float, float]
    gap: tuple[float, float]
    joined: float  # chance that the next house touches this one
    storeys: tuple[int, int]
    storey: tuple[float, float]
    roofs: tuple[float, float, float]  # flat, gable, hip
    wing: float
    present: float


STYLES = {
    Use.CENTRE: Style((9, 22), (11, 15), (0.3, 1.0), (2, 6), 0.88, (3, 6), (3.1, 3.6), (0.4, 0.4, 0.2), 0.35, 0.96),
    Use.PLAZA: Style((14, 30), (12, 18), (8, 14), (12, 30), 0.0, (3, 5), (3.6, 4.2), (0.3, 0.3, 0.4), 0.2, 0.25),
    Use.URBAN: Style((13, 36), (11, 15), (2.5, 6), (4, 10), 0.3, (2, 5), (2.8, 3.3), (0.55, 0.25, 0.2), 0.35, 0.88),
    Use.SUBURB: Style((8, 14), (7.5, 11), (4, 9), (4.5, 11), 0.12, (1, 2), (2.7, 3.1), (0.1, 0.62, 0.28), 0.4, 0.9),
    Use.INDUSTRY: Style((24, 62), (18, 40), (8, 16), (8, 18), 0.0, (1, 2), (4.2, 6.0), (0.72, 0.28, 0.0), 0.3, 0.85),
    Use.FIELD: Style((9, 22), (8, 13), (8, 22), (50, 120), 0.0, (1, 2), (2.8, 3.4), (0.0, 0.7, 0.3), 0.7, 0.25),
    Use.MEADOW: Style((8, 14), (8, 11), (8, 18), (40, 110), 0.0, (1, 2), (2.8, 3.2), (0.05, 0.65, 0.3), 0.5, 0.25),
}


def rectangle(x: float, y: float, angle: float, half_u: float, half_v: float) -> Float64[np.ndarray, "4 2"]:
    """Corners of a rectangle whose u axis points along `angle`."""
    u = np.array([np.cos(angle), np.sin(angle)])
    v = np.array([-u[1], u[0]])
    signs = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]], float)
    return np.asarray(np.array([x, y]) + signs[:, :1] * half_u * u + signs[:, 1:] * half_v * v)


def fresh_house(rng: Rng, x: float, y: float, angle: float, half_u: float, half_v: float, use: Use) -> np.ndarray:
    """A row of the table with looks of its own, drawn from its land use's style."""
    style, house = STYLES[use], np.zeros((), BUILDING)
    storey = rng.uniform(*style.storey)
    eaves = storey * int(rng.integers(style.storeys[0], style.storeys[1] + 1)) + rng.uniform(0.2, 0.7)
    roof = Roof(int(rng.choice(3, p=style.roofs)))
    steep = 0.18 if use is Use.INDUSTRY else rng.uniform(0.55, 0.95)
    pool = noise.FLAT_ROOFS if roof is Roof.FLAT else noise.PITCHED_ROOFS
    if use is Use.INDUSTRY and rng.random() < 0.6:
        pool = noise.METAL_ROOFS
    tint = rng.normal(0, 4, (2, 3)) + rng.normal(0, 11, (2, 1))
    house["x"], house["y"], house["angle"], house["half_u"], house["half_v"] = x, y, angle, half_u, half_v
    house["eaves"] = eaves
    house["ridge"] = eaves + (0.0 if roof is Roof.FLAT else steep * min(half_u, half_v))
    house["storey"], house["roof"], house["use"] = storey, roof, use
    house["roof_rgb"] = np.clip(pool[rng.integers(len(pool))] + tint[0], 20, 245)
    house["facade"] = np.clip(noise.FACADES[rng.integers(len(noise.FACADES))] + tint[1], 40, 250)
    house["trim"] = noise.TRIMS[rng.integers(len(noise.TRIMS))]
    house["pitch"], house["window_w"] = rng.uniform(1.9, 3.4), rng.uniform(0.35, 0.75)
    house["window_h"] = rng.uniform(0.4, 0.66)
    house["style"], house["seed"] = rng.integers(5), rng.integers(1 << 30)
    return house
