"""Hedges and fences around gardens, parapets along bridges."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from aenet.data.city.buildings import Built
from aenet.data.city.layers import Kind
from aenet.data.city.noise import Rng
from aenet.data.city.roads import Network
from aenet.data.city.zones import Zones


class Hedge(NamedTuple):
    """A line of hedge or fence."""

    a: Float64[np.ndarray, "2"]
    b: Float64[np.ndarray, "2"]
    height: float
    width: float
    kind: Kind


def garden_hedges(rng: Rng, built: Built) -> list[Hedge]:
    """Hedges or fences along the sides and backs of gardens."""
    hedges = []
    for lot in built.lots:
        green = bool(rng.random() < 0.6)
        height = float(rng.uniform(1.0, 2.0))
        order = [0, 1, 2, 3] if lot.side > 0 else [3, 2, 1, 0]  # corners 0 and 1 lie on the street's side
        for a, b in ((1, 2), (2, 3), (3, 0)):
            if rng.random() < 0.75:
                hedges.append(
                    Hedge(
                        lot.corners[order[a]],
                        lot.corners[order[b]],
                        height,
                        1.1 if green else 0.35,
                        Kind.HEDGE if green else Kind.FENCE,
                    )
                )
    return hedges


def parapets(network: Network, zones: Zones) -> list[Hedge]:
    """Walls along both sides of every bridge."""
    walls = []
    for road in network.roads:
        cells = np.clip(road.points, 0, [zones.wet.shape[1] - 1, zones.wet.shape[0] - 1]).astype(int)
        wet = zones.wet[cells[:, 1], cells[:, 0]]
        headings = road.headings()
        for k in np.flatnonzero(wet[:-1]):
            normal = np.array([-np.sin(headings[k]), np.cos(headings[k])]) * (road.reach - 0.3)
            for side in (-1, 1):
                walls.append(
                    Hedge(road.points[k] + side * normal, road.points[k + 1] + side * normal, 1.0, 0.4, Kind.PARAPET)
                )
    return walls
