"""What the surfaces of a panorama look like: ground, water, hedges, leaves."""

from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float32

from aenet.data.city.config import CityConfig
from aenet.data.city.layers import Kind, Layers
from aenet.data.city.march import Seen
from aenet.data.city.moment import Moment
from aenet.data.city.noise import wrapped_noise
from aenet.data.city.rays import Rays


class Scene(NamedTuple):
    """All that panoramas of one town share."""

    config: CityConfig
    layers: Layers
    houses: np.ndarray
    slots: np.ndarray
    rays: Rays
    clouds: Float32[np.ndarray, "s s"]
    grain: Float32[np.ndarray, "s s"]

    @classmethod
    def of(cls, config: CityConfig, layers: Layers, houses: np.ndarray, slots: np.ndarray) -> "Scene":
        """Prepare rays and textures."""
        rng = np.random.default_rng([config.seed, 6])
        view = config.panorama
        rays = Rays.of(view.height, view.width, view.supersample, config.resolution_m)
        clouds, grain = wrapped_noise(rng, 512, (6.0, 16.0, 40.0)), wrapped_noise(rng, 512, (0.7, 1.5, 4.0))
        return cls(config, layers, houses, slots, rays, clouds, grain)


def paint_land(
    scene: Scene,
    seen: Seen,
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
    close = np.flatnonzero((depth < 30) & (kind < Kind.TRUNK))
    rgb[close] = _close_up(layers, px[close], py[close], camera, res)
    turn = moment.share.take(kind)[:, None]
    rgb += turn * (moment.turned.take(kind, axis=0) * ((rgb[:, :1] + rgb[:, 1:2] + rgb[:, 2:]) / np.float32(354)) - rgb)
    speck = scene.grain.take((py * 6).astype(np.int32) % 512 * 512 + (px * 6).astype(np.int32) % 512)
    fade = np.clip(np.float32(1.1) - depth / 40, 0.15, 1)
    rough = np.array([0.10, 0.13, 0.15, 0.05, 0.045, 0.02, 0, 0.12, 0.2, 0.05, 0.05], np.float32).take(kind)
    rgb *= (1 + rough * fade * speck)[:, None]
    water = kind == Kind.WATER
    rgb[water] = rgb[water] * 0.5 + (moment.horizon * 0.35 + moment.zenith * 0.15) * (1 + 0.12 * speck[water, None])
    lit = np.ones(len(row), np.float32)
    if moment.shadow > 0:
        half = layers.shadow[moment.shadow]
        sx = np.clip((px / 2).astype(np.int32), 0, half.shape[1] - 1)
        sy = np.clip((py / 2).astype(np.int32), 0, half.shape[0] - 1)
        lit = half.reshape(-1).take(sy * half.shape[1] + sx).astype(np.float32) / 255
    upright = np.where(kind >= Kind.TRUNK, np.float32(0.75), np.float32(1))
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
    scene: Scene, seen: Seen, moment: Moment, camera: tuple[float, float, float], row: np.ndarray, col: np.ndarray
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
