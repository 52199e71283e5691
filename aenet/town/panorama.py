"""The ground view: one panorama and its label map from the layers, a camera and a moment."""

from enum import IntEnum

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from aenet.town.layers import Surface
from aenet.town.materials import Scene, paint_land, paint_leaves, paint_walls
from aenet.town.moment import Moment, draw_moment
from aenet.town.noise import Rng
from aenet.town.rays import RayHits, Screen, march
from aenet.town.transients import paint_transients

# Skies: a gradient, a sun's glow, and clouds on a plane overhead.


def paint_sky(
    rng: Rng,
    moment: Moment,
    azimuth: Float32[np.ndarray, " w"],
    elevation: Float32[np.ndarray, " e"],
    noise: Float32[np.ndarray, "s s"],
) -> Float32[np.ndarray, "e w 3"]:
    """Sky colours for rows of elevation (radians, all above the horizon) and columns of azimuth."""
    up = np.clip(elevation / np.float32(np.pi / 3), 0, 1)[:, None, None] ** np.float32(0.6)
    sky = moment.horizon * (1 - up) + moment.zenith * up
    sky = np.repeat(sky, len(azimuth), axis=1).astype(np.float32)
    if moment.shadow > 0:
        sun_az, sun_el = (np.float32(np.deg2rad(v)) for v in moment.sun)
        along = np.cos(elevation)[:, None] * np.cos(sun_el) * np.cos(azimuth - sun_az)
        cosine = np.clip(np.sin(elevation)[:, None] * np.sin(sun_el) + along, 0, 1)
        glow = 0.30 * cosine**8 + 0.28 * cosine**90 + 2.0 * cosine**4000
        sky += glow[..., None] * np.array([255, 240, 205], np.float32)
    reach = np.float32(26.0) / np.tan(elevation + np.float32(0.07))[:, None]
    dx, dy = rng.uniform(0, noise.shape[0], 2).astype(np.float32)
    size = np.float32(noise.shape[0])
    u = (reach * np.sin(azimuth)[None] + dx) % size
    v = (reach * np.cos(azimuth)[None] + dy) % size
    field = cv2.remap(noise, u.astype(np.float32), v.astype(np.float32), cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    cover = np.clip((field + np.float32(3.2 * moment.cloud - 1.9)) * np.float32(0.9), 0, 1)
    cover *= np.clip(elevation / np.float32(0.12), 0.25, 1)[:, None]
    white = np.float32(246 - 62 * max(0.0, moment.cloud - 0.5)) - np.clip(field, -1, 2) * np.float32(22)
    sky += cover[..., None] * (white[..., None] - sky)
    return np.clip(sky, 0, 255)


class Label(IntEnum):
    """Classes of `labels.npy`."""

    OTHER = 0
    SKY = 1
    CAR = 2
    PEDESTRIAN = 3
    BUILDING = 4
    TREE = 5
    ROAD = 6
    WATER = 7


_LABEL_OF_KIND = np.zeros(256, np.uint8)
_LABEL_OF_KIND[[Surface.BUILDING, Surface.TRUNK, Surface.HEDGE, Surface.ROAD, Surface.WATER]] = (
    Label.BUILDING, Label.TREE, Label.TREE, Label.ROAD, Label.WATER,
)  # fmt: skip


def render_panorama(
    scene: Scene, x: float, y: float, index: int
) -> tuple[UInt8[np.ndarray, "h w 3"], UInt8[np.ndarray, "h w"]]:
    """RGB and labels seen from (x, y) in town metres; `index` seeds season, light, cars and people."""
    rng, moment, camera, ground = stand(scene, x, y, index)
    seen = march(scene.layers, scene.houses, scene.rays, *camera, scene.config.resolution_m)
    screen = _shade(rng, scene, seen, moment, camera)
    paint_transients(rng, screen, scene.rays, scene.slots, camera, ground, moment, Label.CAR, Label.PEDESTRIAN)
    return _develop(rng, scene, screen, moment)


def stand(scene: Scene, x: float, y: float, index: int) -> tuple[Rng, Moment, tuple[float, float, float], float]:
    """The draw for what follows, the moment, the camera (x, y, eye above the datum) and the ground it stands on."""
    rng, res = np.random.default_rng([scene.config.seed, 7, index]), scene.config.resolution_m
    moment = draw_moment(rng)
    ground = float(scene.layers.surface[int(y / res), int(x / res)])
    return rng, moment, (x, y, ground + float(rng.uniform(1.8, 2.5))), ground


def _shade(rng: Rng, scene: Scene, seen: RayHits, moment: Moment, camera: tuple[float, float, float]) -> Screen:
    layers, rays = scene.layers, scene.rays
    shape = seen.hit.shape
    rgb = np.zeros((*shape, 3), np.float32)
    sky = np.isinf(seen.depth)
    kind = layers.kind.reshape(-1).take(seen.cell)
    solid = ~(sky | seen.crown)
    house = solid & (kind == Surface.BUILDING)
    label = np.where(seen.crown, np.uint8(Label.TREE), _LABEL_OF_KIND.take(kind))
    depth = seen.depth.copy()
    flat_rgb, flat_depth, width = rgb.reshape(-1, 3), depth.reshape(-1), np.int32(shape[1])
    at = np.flatnonzero(solid & ~house).astype(np.int32)
    flat_rgb[at], flat_depth[at] = paint_land(scene, seen, moment, camera, at // width, at % width, kind.take(at))
    at = np.flatnonzero(seen.crown).astype(np.int32)
    flat_rgb[at] = paint_leaves(scene, seen, moment, camera, at // width, at % width)
    at = np.flatnonzero(house).astype(np.int32)
    if len(at):
        spot, row, col = seen.cell.take(at), at // width, at % width
        which = layers.ident.reshape(-1).take(spot).astype(np.int32) - 1
        roof = layers.albedo.reshape(-1, 3).take(spot, axis=0).astype(np.float32)
        grain = scene.grain[(row * 2) % 512, (col + spot) % 512]
        walls = paint_walls(scene.houses, which, rays, col, row, camera, moment, roof, grain)
        flat_rgb[at], flat_depth[at] = walls
    haze = (1 - np.exp(depth * np.float32(-1 / moment.haze_m)))[..., None]
    rgb += (moment.horizon - rgb) * haze
    count = int((rays.elevation > 0).sum())
    heaven = paint_sky(rng, moment, rays.azimuth[::2], rays.elevation[:count:2], scene.clouds)
    heaven = cv2.resize(heaven, (shape[1], count), interpolation=cv2.INTER_LINEAR)
    rgb[:count][sky[:count]] = heaven[sky[:count]]
    below = sky.copy()
    below[:count] = False  # past the end of the ray, below the horizon: distant haze
    rgb[below] = moment.horizon * np.float32(0.9)
    label[sky] = Label.SKY
    label[below] = Label.OTHER
    return Screen(rgb, depth, label)


def _develop(
    rng: Rng, scene: Scene, screen: Screen, moment: Moment
) -> tuple[UInt8[np.ndarray, "h w 3"], UInt8[np.ndarray, "h w"]]:
    """Camera: scale down, exposure, white balance, contrast, saturation, a little noise."""
    view = scene.config.panorama
    small = cv2.resize(screen.rgb, (view.width, view.height), interpolation=cv2.INTER_AREA)
    # Exposure, white balance, saturation and contrast are one affine map of colours.
    mix = moment.saturation * np.eye(3) + (1 - moment.saturation) / 3
    matrix = np.column_stack([moment.contrast * mix * moment.gain, np.full(3, 118 * (1 - moment.contrast))])
    small = cv2.transform(small, matrix)
    small += np.float32(2) * rng.standard_normal(small.shape[:2], np.float32)[..., None]
    middle = view.supersample // 2
    return np.clip(small, 0, 255).astype(np.uint8), np.ascontiguousarray(
        screen.label[middle :: view.supersample, middle :: view.supersample]
    )
