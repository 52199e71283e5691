"""What only one view sees: cars and people, somewhere else whenever one looks."""

import numpy as np
from jaxtyping import Float64, Int32

from aenet.town import noise
from aenet.town.moment import Moment
from aenet.town.noise import Rng
from aenet.town.rays import Rays, Screen, entry, spans
from aenet.town.roads import RoadKind
from aenet.town.townplan import Plan

# Where cars and people can be, and where they are this time.

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


# Pedestrians in a panorama: head, torso and legs, hidden by whatever is nearer.


def paint_person(
    rng: Rng,
    screen: Screen,
    rays: Rays,
    spot: Float64[np.ndarray, "2"],
    camera: tuple[float, float, float],
    ground: float,
    moment: Moment,
    label: int,
) -> None:
    """Paint one pedestrian at `spot` (x, y in town metres); nobody nearer than 2.5 m."""
    dx, dy = spot[0] - camera[0], spot[1] - camera[1]
    near = float(np.hypot(dx, dy))
    tall = float(rng.uniform(1.55, 1.9))
    clothes = noise.CLOTHES[rng.integers(len(noise.CLOTHES), size=2)]
    skin = noise.SKINS[rng.integers(len(noise.SKINS))]
    if near < 2.5:
        return
    turn = np.mod(rays.azimuth - np.arctan2(dx, -dy) + np.pi, 2 * np.pi) - np.pi
    column = np.flatnonzero(np.abs(turn) * near < 0.35).astype(np.int32)
    level = np.full(len(column), near, np.float32)
    top, bottom = (rays.row_of(((ground + h - camera[2]) / level).astype(np.float32)) for h in (tall, 0.0))
    which, row = spans(top, bottom)
    column = column[which]
    side, z = np.abs(turn[column]) * near, (camera[2] + near * rays.tangent[row] - ground) / tall
    head = np.hypot(side, (z - 0.93) * tall) < 0.125
    torso = (z > 0.48) & (z < 0.86) & (side < 0.24 - 0.08 * np.abs(z - 0.75))
    legs = (z <= 0.48) & (side < 0.17) & (side > 0.015)
    rgb = np.where(head[:, None], skin, np.where(torso[:, None], clothes[0], clothes[1])).astype(np.float32)
    on = (head | torso | legs) & (near < screen.depth[row, column])
    light = moment.ambient * np.float32(0.95) + moment.direct * np.float32(0.5)
    screen.rgb[row[on], column[on]] = rgb[on] * light
    screen.depth[row[on], column[on]], screen.label[row[on], column[on]] = near, label


# Cars in a panorama: two boxes on wheels, hidden by whatever is nearer.

BOX = np.dtype(
    [("x", "f4"), ("y", "f4"), ("angle", "f4"), ("half_u", "f4"), ("half_v", "f4"), ("low", "f4"), ("high", "f4")]
)


def _box(
    car: Float64[np.ndarray, "3"], half_u: float, half_v: float, low: float, high: float, shift: float
) -> np.ndarray:
    box = np.zeros((), BOX)
    box["x"], box["y"] = car[0] + shift * np.cos(car[2]), car[1] + shift * np.sin(car[2])
    box["angle"], box["half_u"], box["half_v"], box["low"], box["high"] = car[2], half_u, half_v, low, high
    return box


def paint_car(
    rng: Rng,
    screen: Screen,
    rays: Rays,
    car: Float64[np.ndarray, "3"],
    camera: tuple[float, float, float],
    ground: float,
    moment: Moment,
    label: int,
) -> None:
    """Paint one car: `car` is x, y and heading in town metres, `ground` metres above the datum."""
    colour = np.clip(noise.CARS[rng.integers(len(noise.CARS))] + rng.normal(0, 6, 3), 5, 250).astype(np.float32)
    size = float(rng.uniform(0.92, 1.12))
    van = rng.random() < 0.15
    light = moment.ambient * np.float32(0.9) + moment.direct * np.float32(0.4)
    body = _box(car, 2.15 * size, 0.88 * size, ground + 0.22, ground + 0.86 * size, 0.0)
    cabin = _box(
        car,
        (1.8 if van else 1.25) * size,
        0.76 * size,
        ground + 0.8 * size,
        ground + (2.0 if van else 1.46) * size,
        -0.15,
    )
    columns = _columns(screen, rays, car, camera, ground)
    for box, is_cabin in ((body, False), (cabin, True)) if len(columns) else ():
        column, row, near, u, z, top = _project(rays, columns, box, camera)
        front = near < screen.depth[row, column]
        column, row, near, u, z, top = (a[front] for a in (column, row, near, u, z, top))
        rgb = np.repeat(colour[None], len(row), axis=0)
        tall = float(box["high"] - box["low"])
        share = (z - float(box["low"])) / tall
        if is_cabin:
            pane = (share > 0.12) & (share < 0.86) & (np.abs(np.abs(u) - 0.02) > 0.06)
            rgb[pane & ~top] = (38, 44, 50)
        else:
            rgb *= (0.72 + 0.3 * np.clip(share, 0, 1))[:, None]
            wheel = np.hypot(np.abs(u) - 1.32 * size, z - ground - 0.31) < 0.33
            rgb[wheel & ~top] = (26, 26, 27)
        rgb[top] = rgb[top] * 1.12 + 12
        screen.rgb[row, column] = rgb * light
        screen.depth[row, column], screen.label[row, column] = near, label


