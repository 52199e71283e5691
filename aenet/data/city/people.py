"""Pedestrians in a panorama: head, torso and legs, hidden by whatever is nearer."""

import numpy as np
from jaxtyping import Float64

from aenet.data.city import palette
from aenet.data.city.moment import Moment
from aenet.data.city.noise import Rng
from aenet.data.city.rays import Rays, spans
from aenet.data.city.screen import Screen


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
    clothes = palette.CLOTHES[rng.integers(len(palette.CLOTHES), size=2)]
    skin = palette.SKINS[rng.integers(len(palette.SKINS))]
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
