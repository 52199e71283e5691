"""What a tree is: its row in the table of trees, by species."""

from enum import IntEnum

import numpy as np
from jaxtyping import Float64

from aenet.data.city.buildings import Built
from aenet.data.city.noise import Rng
from aenet.data.city.zones import Zones


class Species(IntEnum):
    """What a tree looks like and what autumn does to it."""

    ROUND = 0  # lime, maple: turns yellow to red
    OAK = 1  # broad: turns brown
    CONIFER = 2  # keeps its colour
    POPLAR = 3  # tall and narrow
    SHRUB = 4


TREE = np.dtype(
    [("x", "f4"), ("y", "f4"), ("radius", "f4"), ("height", "f4"), ("base", "f4"), ("species", "i4"), ("tone", "f4")]
)


class Planter:
    """Collects trees, and plants none where something is built."""

    def __init__(self, rng: Rng, zones: Zones, built: Built) -> None:
        self.rng, self.zones, self.taken = rng, zones, built.taken
        self.rows: list[np.ndarray] = []

    def plant(self, xy: Float64[np.ndarray, "n 2"], species: Species, size: float, spread: float = 0.25) -> None:
        """Plant those of the points that are free; size is the mean crown radius in metres."""
        rng = self.rng
        height, width = self.taken.shape
        jitter = rng.normal(0, 1, (len(xy), 3))
        inside = np.all((xy > 3) & (xy < [width - 3, height - 3]), axis=1)
        cells = np.clip(xy, 0, [width - 1, height - 1]).astype(int)
        keep = inside & ~self.taken[cells[:, 1], cells[:, 0]]
        rows = np.zeros(int(keep.sum()), TREE)
        radius = size * np.clip(1 + spread * jitter[keep, 0], 0.5, 1.7)
        tall = {Species.ROUND: 2.2, Species.OAK: 1.9, Species.CONIFER: 4.2, Species.POPLAR: 6.5, Species.SHRUB: 1.3}[
            species
        ]
        rows["x"], rows["y"] = xy[keep, 0], xy[keep, 1]
        rows["radius"], rows["height"] = radius, np.clip(radius * tall * (1 + 0.12 * jitter[keep, 1]), 0.8, 24)
        share = {Species.ROUND: 0.3, Species.OAK: 0.28, Species.CONIFER: 0.1, Species.POPLAR: 0.12, Species.SHRUB: 0.0}[
            species
        ]
        rows["base"] = np.where(rows["height"] > 3, np.maximum(rows["height"] * share, 1.2), 0.0)
        rows["species"], rows["tone"] = int(species), np.clip(0.5 + 0.22 * jitter[keep, 2], 0, 1)
        self.rows.append(rows)