def _columns(
    screen: Screen, rays: Rays, car: Float64[np.ndarray, "3"], camera: tuple[float, float, float], ground: float
) -> Int32[np.ndarray, " n"]:
    """Columns a car may appear in; none if something nearer hides all of them."""
    width = len(rays.azimuth)
    dx, dy = car[0] - camera[0], car[1] - camera[1]
    away = float(np.hypot(dx, dy))
    middle = int(np.searchsorted(rays.azimuth, np.pi + (np.arctan2(dx, -dy) - np.pi) % (2 * np.pi)))
    reach = int(np.arcsin(min(1.0, 2.9 / away)) / (2 * np.pi) * width) + 2
    columns = (np.arange(middle - reach, middle + reach + 1) % width).astype(np.int32)
    row = int(rays.row_of(np.array([(ground + 1.2 - camera[2]) / away], np.float32))[0])
    return columns if float(screen.depth[row, columns].max()) > away - 3 else columns[:0]


def _project(
    rays: Rays, columns: Int32[np.ndarray, " c"], box: np.ndarray, camera: tuple[float, float, float]
) -> tuple[Int32[np.ndarray, " n"], Int32[np.ndarray, " n"], np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Pixels a box covers: columns, rows, distance, metres along the box, height, and whether the top is seen."""
    x, y, eye = np.float32(camera[0]), np.float32(camera[1]), np.float32(camera[2])
    east, south = rays.east[columns], rays.south[columns]
    near, _, _ = entry(box, x, y, east, south)
    mirrored, _, _ = entry(box, np.float32(2 * box["x"] - x), np.float32(2 * box["y"] - y), east, south)
    far = -mirrored  # where a ray leaves is where it would enter from the other side
    met = (near > 0.4) & (near < far)
    column, near, far = columns[met], near[met], far[met]
    over = (box["high"] - eye) / (far if float(box["high"]) < float(eye) else near)
    top = rays.row_of(over.astype(np.float32))
    bottom = rays.row_of(((box["low"] - eye) / near).astype(np.float32))
    which, row = spans(top, bottom)
    column, near = column[which], near[which]
    z = eye + near * rays.tangent[row]
    px, py = x + near * rays.east[column] - box["x"], y + near * rays.south[column] - box["y"]
    cos, sin = np.cos(box["angle"]), np.sin(box["angle"])
    u, v = px * cos + py * sin, -px * sin + py * cos
    across = np.abs(np.abs(u) - box["half_u"]) < 0.02  # the front or the back: no wheels there
    return column, row, near, np.where(across, 0.4 + 0 * v, u), z, z > box["high"]


def paint_transients(
    rng: Rng,
    screen: Screen,
    rays: Rays,
    slots: np.ndarray,
    camera: tuple[float, float, float],
    ground: float,
    moment: Moment,
    car_label: int,
    person_label: int,
) -> None:
    """Cars and pedestrians around the camera, hidden by whatever is nearer."""
    x, y, _ = camera
    gap = np.hypot(slots["x"] - x, slots["y"] - y)
    cars = occupied(rng, slots[(gap > 5) & (gap < 60)], float(rng.uniform(0.3, 1.7)))
    cars = cars[np.argsort(-np.hypot(cars[:, 0] - x, cars[:, 1] - y), kind="stable")]
    for car in cars:
        paint_car(rng, screen, rays, car, camera, ground, moment, car_label)
    walks = slots[(gap > 3) & (gap < 45)]
    count = int(min(len(walks), rng.poisson(2.2)))
    for k in rng.choice(len(walks), count, replace=False) if count else ():
        spot = np.array([walks["walk_x"][k], walks["walk_y"][k]]) + rng.normal(0, 0.6, 2)
        paint_person(rng, screen, rays, spot, camera, ground, moment, person_label)
