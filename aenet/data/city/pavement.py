"""Streets and car parks, drawn flat: pavements, kerbs, asphalt, paint."""

import numpy as np

from aenet.data.city import palette
from aenet.data.city.canvas import Canvas
from aenet.data.city.houses import rectangle
from aenet.data.city.layers import Kind
from aenet.data.city.noise import Rng
from aenet.data.city.plan import Plan
from aenet.data.city.roads import Road, RoadKind
from aenet.data.city.site import CarPark

NEAR_M = 22.0  # crossings of a road this near to it shape its paint, others do not


def draw_car_park(canvas: Canvas, park: CarPark) -> None:
    """Asphalt and the lines between the bays."""
    canvas.polygon(rectangle(park.x, park.y, park.angle, park.half_u, park.half_v), palette.ASPHALT * 1.08, Kind.ROAD)
    u, v = np.array([np.cos(park.angle), np.sin(park.angle)]), np.array([-np.sin(park.angle), np.cos(park.angle)])
    middle = np.array([park.x, park.y])
    for k in np.arange(-park.half_u + 1, park.half_u - 0.9, 2.6):
        for side in (-1, 1):
            ends = np.stack(
                [middle + u * k + v * side * (park.half_v - 0.2), middle + u * k + v * side * (park.half_v - 5)]
            )
            canvas.line(ends, 0.3, palette.PAINT * 0.95)


def draw_streets(rng: Rng, canvas: Canvas, plan: Plan) -> None:
    """Pavements of all roads first, then kerbs, carriageways and paint, so that crossings stay open."""
    roads = plan.network.roads
    for road in roads:
        canvas.line(road.points, 2 * road.reach, palette.PAVEMENT, Kind.PAVED)
    for x, y in plan.network.roundabouts:
        canvas.disk(x, y, 19.0, palette.PAVEMENT, Kind.PAVED)
    for road in roads:
        canvas.line(road.points, road.width + 0.7, palette.KERB, Kind.PAVED)
    for road in roads:
        shade = palette.ASPHALT * rng.uniform(0.86, 1.2) + rng.normal(0, 3, 3)
        canvas.line(road.points, road.width, np.clip(shade, 0, 255), Kind.ROAD)
    for road in roads:
        _paint(canvas, plan, road)
    for x, y in plan.network.roundabouts:
        canvas.disk(x, y, 16.0, palette.ASPHALT, Kind.ROAD)
        canvas.disk(x, y, 8.4, palette.KERB, Kind.PAVED)
        canvas.disk(x, y, 7.8, palette.GRASS, Kind.GRASS)


def _paint(canvas: Canvas, plan: Plan, road: Road) -> None:
    """Centre dashes, edge lines on avenues, and zebra crossings before junctions."""
    if road.kind > RoadKind.STREET:
        return
    headings = road.headings()
    normal = np.stack([-np.sin(headings), np.cos(headings)], axis=1)
    near = np.full(len(road.points), np.inf)
    junctions = plan.network.junctions
    low, high = road.points.min(axis=0) - NEAR_M, road.points.max(axis=0) + NEAR_M
    for j in junctions[np.all((junctions >= low) & (junctions <= high), axis=1)]:
        near = np.minimum(near, np.hypot(*(road.points - j).T))
    clear = near > 15
    for k in range(0, len(road.points) - 2, 4):
        if clear[k] and clear[k + 2]:
            canvas.line(road.points[k : k + 3], 0.3, palette.PAINT)
    if road.kind is RoadKind.AVENUE:
        for side in (-1, 1):
            for a, b in _stretches(clear):
                canvas.line((road.points + side * normal * (road.width / 2 - 0.6))[a:b], 0.3, palette.PAINT)
            for k in range(0, len(road.points) - 1, 5):
                if clear[k]:
                    canvas.line((road.points + side * normal * 3.3)[k : k + 2], 0.25, palette.PAINT * 0.95)
    for a, b in _stretches(clear):
        for k in (a + 1, b - 2):
            if 0 < k < len(road.points) - 1 and near[k] < NEAR_M and b - a > 8:
                _zebra(canvas, road, k, headings[k])


def _stretches(flags: np.ndarray) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(int), [0]])))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True) if b - a > 2]


def _zebra(canvas: Canvas, road: Road, k: int, heading: float) -> None:
    along, across = np.array([np.cos(heading), np.sin(heading)]), np.array([-np.sin(heading), np.cos(heading)])
    for offset in np.arange(-road.width / 2 + 0.7, road.width / 2 - 0.3, 1.1):
        middle = road.points[k] + across * offset
        canvas.line(np.stack([middle - along * 1.3, middle + along * 1.3]), 0.5, palette.PAINT)
