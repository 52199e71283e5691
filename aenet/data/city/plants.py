"""Trees: avenues, woods, orchards, parks, gardens, river banks; hedges around gardens and fields."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from aenet.data.city.buildings import Built
from aenet.data.city.hedges import Hedge, garden_hedges, parapets
from aenet.data.city.noise import Rng
from aenet.data.city.roads import Network, RoadKind
from aenet.data.city.trees import TREE, Planter, Species
from aenet.data.city.zones import Use, Zones


class Plants(NamedTuple):
    """All that grows."""

    trees: np.ndarray
    hedges: list[Hedge]


def plant(rng: Rng, network: Network, zones: Zones, built: Built) -> Plants:
    """Trees and hedges wherever the land use asks for them and nothing is built."""
    planter = Planter(rng, zones, built)
    _avenues(planter, network)
    for block in np.flatnonzero(zones.block_area > 60):
        _block(planter, int(block))
    _banks(planter, network)
    hedges = garden_hedges(rng, built) + parapets(network, zones)
    trees = np.concatenate(planter.rows) if planter.rows else np.zeros(0, TREE)
    return Plants(trees, hedges)


def _avenues(planter: Planter, network: Network) -> None:
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


def _banks(planter: Planter, network: Network) -> None:
    rng = planter.rng
    step = np.gradient(network.river, axis=0)
    normal = np.stack([-step[:, 1], step[:, 0]], axis=1) / np.hypot(*step.T)[:, None]
    for side in (-1, 1):
        out = network.river_width / 2 + rng.uniform(2, 7, (len(normal), 1))
        xy = network.river + side * out * normal
        planter.plant(xy[rng.random(len(xy)) < 0.16], Species.OAK, 2.8)
        planter.plant(xy[rng.random(len(xy)) < 0.12], Species.SHRUB, 1.2)
