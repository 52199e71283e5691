"""What the surfaces of a panorama look like: ground, water, hedges, leaves, walls."""

from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float32, Int32

from aenet.town.config import TownConfig
from aenet.town.layers import Layers, Surface
from aenet.town.moment import Moment
from aenet.town.noise import wrapped_noise
from aenet.town.rays import RayHits, Rays, entry, wall_top


class Scene(NamedTuple):
    """All that panoramas of one town share."""

    config: TownConfig
    layers: Layers
    houses: np.ndarray
    slots: np.ndarray
    rays: Rays
    clouds: Float32[np.ndarray, "s s"]
    grain: Float32[np.ndarray, "s s"]

    @classmethod
    def of(cls, config: TownConfig, layers: Layers, houses: np.ndarray, slots: np.ndarray) -> "Scene":
        """Prepare rays and textures."""
        rng = np.random.default_rng([config.seed, 6])
        view = config.panorama
        rays = Rays.of(view.height, view.width, view.supersample, config.resolution_m)
        clouds, grain = wrapped_noise(rng, 512, (6.0, 16.0, 40.0)), wrapped_noise(rng, 512, (0.7, 1.5, 4.0))
        return cls(config, layers, houses, slots, rays, clouds, grain)


def paint_land(
    scene: Scene,
    seen: RayHits,
    moment: Moment,
    camera: tuple[float, float, float],
    row: np.ndarray,
    col: np.ndarray,
    kind: np.ndarray,
) -> tuple[Float32[np.ndarray, "n 3"], Float32[np.ndarray, " n"]]:
    """Ground, water, hedges and trunks: the map's colour in this season's light."""
    layers, rays, res = scene.layers, scene.rays, np.float32(scene.config.resolution_m)
    at = row * np.int32(seen.hit.shape[1]) + col
    k, spot = seen.hit.take(at), seen.cell.take(at)
    height = layers.surface.reshape(-1).take(spot)
    far, before = rays.distance.take(k), rays.distance.take(np.maximum(k - 1, 0))
    slope = np.minimum(rays.tangent.take(row), np.float32(-1e-4))
    depth = np.clip((height - np.float32(camera[2])) / slope, np.where(k > 0, before, 0.3), far)
    px = (np.float32(camera[0]) + depth * rays.east.take(col)) / res
    py = (np.float32(camera[1]) + depth * rays.south.take(col)) / res
    rgb = layers.albedo.reshape(-1, 3).take(spot, axis=0).astype(np.float32)
    close = np.flatnonzero((depth < 30) & (kind < Surface.TRUNK))
    rgb[close] = _close_up(layers, px[close], py[close], camera, res)
    turn = moment.share.take(kind)[:, None]
    rgb += turn * (moment.turned.take(kind, axis=0) * ((rgb[:, :1] + rgb[:, 1:2] + rgb[:, 2:]) / np.float32(354)) - rgb)
    speck = scene.grain.take((py * 6).astype(np.int32) % 512 * 512 + (px * 6).astype(np.int32) % 512)
    fade = np.clip(np.float32(1.1) - depth / 40, 0.15, 1)
    rough = np.array([0.10, 0.13, 0.15, 0.05, 0.045, 0.02, 0, 0.12, 0.2, 0.05, 0.05], np.float32).take(kind)
    rgb *= (1 + rough * fade * speck)[:, None]
    water = kind == Surface.WATER
    rgb[water] = rgb[water] * 0.5 + (moment.horizon * 0.35 + moment.zenith * 0.15) * (1 + 0.12 * speck[water, None])
    lit = np.ones(len(row), np.float32)
    if moment.shadow > 0:
        half = layers.shadow[moment.shadow]
        sx = np.clip((px / 2).astype(np.int32), 0, half.shape[1] - 1)
        sy = np.clip((py / 2).astype(np.int32), 0, half.shape[0] - 1)
        lit = half.reshape(-1).take(sy * half.shape[1] + sx).astype(np.float32) / 255
    upright = np.where(kind >= Surface.TRUNK, np.float32(0.75), np.float32(1))
    return rgb * (moment.ambient * upright[:, None] + moment.direct * (lit * upright)[:, None]), depth


def _close_up(
    layers: Layers, px: np.ndarray, py: np.ndarray, camera: tuple[float, float, float], res: np.float32
) -> Float32[np.ndarray, "n 3"]:
    """Bilinear colours near the camera, where single map cells would show."""
    if len(px) == 0:
        return np.zeros((0, 3), np.float32)
    x0, y0 = max(0, int(px.min()) - 2), max(0, int(py.min()) - 2)
    patch = np.ascontiguousarray(layers.albedo[y0 : int(py.max()) + 3, x0 : int(px.max()) + 3])
    width = 1024
    pad = -len(px) % width
    u, v = (np.pad(a - np.float32(o + 0.5), (0, pad)).reshape(-1, width) for a, o in ((px, x0), (py, y0)))
    colours = cv2.remap(patch, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(colours.reshape(-1, 3)[: len(px)], np.float32)


def paint_leaves(
    scene: Scene, seen: RayHits, moment: Moment, camera: tuple[float, float, float], row: np.ndarray, col: np.ndarray
) -> Float32[np.ndarray, "n 3"]:
    """Crowns: darker below and inside, brighter where they face the sun, speckled with leaves."""
    layers, rays = scene.layers, scene.rays
    at = row * np.int32(seen.cell.shape[1]) + col
    spot, depth = seen.cell.take(at), seen.depth.take(at)
    top, base, look = (plane.reshape(-1).take(spot) for plane in layers.canopy)
    tall = np.maximum(top.astype(np.float32) - base, 5)
    z = np.float32(camera[2]) + depth * rays.tangent[row] - layers.surface.reshape(-1).take(spot)
    share = np.clip((z * 10 - base) / tall, 0, 1)
    # Leaves are fixed to directions in coarse steps of distance, so that neighbouring columns agree.
    scale = np.exp2(np.round(np.log2(np.maximum(depth, 10)))).astype(np.float32)
    leaf = _texture(scene.grain, rays.azimuth[col] * scale * 6, rays.elevation[row] * scale * 6)
    bough = _texture(scene.grain, rays.azimuth[col] * scale * 1.4 + 99, rays.elevation[row] * scale * 1.4)
    front = np.cos(rays.azimuth[col] - np.float32(np.deg2rad(moment.sun.azimuth + 180)))
    rgb = moment.crowns.take(look, axis=0)
    body = (0.62 + 0.42 * share) * (1 + 0.22 * leaf + 0.13 * bough)
    sunny = np.clip(0.35 + 0.3 * front + 0.5 * share + 0.2 * bough, 0.05, 1.2)
    return np.asarray(rgb * body[:, None] * (moment.ambient * 0.9 + moment.direct * sunny[:, None]))


def _texture(
    noise: Float32[np.ndarray, "s s"], u: Float32[np.ndarray, " n"], v: Float32[np.ndarray, " n"]
) -> Float32[np.ndarray, " n"]:
    """Values of a seamless texture, bilinear."""
    if len(u) == 0:  # nothing to remap, which OpenCV refuses
        return u
    size, pad = np.float32(len(noise)), -len(u) % 1024
    map_u, map_v = (np.pad(a % size, (0, pad)).reshape(-1, 1024).astype(np.float32) for a in (u, v))
    values = cv2.remap(noise, map_u, map_v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    return np.asarray(values.reshape(-1)[: len(u)])


# Walls seen from the street: plaster, brick or panels, windows, doors, shop fronts.


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
    wall = _facade_texture(mine, along, half, z, pixel, grain)
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


def _facade_texture(
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
