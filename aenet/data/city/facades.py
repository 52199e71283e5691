"""Walls seen from the street: plaster, brick or panels, windows, doors, shop fronts."""

import numpy as np
from jaxtyping import Float32, Int32

from aenet.data.city.moment import Moment
from aenet.data.city.rays import Rays, entry, wall_top


def paint_walls(
    houses: np.ndarray,
    which: Int32[np.ndarray, " n"],
    rays: Rays,
    column: Int32[np.ndarray, " n"],
    row: Int32[np.ndarray, " n"],
    camera: tuple[float, float, float],
    moment: Moment,
    roof_rgb: Float32[np.ndarray, "n 3"],
    grain: Float32[np.ndarray, " n"],
) -> tuple[Float32[np.ndarray, "n 3"], Float32[np.ndarray, " n"]]:
    """Colour and exact distance of pixels that show house number `which`; roofs where the wall has ended."""
    mine = houses[which]
    x, y, eye = np.float32(camera[0]), np.float32(camera[1]), np.float32(camera[2])
    east, south = rays.east[column], rays.south[column]
    near, slab_u, slab_v = entry(mine, x, y, east, south)
    near = np.maximum(near, np.float32(0.3))
    end_wall = slab_u > slab_v  # met a face across the u axis: its width runs along v
    limit, along, half, across = wall_top(mine, x + near * east, y + near * south, end_wall)
    z = eye + near * rays.tangent[row] - mine["base"]
    pixel = near * np.float32(np.pi / 2 / len(rays.elevation))  # metres a pixel covers: fades fine detail
    wall = _texture(mine, along, half, z, pixel, grain)
    out = np.sign(across)
    turned = mine["angle"] + np.where(end_wall, 0, np.float32(np.pi / 2))
    normal_e, normal_s = out * np.cos(turned), out * np.sin(turned)
    sun_e, sun_s, _ = moment.sun.towards
    facing = np.clip(normal_e * np.float32(sun_e) + normal_s * np.float32(sun_s), 0, 1)
    occluded = 0.72 + 0.28 * np.clip(z / 4, 0, 1)
    light = (moment.ambient * np.float32(0.86)) * occluded[:, None] + moment.direct * facing[:, None] * np.float32(1.15)
    is_roof = z > limit + pixel
    rgb = wall * light
    level = moment.ambient + moment.direct * np.float32(0.75)
    rgb[is_roof] = roof_rgb[is_roof] * (level * (0.85 + 0.25 * facing[is_roof, None]))
    return rgb, near


def _texture(
    mine: np.ndarray,
    along: Float32[np.ndarray, " n"],
    half: Float32[np.ndarray, " n"],
    z: Float32[np.ndarray, " n"],
    pixel: Float32[np.ndarray, " n"],
    grain: Float32[np.ndarray, " n"],
) -> Float32[np.ndarray, "n 3"]:
    """Colour of a wall in flat light at metres `along` it from its middle and `z` above its foot."""
    facade, trim, style = mine["facade"], mine["trim"], mine["style"]
    rgb = facade * (1 + 0.035 * grain)[:, None]
    storey = np.floor(z / mine["storey"])
    up = z - storey * mine["storey"]
    bays = np.maximum(np.round(2 * half / mine["pitch"]), 1)
    pitch = 2 * half / bays
    bay = np.floor((along + half) / pitch)
    inside = (along + half) - (bay + 0.5) * pitch  # metres from the bay's middle
    fine = np.clip(1.2 - pixel / 0.22, 0, 1)
    brick = (style == 1) & (np.mod(z, 0.3) < 0.06)
    rgb = rgb * (1 - fine * brick * 0.16)[:, None]
    panel = (style == 2) & ((np.mod(z, mine["storey"]) < 0.18) | (np.abs(inside) > pitch / 2 - 0.07))
    rgb = np.where(panel[:, None], rgb * 0.82, rgb)
    band = (style == 3) & (np.mod(z, mine["storey"]) < 0.35)
    rgb = np.where(band[:, None], trim, rgb)
    half_w, half_h = 0.5 * mine["window_w"] * pitch, 0.5 * mine["window_h"] * mine["storey"]
    half_w = np.where(style == 4, 0.47 * pitch, half_w)  # ribbon windows
    middle = 0.56 * mine["storey"]
    in_wall = (z > 0) & (z < mine["eaves"] - 0.25) & (np.abs(along) < half - 0.3)
    off_w, off_h = np.abs(inside) - half_w, np.abs(up - middle) - half_h
    window = in_wall & (off_w < 0) & (off_h < 0)
    frame = in_wall & (off_w < 0.14) & (off_h < 0.14) & ~window
    rgb = np.where(frame[:, None], trim, rgb)
    code = np.mod(bay * 7.31 + storey * 3.17 + (mine["seed"] % 97).astype(np.float32), 5.0)
    glass = np.stack([44 + 13 * code, 54 + 14 * code, 66 + 14 * code], axis=1)
    glass = glass * (1 + 0.5 * np.clip(off_h / np.maximum(half_h, np.float32(1e-6)), -1, 0))[:, None] + 14
    bar = window & ((np.abs(inside) < 0.05) | (np.abs(up - middle) < 0.04)) & (fine > 0.4)
    rgb = np.where(window[:, None], glass, rgb)
    rgb = np.where(bar[:, None], trim, rgb)
    return _ground_floor(mine, rgb, along, half, z, bay, bays, inside, trim)


def _ground_floor(
    mine: np.ndarray,
    rgb: Float32[np.ndarray, "n 3"],
    along: Float32[np.ndarray, " n"],
    half: Float32[np.ndarray, " n"],
    z: Float32[np.ndarray, " n"],
    bay: Float32[np.ndarray, " n"],
    bays: Float32[np.ndarray, " n"],
    inside: Float32[np.ndarray, " n"],
    trim: Float32[np.ndarray, "n 3"],
) -> Float32[np.ndarray, "n 3"]:
    """A plinth and doors everywhere, shop windows in the centre, gates in halls."""
    plinth = (z < 0.45) & (z > -2)
    rgb = np.where(plinth[:, None], mine["facade"] * 0.62, rgb)
    door_bay = np.mod((mine["seed"] % 1009).astype(np.float32), np.maximum(bays, 1))
    gate = mine["use"] == 3
    wide, tall = np.where(gate, 1.9, 0.55), np.where(gate, 3.6, 2.15)
    door = (np.floor(bay) == np.floor(door_bay)) & (np.abs(inside) < wide) & (z < tall) & (z > -1)
    rgb = np.where(door[:, None], trim * 0.55 + 12, rgb)
    shop = (mine["use"] == 0) & (mine["seed"] % 3 > 0) & (z < 3.1) & (z > -1)
    pane = shop & (z > 0.5) & (z < 2.5) & (np.abs(inside) < 1.35) & (np.abs(along) < half - 0.4)
    sign = shop & (z >= 2.6)
    hue = np.stack([np.mod(mine["seed"] // k, 180) + 40 for k in (3, 7, 11)], axis=1).astype(np.float32)
    rgb = np.where(sign[:, None], hue, rgb)
    return np.where(pane[:, None], np.array([58, 66, 72], np.float32) + (np.mod(bay, 3) * 16)[:, None], rgb).astype(
        np.float32
    )
