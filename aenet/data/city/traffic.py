"""Where cars and people can be, and where they are this time."""

import numpy as np
from jaxtyping import Float64

from aenet.data.city.noise import Rng
from aenet.data.city.plan import Plan
from aenet.data.city.roads import RoadKind

SLOT = np.dtype([("x", "f4"), ("y", "f4"), ("heading", "f4"), ("busy", "f4"), ("walk_x", "f4"), ("walk_y", "f4")])


def find_slots(plan: Plan) -> np.ndarray:
    """Every spot where a car may be: lanes, kerbs and car parks; with a spot on the pavement beside it."""
    rows: list[tuple[float, ...]] = []
    for road in plan.network.roads:
        if road.kind > RoadKind.LANE:
            continue
        headings = road.headings()
        lanes = {RoadKind.AVENUE: (1.7, 4.9), RoadKind.STREET: (2.0,), RoadKind.LANE: (1.4,)}[road.kind]
        for k in range(3, len(road.points) - 3, 4):
            right = np.array([-np.sin(headings[k]), np.cos(headings[k])])
            for side in (-1, 1):
                walk = road.points[k] + right * side * (road.reach - 0.7)
                for lane in lanes:
                    x, y = road.points[k] + right * side * lane
                    rows.append((x, y, headings[k] + (np.pi if side < 0 else 0), 0.10, *walk))
                if road.kind is not RoadKind.AVENUE:
                    x, y = road.points[k] + right * side * (road.width / 2 - 0.8)
                    rows.append((x, y, headings[k], 0.22, *walk))
    for park in plan.built.car_parks:
        cos, sin = np.cos(park.angle), np.sin(park.angle)
        for u in np.arange(-park.half_u + 2.3, park.half_u - 1.5, 2.6):
            for v in (-park.half_v + 2.7, park.half_v - 2.7):
                x, y = park.x + u * cos - v * sin, park.y + u * sin + v * cos
                rows.append((x, y, park.angle + np.pi / 2, 0.55, park.x + u * cos, park.y + u * sin))
    slots = np.array(rows, SLOT) if rows else np.zeros(0, SLOT)
    for x, y in plan.network.roundabouts:
        slots = slots[np.hypot(slots["x"] - x, slots["y"] - y) > 19]
    return slots


def occupied(rng: Rng, slots: np.ndarray, crowd: float = 1.0) -> Float64[np.ndarray, "n 3"]:
    """x, y and heading of the cars that are there this time; no two in the same spot."""
    here = slots[rng.random(len(slots)) < slots["busy"] * crowd]
    kept: dict[tuple[int, int], tuple[float, float, float]] = {}
    for x, y, heading in zip(here["x"], here["y"], here["heading"], strict=True):
        cell = int(x // 4), int(y // 4)
        if not any(
            (cell[0] + dx, cell[1] + dy) in kept for dx in (-1, 0, 1) for dy in (-1, 0, 1) if abs(dx) + abs(dy) < 2
        ):
            kept[cell] = float(x), float(y), float(heading)
    return np.array(list(kept.values()), np.float64).reshape(-1, 3)
