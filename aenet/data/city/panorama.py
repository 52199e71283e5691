"""The ground view: one panorama and its label map from the layers, a camera and a moment."""

from enum import IntEnum

import cv2
import numpy as np
from jaxtyping import UInt8

from aenet.data.city.facades import paint_walls
from aenet.data.city.layers import Kind
from aenet.data.city.march import Seen, march
from aenet.data.city.materials import Scene, paint_land, paint_leaves
from aenet.data.city.moment import Moment, draw_moment
from aenet.data.city.noise import Rng
from aenet.data.city.screen import Screen
from aenet.data.city.sky import paint_sky
from aenet.data.city.transients import paint_transients


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
_LABEL_OF_KIND[[Kind.BUILDING, Kind.TRUNK, Kind.HEDGE, Kind.ROAD, Kind.WATER]] = (
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


def _shade(rng: Rng, scene: Scene, seen: Seen, moment: Moment, camera: tuple[float, float, float]) -> Screen:
    layers, rays = scene.layers, scene.rays
    shape = seen.hit.shape
    rgb = np.zeros((*shape, 3), np.float32)
    sky = np.isinf(seen.depth)
    kind = layers.kind.reshape(-1).take(seen.cell)
    solid = ~(sky | seen.crown)
    house = solid & (kind == Kind.BUILDING)
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
