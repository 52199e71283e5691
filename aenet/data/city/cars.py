"""Cars in a panorama: two boxes on wheels, hidden by whatever is nearer."""

import numpy as np
from jaxtyping import Float64, Int32

from aenet.data.city import palette
from aenet.data.city.moment import Moment
from aenet.data.city.noise import Rng
from aenet.data.city.rays import Rays, entry, spans
from aenet.data.city.screen import Screen

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
    colour = np.clip(palette.CARS[rng.integers(len(palette.CARS))] + rng.normal(0, 6, 3), 5, 250).astype(np.float32)
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
