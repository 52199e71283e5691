"""Trees: avenues, woods, orchards, parks, gardens, river banks; hedges around gardens and fields."""

from enum import IntEnum
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from aenet.town.buildings import Built
from aenet.town.layers import Surface
from aenet.town.noise import Rng
from aenet.town.roads import RoadKind, RoadNetwork
from aenet.town.zones import Use, Zones

# What a tree is: its row in the table of trees, by species.


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


# Hedges and fences around gardens, parapets along bridges.


class Hedge(NamedTuple):
    """A line of hedge or fence."""

    a: Float64[np.ndarray, "2"]
    b: Float64[np.ndarray, "2"]
    height: float
    width: float
    kind: Surface


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
                        Surface.HEDGE if green else Surface.FENCE,
                    )
                )
    return hedges


def parapets(network: RoadNetwork, zones: Zones) -> list[Hedge]:
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
                    Hedge(road.points[k] + side * normal, road.points[k + 1] + side * normal, 1.0, 0.4, Surface.PARAPET)
                )
    return walls


class Plants(NamedTuple):
    """All that grows."""

    trees: np.ndarray
    hedges: list[Hedge]


def plant(rng: Rng, network: RoadNetwork, zones: Zones, built: Built) -> Plants:
    """Trees and hedges wherever the land use asks for them and nothing is built."""
    planter = Planter(rng, zones, built)
    _avenues(planter, network)
    for block in np.flatnonzero(zones.block_area > 60):
        _block(planter, int(block))
    _banks(planter, network)
    hedges = garden_hedges(rng, built) + parapets(network, zones)
    trees = np.concatenate(planter.rows) if planter.rows else np.zeros(0, TREE)
    return Plants(trees, hedges)


def _avenues(planter: Planter, network: RoadNetwork) -> None:
    rng = planter.rng
    for road in network.roads:
        if (
            road.kind > RoadKind.LANE
            or rng.random() > {RoadKind.AVENUE: 0.75, RoadKind.STREET: 0.45, RoadKind.LANE: 0.2}[road.kind]
        ):
            continue
        species = Species(int(rng.choice([Species.ROUND, Species.ROUND, Species.OAK, Species.POPLAR])))
        size = {Species.ROUND: 2.7, Species.OAK: 3.4, Species.POPLAR: 1.3}[species] * rng.uniform(0.8, 1.15)
        pitch = max(3, int(rng.uniform(3.2, 3.8) * size / 2 + 1))
        headings = road.headings()
        for side in (-1, 1):
            if rng.random() < 0.2:
                continue
            out = road.reach + 1.3
            xy = road.points + side * out * np.stack([-np.sin(headings), np.cos(headings)], axis=1)
            xy = xy[int(rng.integers(pitch)) :: pitch]
            planter.plant(xy[rng.random(len(xy)) < 0.88], species, size, 0.12)


def _scatter(planter: Planter, block: int, spacing: float, share: float) -> Float64[np.ndarray, "n 2"]:
    """Jittered grid points inside a block; `share` of them kept."""
    rng, zones = planter.rng, planter.zones
    half = 1.6 * np.sqrt(zones.block_area[block]) + spacing
    x0, y0 = zones.block_centre[block]
    xs, ys = np.arange(x0 - half, x0 + half, spacing), np.arange(y0 - half, y0 + half, spacing)
    xy = np.stack(np.meshgrid(xs, ys), axis=-1).reshape(-1, 2)
    xy = xy + rng.uniform(-0.42, 0.42, xy.shape) * spacing
    xy = xy[rng.random(len(xy)) < share]
    rows, cols = zones.block.shape
    xy = xy[np.all((xy > 2) & (xy < [cols - 2, rows - 2]), axis=1)]
    return np.asarray(xy[zones.block[xy[:, 1].astype(int), xy[:, 0].astype(int)] == block])


def _block(planter: Planter, block: int) -> None:
    rng, use = planter.rng, Use(planter.zones.block_use[block])
    if use is Use.WOOD:
        conifer = rng.random() < 0.45
        planter.plant(
            _scatter(planter, block, 5.2, 0.8), Species.CONIFER if conifer else Species.OAK, 2.0 if conifer else 3.0
        )
        planter.plant(_scatter(planter, block, 9.0, 0.5), Species.ROUND, 2.6)
    elif use is Use.PARK:
        for species, size in ((Species.OAK, 4.2), (Species.ROUND, 3.0), (Species.CONIFER, 2.1)):
            planter.plant(_scatter(planter, block, 15.0, rng.uniform(0.15, 0.5)), species, size)
        planter.plant(_scatter(planter, block, 9.0, 0.12), Species.SHRUB, 1.1)
    elif use is Use.ORCHARD:
        _orchard(planter, block)
    elif use is Use.PLAZA and rng.random() < 0.7:
        planter.plant(_scatter(planter, block, 9.0, 0.4), Species.ROUND, 2.2, 0.1)
    elif use in (Use.MEADOW, Use.FIELD):
        planter.plant(_scatter(planter, block, 26.0, 0.10), Species.OAK, 3.6)
        planter.plant(_scatter(planter, block, 20.0, 0.08), Species.SHRUB, 1.3)
    elif use in (Use.URBAN, Use.SUBURB):
        planter.plant(_scatter(planter, block, 12.0, 0.3), Species(int(rng.choice([0, 0, 1, 2, 3]))), 2.1, 0.3)
        planter.plant(_scatter(planter, block, 9.0, 0.15), Species.SHRUB, 1.0)
    elif use is Use.CENTRE:
        planter.plant(_scatter(planter, block, 13.0, 0.18), Species.ROUND, 2.2)
    elif use is Use.INDUSTRY:
        planter.plant(_scatter(planter, block, 16.0, 0.15), Species(int(rng.choice([0, 2, 3]))), 1.8)


def _orchard(planter: Planter, block: int) -> None:
    zones, rng = planter.zones, planter.rng
    angle, half = zones.parcel_angle[block * 8], 1.6 * np.sqrt(zones.block_area[block])
    grid = np.stack(np.meshgrid(np.arange(-half, half, 4.6), np.arange(-half, half, 5.8)), axis=-1).reshape(-1, 2)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    xy = zones.block_centre[block] + grid @ turn + rng.normal(0, 0.2, grid.shape)
    rows, cols = zones.block.shape
    xy = xy[np.all((xy > 2) & (xy < [cols - 2, rows - 2]), axis=1)]
    xy = xy[zones.block[xy[:, 1].astype(int), xy[:, 0].astype(int)] == block]
    planter.plant(xy[rng.random(len(xy)) < 0.93], Species.ROUND, 1.5, 0.1)


def _banks(planter: Planter, network: RoadNetwork) -> None:
    rng = planter.rng
    step = np.gradient(network.river, axis=0)
    normal = np.stack([-step[:, 1], step[:, 0]], axis=1) / np.hypot(*step.T)[:, None]
    for side in (-1, 1):
        out = network.river_width / 2 + rng.uniform(2, 7, (len(normal), 1))
        xy = network.river + side * out * normal
        planter.plant(xy[rng.random(len(xy)) < 0.16], Species.OAK, 2.8)
        planter.plant(xy[rng.random(len(xy)) < 0.12], Species.SHRUB, 1.2)
