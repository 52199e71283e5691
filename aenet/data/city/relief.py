"""Raising the ground: terrain, buildings with their roofs, tree crowns, hedges."""

from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float32, UInt, UInt8

from aenet.data.city.bands import in_bands
from aenet.data.city.config import CityConfig
from aenet.data.city.crowns import raise_trees
from aenet.data.city.hedges import Hedge
from aenet.data.city.layers import TERRAIN_STEP, Kind, window
from aenet.data.city.noise import fractal_noise, sample
from aenet.data.city.plan import Plan
from aenet.data.city.rasters import Rasters
from aenet.data.city.roofs import roof

BAND = 512  # rows at a time


class Relief(NamedTuple):
    """See `layers.Layers`; `houses` is the building table with its `base` filled in."""

    surface: Float32[np.ndarray, "h w"]
    ident: UInt[np.ndarray, "h w"]
    canopy: UInt8[np.ndarray, "3 h w"]
    terrain: Float32[np.ndarray, "ht wt"]
    houses: np.ndarray


def raise_relief(
    config: CityConfig, plan: Plan, albedo: UInt8[np.ndarray, "h w 3"], kind: UInt8[np.ndarray, "h w"], rasters: Rasters
) -> Relief:
    """Heights of everything; paints roofs and hedges into `albedo` and `kind` as it goes."""
    rng = np.random.default_rng([config.seed, 3])
    rows, cols = config.shape
    coarse = (rows // TERRAIN_STEP + 1, cols // TERRAIN_STEP + 1)
    cell = config.resolution_m * TERRAIN_STEP
    terrain = rasters.keep(
        "terrain", 2.2 * fractal_noise(rng, *coarse, (420.0 / cell, 130.0 / cell)).astype(np.float32)
    )
    surface = rasters.new("surface", (rows, cols), np.float32)
    cv2.resize(terrain, (cols, rows), surface, interpolation=cv2.INTER_LINEAR)
    in_bands(lambda top: _sink(surface[top : top + BAND], kind[top : top + BAND]), rows, BAND)
    houses = plan.built.houses.copy()
    ident = rasters.new("ident", (rows, cols), ident_type(len(houses)))
    centres = np.stack([houses["x"], houses["y"]], axis=1).astype(np.float64)
    houses["base"] = sample(terrain, centres, cell) if len(houses) else 0.0
    for hedge in plan.plants.hedges:
        _hedge(config, hedge, surface, albedo, kind)
    for index in range(len(houses)):
        _house(config, houses[index], index, surface, ident, albedo, kind)
    canopy = rasters.new("canopy", (3, rows, cols), np.uint8)
    raise_trees(rng, config, plan, surface, canopy, kind, albedo)
    return Relief(surface, ident, canopy, terrain, houses)


def _sink(surface: Float32[np.ndarray, "h w"], kind: UInt8[np.ndarray, "h w"]) -> None:
    surface[kind == Kind.WATER] -= np.float32(1.3)


def ident_type(houses: int) -> np.dtype:
    """The type that can number so many buildings from 1: large towns have more than 65,535."""
    return np.promote_types(np.uint16, np.min_scalar_type(houses))


def _hedge(config: CityConfig, hedge: Hedge, surface: np.ndarray, albedo: np.ndarray, kind: np.ndarray) -> None:
    a, b, height, width, what = hedge
    middle, reach = (a + b) / 2, float(np.hypot(*(b - a))) / 2 + 1
    ys, xs = window(config, middle[0], middle[1], reach)
    mask = np.zeros(kind[ys, xs].shape, np.uint8)
    if mask.size == 0:
        return
    ends = (np.stack([a, b]) / config.resolution_m - [xs.start, ys.start]) * 16
    px = max(1, round(width / config.resolution_m))
    cv2.polylines(mask, [np.round(ends).astype(np.int32)], False, 1, px, shift=4)
    over = (Kind.PAVED, Kind.WATER) if what is Kind.PARAPET else (Kind.GRASS, Kind.BARE, Kind.CROP)
    on = (mask > 0) & np.isin(kind[ys, xs], over)
    surface[ys, xs][on] += np.float32(height)
    kind[ys, xs][on] = what
    albedo[ys, xs][on] = {Kind.HEDGE: (74, 98, 52), Kind.FENCE: (150, 128, 104)}.get(what, (176, 170, 160))


def _house(
    config: CityConfig,
    house: np.void,
    index: int,
    surface: np.ndarray,
    ident: np.ndarray,
    albedo: np.ndarray,
    kind: np.ndarray,
) -> None:
    """Stamp one building: walls, roof shape, roof colours and what stands on the roof."""
    half_u, half_v = float(house["half_u"]), float(house["half_v"])
    ys, xs = window(config, float(house["x"]), float(house["y"]), float(np.hypot(half_u, half_v)))
    res = config.resolution_m
    dy = ((np.arange(ys.start, ys.stop) + 0.5) * res - float(house["y"]))[:, None]
    dx = ((np.arange(xs.start, xs.stop) + 0.5) * res - float(house["x"]))[None]
    cos, sin = np.cos(float(house["angle"])), np.sin(float(house["angle"]))
    u, v = dx * cos + dy * sin, -dx * sin + dy * cos
    inside = (np.abs(u) <= half_u) & (np.abs(v) <= half_v)
    height, colour = roof(house, u[inside], v[inside])
    surface[ys, xs][inside] = np.float32(house["base"]) + height
    ident[ys, xs][inside] = index + 1
    kind[ys, xs][inside] = Kind.BUILDING
    albedo[ys, xs][inside] = np.clip(colour, 0, 255).astype(np.uint8)
