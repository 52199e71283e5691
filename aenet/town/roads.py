"""Streets: a warped, rotated, thinned grid, one diagonal avenue, a river and its bridges."""

import itertools
from enum import IntEnum
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, UInt8

from aenet.town.noise import Points, Rng, polyline_mask, sample, smooth_noise, spline

# The warped, rotated grid whose lines become streets.


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


class RoadKind(IntEnum):
    """From the widest to the narrowest."""

    AVENUE = 0
    STREET = 1
    LANE = 2
    TRACK = 3
    PATH = 4


WIDTH = {RoadKind.AVENUE: 13.5, RoadKind.STREET: 8.5, RoadKind.LANE: 5.8, RoadKind.TRACK: 3.2, RoadKind.PATH: 2.2}
PAVEMENT = {RoadKind.AVENUE: 3.2, RoadKind.STREET: 2.2, RoadKind.LANE: 1.6, RoadKind.TRACK: 0.0, RoadKind.PATH: 0.0}


class Road(NamedTuple):
    """A centre line in town metres, one point every two metres."""

    points: Points
    kind: RoadKind

    @property
    def width(self) -> float:
        """Carriageway, metres."""
        return WIDTH[self.kind]

    @property
    def reach(self) -> float:
        """Half of everything paved: carriageway and pavements, metres."""
        return WIDTH[self.kind] / 2 + PAVEMENT[self.kind]

    def headings(self) -> Float64[np.ndarray, " n"]:
        """Direction of travel at each point: radians, atan2(dy, dx) in town metres (y South)."""
        step = np.gradient(self.points, axis=0)
        return np.asarray(np.arctan2(step[:, 1], step[:, 0]))


class RoadNetwork(NamedTuple):
    """All roads, the crossings between streets, the roundabouts, and the river's centre line and width."""

    roads: list[Road]
    junctions: Points
    roundabouts: Points
    river: Points
    river_width: float


def lay_roads(rng: Rng, width_m: float, height_m: float) -> RoadNetwork:
    """A network for a town of the given size in metres."""
    nodes = grid_nodes(rng, width_m, height_m)
    river_width = float(rng.uniform(16, 26))
    river = _river(rng, width_m, height_m)
    crossings: list[Points] = []
    wet = polyline_mask([(river, river_width + 6)], width_m, height_m)
    kinds = [_line_kinds(rng, n) for n in nodes.shape[:2]]
    roads: list[Road] = []
    for i, kind in enumerate(kinds[0]):
        roads += _runs(rng, nodes[i], kind, wet)
    for j, kind in enumerate(kinds[1]):
        roads += _runs(rng, nodes[:, j], kind, wet)
    if min(width_m, height_m) > 900:
        ends = np.array([[0.0, 0.8], [0.33, 0.62], [0.55, 0.3], [1.0, 0.1]]) * [width_m, height_m]
        ends[[0, -1], 0] += [-20.0, 20.0]
        diagonal = Road(spline(ends + rng.normal(0, 30, ends.shape)), RoadKind.AVENUE)
        crossings = [_crossings(diagonal.points, road.points) for road in roads]
        roads.append(diagonal)
    flat = nodes.reshape(-1, 2)
    both = np.logical_and.outer(np.array(kinds[0]) == 0, np.array(kinds[1]) == 0).ravel()
    inside = np.all((flat > 40) & (flat < [width_m - 40, height_m - 40]), axis=1)
    circles = flat[both & inside & (rng.random(len(flat)) < 0.6)]
    return RoadNetwork(roads, np.concatenate([flat[inside], *crossings]), circles, river, river_width)


def _crossings(line: Points, other: Points) -> Points:
    """Points of `other` that lie on `line`: at most one a crossing or so."""
    reach = 1.5
    # Distances only where the two can meet: in a large town every point to every other would take minutes.
    line = line[np.all((line >= other.min(axis=0) - reach) & (line <= other.max(axis=0) + reach), axis=1)]
    if len(line) == 0:
        return other[:0]
    other = other[np.all((other >= line.min(axis=0) - reach) & (other <= line.max(axis=0) + reach), axis=1)]
    gap = np.hypot(*(line[:, None] - other[None]).transpose(2, 0, 1)).min(axis=0)
    return np.asarray(other[gap < reach][::4])


def _line_kinds(rng: Rng, count: int) -> list[RoadKind]:
    """Every fourth or so line is an avenue, the others streets and lanes at random."""
    phase = int(rng.integers(0, 4))
    picked = rng.choice([RoadKind.STREET, RoadKind.LANE], count, p=[0.35, 0.65])
    return [RoadKind.AVENUE if (k + phase) % 6 == 0 else RoadKind(int(p)) for k, p in enumerate(picked)]


def _runs(rng: Rng, line: Points, kind: RoadKind, wet: UInt8[np.ndarray, "h w"]) -> list[Road]:
    """The kept stretches of one grid line; small roads end at the river, large ones bridge it."""
    keep = rng.random(len(line) - 1) < {RoadKind.AVENUE: 1.0, RoadKind.STREET: 0.88, RoadKind.LANE: 0.68}[kind]
    if kind is RoadKind.LANE:
        keep &= ~np.array([_crosses(wet, a, b) for a, b in itertools.pairwise(line)])
    roads, start = [], None
    for k, kept in enumerate([*keep, False]):
        if kept and start is None:
            start = k
        elif not kept and start is not None:
            roads += _inside(Road(spline(line[start : k + 1]), kind), wet.shape)
            start = None
    return roads


def _inside(road: Road, shape: tuple[int, ...]) -> list[Road]:
    """The road without its parts far outside the town."""
    near = np.all((road.points > -30) & (road.points < np.array([shape[1], shape[0]]) + 30), axis=1)
    cuts = np.flatnonzero(np.diff(near.astype(int))) + 1
    pieces = np.split(np.arange(len(near)), cuts)
    return [Road(road.points[p], road.kind) for p in pieces if near[p[0]] and len(p) > 4]


def _crosses(wet: UInt8[np.ndarray, "h w"], a: Float64[np.ndarray, "2"], b: Float64[np.ndarray, "2"]) -> bool:
    line = np.linspace(a, b, 24)
    inside = np.all((line >= 0) & (line < [wet.shape[1], wet.shape[0]]), axis=1)
    cells = line[inside].astype(int)
    return bool(wet[cells[:, 1], cells[:, 0]].any())


def _river(rng: Rng, width_m: float, height_m: float) -> Points:
    """A meandering centre line from the north edge to the south edge."""
    count = max(5, int(height_m / 160))
    ys = np.linspace(-60, height_m + 60, count)
    drift = np.cumsum(rng.normal(0, 0.035 * width_m, count))
    xs = width_m * rng.uniform(0.25, 0.42) + (drift - drift.mean()) + rng.normal(0, 14, count)
    return spline(np.stack([xs, ys], axis=1))
