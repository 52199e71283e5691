"""The ground that buildings compete for: what is taken, what is free."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from aenet.data.city.houses import fresh_house, rectangle
from aenet.data.city.noise import Rng
from aenet.data.city.zones import Use, Zones, polygon_mask


class Lot(NamedTuple):
    """The ground that belongs to a house: its rectangle and the house's index."""

    corners: Float64[np.ndarray, "4 2"]
    building: int
    side: int  # +1 or -1: which side of its street


class CarPark(NamedTuple):
    """A marked car park."""

    x: float
    y: float
    angle: float
    half_u: float
    half_v: float


class Site:
    """Places rectangles where nothing stands yet."""

    def __init__(self, rng: Rng, zones: Zones) -> None:
        self.rng, self.zones = rng, zones
        self.taken = zones.paved | zones.wet
        self.houses: list[np.ndarray] = []
        self.lots: list[Lot] = []
        self.car_parks: list[CarPark] = []

    def free(self, x: float, y: float, angle: float, half_u: float, half_v: float, edge: float = 14.0) -> bool:
        """Whether the rectangle lies inside the town and touches nothing built."""
        # Shrunk by more than the raster's rounding, so that houses may touch each other and the pavement.
        corners = rectangle(x, y, angle, half_u - 0.8, half_v - 0.8)
        rows, cols = self.taken.shape
        if corners.min() < edge or corners[:, 0].max() > cols - edge or corners[:, 1].max() > rows - edge:
            return False
        ys, xs, mask = polygon_mask(corners, (rows, cols))
        return not bool((self.taken[ys, xs] & (mask > 0)).any())

    def claim(self, x: float, y: float, angle: float, half_u: float, half_v: float) -> None:
        """Mark the rectangle as built on."""
        ys, xs, mask = polygon_mask(rectangle(x, y, angle, half_u, half_v), self.taken.shape)
        self.taken[ys, xs] |= mask > 0

    def house(self, x: float, y: float, angle: float, half_u: float, half_v: float, use: Use) -> int:
        """Add a house with looks of its own; return its index."""
        return self.add(fresh_house(self.rng, x, y, angle, half_u, half_v, use))

    def add(self, house: np.ndarray) -> int:
        """Add a row to the table and claim its ground; return its index."""
        self.houses.append(house)
        self.claim(*(float(house[name]) for name in ("x", "y", "angle", "half_u", "half_v")))
        return len(self.houses) - 1

    def like(self, index: int, **changes: float | int) -> np.ndarray:
        """A copy of a house with some columns changed and a seed of its own."""
        house = self.houses[index].copy()
        house["seed"] = self.rng.integers(1 << 30)
        for name, value in changes.items():
            house[name] = value
        return house

    def car_park(self, x: float, y: float, angle: float, front: float) -> float:
        """Mark a car park of two rows of bays; return how far to walk on."""
        self.car_parks.append(CarPark(x, y, angle, front / 2, 8.5))
        self.claim(x, y, angle, front / 2, 8.5)
        return front + 3
