"""From a configuration to the finished rasters of a town, and the places its photos are taken from."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64, UInt8

from aenet.data.pairs import SPLITS
from aenet.io.errors import AenetError
from aenet.town.aerial import all_shadows, render_orthophoto
from aenet.town.config import TownConfig
from aenet.town.ground import draw_ground
from aenet.town.layers import Layers, Rasters, Surface
from aenet.town.noise import Rng
from aenet.town.relief import raise_relief
from aenet.town.roads import RoadKind
from aenet.town.townplan import Plan, draw_plan
from aenet.town.transients import find_slots, occupied

# Where the photographer stands: candidate places, and districts that keep the splits apart.


class Chosen(NamedTuple):
    """Places in town metres: the camera, the centre of its aerial tile (a pixel corner), the split's index."""

    camera: Float64[np.ndarray, "n 2"]
    aerial: Float64[np.ndarray, "n 2"]
    split: Int64[np.ndarray, " n"]


class District(NamedTuple):
    """A vertical strip of town in which one split's cameras may stand, metres from the western edge."""

    split: int
    west: float
    east: float


def districts(config: TownConfig) -> list[District]:
    """Strips from West to East, so far apart that no tile of one split shares ground with another's."""
    half = config.tile_px * config.resolution_m / 2 + config.aerial_offset_m + 2 * config.resolution_m
    large = config.width_m > 16 * half
    order = [0, 2, 0, 1] if large else [0, 2, 1]
    share = np.array([config.places.train, config.places.val, config.places.test], float)[order]
    share[np.array(order) == 0] /= order.count(0)
    share = share**0.75  # a little more room for each place of a small split
    free = config.width_m - 2 * half * len(order)
    if free < 10 * len(order) or config.height_m - 2 * half < 20:
        raise AenetError(
            f"a town of {config.width_m:g} x {config.height_m:g} m has no room for three districts {2 * half:g} m"
            f" apart: make it wider than {2 * half * len(order) + 10 * len(order):g} m, or tile_size_m smaller"
        )
    strips, west = [], half
    for split, width in zip(order, share / share.sum() * free, strict=True):
        strips.append(District(split, west, west + width))
        west += width + 2 * half
    return strips


def choose_places(config: TownConfig, plan: Plan, kind: np.ndarray) -> Chosen:
    """Cameras on and beside streets, on paths and open ground, at least `spacing_m` apart."""
    rng = np.random.default_rng([config.seed, 5])
    candidates = _candidates(rng, config, plan, kind)
    half = config.tile_px * config.resolution_m / 2 + config.aerial_offset_m + 2 * config.resolution_m
    ok = (candidates[:, 1] > half) & (candidates[:, 1] < config.height_m - half)
    candidates = candidates[ok]
    strips, cameras, splits = districts(config), [], []
    for split, wanted in enumerate((config.places.train, config.places.val, config.places.test)):
        mine = np.zeros(len(candidates), bool)
        for strip in strips:
            if strip.split == split:
                mine |= (candidates[:, 0] > strip.west) & (candidates[:, 0] < strip.east)
        picked = _thin(candidates[mine], config.spacing_m, wanted)
        if len(picked) < wanted:
            raise AenetError(
                f"the {SPLITS[split]} district has room for {len(picked)} places {config.spacing_m:g} m apart,"
                f" {wanted} are asked for: enlarge the town, or lower spacing_m or the count"
            )
        cameras.append(picked)
        splits.append(np.full(wanted, split))
    camera = np.concatenate(cameras)
    shift = rng.uniform(-config.aerial_offset_m, config.aerial_offset_m, camera.shape)
    aerial = np.round((camera + shift) / config.resolution_m) * config.resolution_m
    return Chosen(camera, aerial, np.concatenate(splits))


def _candidates(rng: Rng, config: TownConfig, plan: Plan, kind: np.ndarray) -> Float64[np.ndarray, "n 2"]:
    """Shuffled points: most on or beside streets, the rest on any open ground."""
    points = []
    for road in plan.network.roads:
        headings = road.headings()
        normal = np.stack([-np.sin(headings), np.cos(headings)], axis=1)
        reach = road.reach if road.kind <= RoadKind.LANE else road.width / 2
        points.append(road.points + normal * rng.uniform(-reach, reach, (len(normal), 1)))
    count = max(2000, sum(len(p) for p in points) // 6)
    open_ground = rng.uniform(0, 1, (count, 2)) * [config.width_m, config.height_m]
    every = np.concatenate([*points, open_ground])
    rng.shuffle(every)
    cells = np.floor(every / config.resolution_m).astype(int)
    inside = np.all((cells >= 6) & (cells < np.array([kind.shape[1], kind.shape[0]]) - 6), axis=1)
    every, cells = every[inside], cells[inside]
    clear = np.ones(len(every), bool)
    for dy in range(-5, 6, 1):  # nothing solid within about two metres
        for dx in range(-5, 6, 1):
            at = kind[cells[:, 1] + dy, cells[:, 0] + dx]
            clear &= (at < Surface.WATER) | ((at == Surface.WATER) & (max(abs(dx), abs(dy)) > 2))
    return every[clear]


def _thin(points: Float64[np.ndarray, "n 2"], spacing: float, wanted: int) -> Float64[np.ndarray, "m 2"]:
    """The first `wanted` points none of which is nearer than `spacing` to one before it."""
    grid: dict[tuple[int, int], list[int]] = {}
    kept: list[int] = []
    for index, (x, y) in enumerate(points):
        cell = int(x // spacing), int(y // spacing)
        near = (k for dx in (-1, 0, 1) for dy in (-1, 0, 1) for k in grid.get((cell[0] + dx, cell[1] + dy), ()))
        if all(np.hypot(points[k, 0] - x, points[k, 1] - y) >= spacing for k in near):
            grid.setdefault(cell, []).append(index)
            kept.append(index)
            if len(kept) == wanted:
                break
    return points[kept]


class Town(NamedTuple):
    """Everything the two views are made from; `houses` and `slots` are tables, see `buildings` and `transients`."""

    layers: Layers
    orthophoto: UInt8[np.ndarray, "h w 3"]
    houses: np.ndarray
    slots: np.ndarray
    places: Chosen


def raise_town(config: TownConfig, folder: Path | None = None) -> Town:
    """Plan, draw and light a town; with a folder its rasters are files there, for others to map.

    Raises:
        AenetError: the town is too small for its places, or the folder's disk for its rasters.
    """
    rasters = Rasters(folder)
    plan = draw_plan(config)
    albedo, kind = draw_ground(config, plan, rasters)
    relief = raise_relief(config, plan, albedo, kind, rasters)
    places = choose_places(config, plan, kind)
    shadow = all_shadows(relief.surface, relief.canopy, config.resolution_m, rasters)
    layers = Layers(relief.surface, kind, relief.ident, albedo, relief.canopy, shadow, relief.terrain)
    slots = find_slots(plan)
    cars = occupied(np.random.default_rng([config.seed, 8]), slots)
    return Town(layers, render_orthophoto(config, layers, cars, rasters), relief.houses, slots, places)
