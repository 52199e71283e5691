"""The town as vectors: what stands where, before anything is drawn."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64

from aenet.town.buildings import Built, build_houses
from aenet.town.config import TownConfig
from aenet.town.houses import rectangle
from aenet.town.noise import Points, Rng, spline
from aenet.town.plants import Plants, plant
from aenet.town.roads import RoadNetwork, lay_roads
from aenet.town.zones import Use, Zones, lay_zones, polygon_mask

# Ponds, pitches, fountains and paths: decided before trees are planted, so that none grows in them.


class Pitch(NamedTuple):
    """A football pitch."""

    x: float
    y: float
    angle: float


class Square(NamedTuple):
    """A paved square with bands and a fountain."""

    x: float
    y: float
    angle: float
    reach: float


class Amenities(NamedTuple):
    """What parks, squares and meadows hold."""

    ponds: list[tuple[Points, Points]]  # shore and water
    pitches: list[Pitch]
    squares: list[Square]
    paths: list[tuple[Points, bool]]  # centre line, and whether it is of sand (else of earth)


def lay_amenities(rng: Rng, zones: Zones, built: Built) -> Amenities:
    """Choose them, and mark their ground as taken."""
    found = Amenities([], [], [], [])
    open_uses = [Use.PARK, Use.PLAZA, Use.WOOD, Use.MEADOW]
    for block in np.flatnonzero((zones.block_area > 900) & np.isin(zones.block_use, open_uses)):
        use, (x, y) = Use(zones.block_use[block]), zones.block_centre[block]
        size, angle = float(np.sqrt(zones.block_area[block])), float(zones.parcel_angle[block * 8])
        if use is Use.PLAZA:
            found.squares.append(Square(float(x), float(y), angle, min(36.0, size * 0.5)))
            _take(built.taken, rectangle(x, y, angle, 5.0, 5.0))
            continue
        if use is Use.PARK and rng.random() < 0.4 and size > 50:
            shape = rng.normal(0, 0.16, 14)
            found.ponds.append((_blob(x, y, size * 0.2 + 2, shape), _blob(x, y, size * 0.2, shape)))
            _take(built.taken, found.ponds[-1][0])
        elif use in (Use.PARK, Use.MEADOW) and rng.random() < 0.4 and size > 62:
            found.pitches.append(Pitch(float(x), float(y), angle))
            _take(built.taken, rectangle(x, y, angle, 31.0, 21.0))
        for _ in range(3 if use is Use.PARK else 1):
            _path(rng, zones, built.taken, int(block), found)
    return found


def _path(rng: Rng, zones: Zones, taken: Bool[np.ndarray, "h w"], block: int, found: Amenities) -> None:
    """A winding path across a block, cut where it would leave the block or meet something built."""
    centre, size = zones.block_centre[block], float(np.sqrt(zones.block_area[block]))
    bend = rng.uniform(0, 2 * np.pi)
    way = np.array([np.cos(bend), np.sin(bend)]) * size * 0.8
    nodes = np.stack(
        [centre - way, centre + rng.normal(0, size * 0.22, 2), centre + way + rng.normal(0, size * 0.2, 2)]
    )
    line = spline(nodes)
    rows, cols = taken.shape
    cells = np.clip(line, 0, [cols - 1, rows - 1]).astype(int)
    free = (zones.block[cells[:, 1], cells[:, 0]] == block) & (~taken[cells[:, 1], cells[:, 0]])
    for piece in np.split(np.arange(len(line)), np.flatnonzero(np.diff(free.astype(int))) + 1):
        if len(piece) > 4 and free[piece[0]]:
            found.paths.append((line[piece], Use(zones.block_use[block]) is Use.PARK))


def _take(taken: Bool[np.ndarray, "h w"], ring: Points) -> None:
    ys, xs, mask = polygon_mask(ring, (taken.shape[0], taken.shape[1]))
    taken[ys, xs] |= mask > 0


def _blob(x: float, y: float, radius: float, shape: Float64[np.ndarray, " k"]) -> Points:
    around = np.linspace(0, 2 * np.pi, len(shape), endpoint=False)
    ring = np.array([x, y]) + (radius * (1 + shape) * [np.cos(around), np.sin(around)]).T
    return spline(np.concatenate([ring, ring[:1]]), 1.0)


class Plan(NamedTuple):
    """Roads, blocks, buildings and plants in town metres (x East, y South)."""

    network: RoadNetwork
    zones: Zones
    built: Built
    amenities: Amenities
    plants: Plants


def draw_plan(config: TownConfig) -> Plan:
    """The plan that belongs to a configuration; the same one every time."""
    rng = np.random.default_rng([config.seed, 1])
    network = lay_roads(rng, config.width_m, config.height_m)
    zones = lay_zones(rng, network, config.width_m, config.height_m)
    built = build_houses(rng, network, zones)
    amenities = lay_amenities(rng, zones, built)
    return Plan(network, zones, built, amenities, plant(rng, network, zones, built))
