"""Raising the ground: terrain, buildings with their roofs, tree crowns, hedges."""

from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float32, UInt, UInt8

from aenet.town import noise
from aenet.town.config import TownConfig
from aenet.town.houses import Roof
from aenet.town.layers import TERRAIN_STEP, Rasters, Surface, in_bands, window
from aenet.town.noise import Rng, fractal_noise, sample, smooth_noise
from aenet.town.plants import Hedge, Species
from aenet.town.townplan import Plan

# Roofs: their shape, their colours, and what stands on them.


def roof(house: np.void, u: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Height above the base and colour of the roof at local coordinates."""
    half_u, half_v, eaves, ridge = (float(house[k]) for k in ("half_u", "half_v", "eaves", "ridge"))
    rng = np.random.default_rng(int(house["seed"]))
    colour = np.repeat(house["roof_rgb"][None].astype(np.float32), len(u), axis=0)
    if half_u < half_v:
        u, v, half_u, half_v = v, u, half_v, half_u
    shape = Roof(int(house["roof"]))
    if shape is Roof.FLAT:
        height = np.full(len(u), eaves, np.float32)
        _flat_details(rng, u, v, half_u, half_v, height, colour)
        return height, colour
    if shape is Roof.GABLE:
        share = 1 - np.abs(v) / half_v
    elif shape is Roof.HIP:
        share = np.minimum(half_v - np.abs(v), half_u - np.abs(u)) / half_v
    else:
        share = 1 - np.maximum(np.abs(v) / half_v, np.abs(u) / half_u)
    height = (eaves + (ridge - eaves) * share).astype(np.float32)
    colour *= (1 + 0.05 * np.sin(share * half_v * 9))[:, None]  # courses of tiles
    colour[share > 1 - 0.3 / half_v] *= 0.8
    if shape is not Roof.SPIRE and int(house["use"]) != 3:
        for _ in range(int(rng.integers(1, 3))):
            at_u, at_v = rng.uniform(-0.7, 0.7) * half_u, rng.uniform(-0.4, 0.4) * half_v
            chimney = (np.abs(u - at_u) < 0.55) & (np.abs(v - at_v) < 0.55)
            height[chimney] = max(height[chimney].max(initial=eaves), ridge - 0.3) + 0.9
            colour[chimney] = (120, 74, 60)
        if rng.random() < 0.25:  # solar panels on one slope
            at = rng.uniform(-0.4, 0.4) * half_u
            panel = (np.abs(u - at) < 0.35 * half_u) & (v > 0.2 * half_v) & (v < 0.8 * half_v)
            colour[panel] = (38, 44, 66)
        elif rng.random() < 0.5:  # roof lights
            pane = (np.abs((u + 40) % 3.6 - 1.8) < 0.45) & (np.abs(np.abs(v) - 0.5 * half_v) < 0.5)
            colour[pane] = (92, 112, 126)
    return height, colour


def _flat_details(
    rng: Rng, u: np.ndarray, v: np.ndarray, half_u: float, half_v: float, height: np.ndarray, colour: np.ndarray
) -> None:
    """Parapet, seams, skylights, plant boxes."""
    rim = (np.abs(u) > half_u - 0.5) | (np.abs(v) > half_v - 0.5)
    height[rim] += np.float32(0.5)
    colour[rim] = colour[rim] * 0.8 + 40
    pitch = rng.uniform(3, 9)
    colour[(np.abs((u + 80) % pitch) < 0.25) & ~rim] *= 0.93
    for _ in range(int(rng.integers(1, 3 + int(half_u * half_v / 45)))):
        at_u, at_v = rng.uniform(-0.75, 0.75) * half_u, rng.uniform(-0.7, 0.7) * half_v
        size_u, size_v = rng.uniform(0.6, 2.2), rng.uniform(0.5, 1.6)
        box = (np.abs(u - at_u) < size_u) & (np.abs(v - at_v) < size_v) & ~rim
        if rng.random() < 0.5:
            height[box] += np.float32(rng.uniform(0.8, 2.4))
            colour[box] = rng.uniform(110, 215)
        else:
            colour[box] = (120, 142, 154)
    if half_u > 12 and rng.random() < 0.5:
        strip = (np.abs((u + 80) % 6 - 3) < 0.9) & (np.abs(v) < 0.65 * half_v)
        colour[strip] = (158, 178, 188)
    if rng.random() < 0.12:
        colour[~rim] = colour[~rim] * 0.3 + np.array([100, 122, 72]) * 0.7  # a green roof


# Tree crowns: lumpy domes and cones set into the canopy layer, trunks into the surface.


def _crowns(rng: Rng) -> list[list[Float32[np.ndarray, "s s"]]]:
    """Height profiles in [0, 1] on a 65 x 65 square, several for each species; 0 outside the crown."""
    ys, xs = np.mgrid[-1:1:65j, -1:1:65j]
    reach, around = np.hypot(xs, ys), np.arctan2(ys, xs)
    library = []
    for species in Species:
        variants = []
        for _ in range(6):
            lobes = sum(rng.normal(0, 0.09) * np.cos(k * around + rng.uniform(0, 6)) for k in (2, 3, 5, 7))
            edge = reach / (0.88 + lobes * (0.5 if species is Species.CONIFER else 1.0))
            dome = 1 - edge if species is Species.CONIFER else np.sqrt(np.clip(1 - edge**2, 0, 1))
            lump = smooth_noise(rng, 65, 65, 11.0) * (0.05 if species is Species.CONIFER else 0.10)
            crown = np.where(edge < 1, np.clip(dome * (1 + lump) + 0.5 * lump, 0.04, 1.0), 0.0)
            variants.append(crown.astype(np.float32))
        library.append(variants)
    return library


def raise_trees(
    rng: Rng,
    config: TownConfig,
    plan: Plan,
    surface: np.ndarray,
    canopy: np.ndarray,
    kind: np.ndarray,
    albedo: np.ndarray,
) -> None:
    """Stamp every tree: crown top, base and look into `canopy`, its trunk into the other layers."""
    library, res = _crowns(rng), config.resolution_m
    picks = rng.integers(0, 6, len(plan.plants.trees))
    for tree, pick in zip(plan.plants.trees, picks, strict=True):
        x, y, radius = float(tree["x"]), float(tree["y"]), float(tree["radius"])
        ys, xs = window(config, x, y, radius)
        rows, cols = ys.stop - ys.start, xs.stop - xs.start
        size = max(3, round(2 * radius / res))
        if rows < 3 or cols < 3 or ys.start == 0 or xs.start == 0:
            continue
        crown = cv2.resize(library[int(tree["species"])][pick], (size, size), interpolation=cv2.INTER_AREA)
        rows, cols = min(size, rows), min(size, cols)
        crown = crown[:rows, :cols]
        part = canopy[:, ys.start : ys.start + rows, xs.start : xs.start + cols]
        base, height = float(tree["base"]), float(tree["height"])
        top = ((base + (height - base) * (0.15 + 0.85 * crown)) * 10).astype(np.uint8)
        on = (crown > 0) & (top > part[0])
        on &= kind[ys.start : ys.start + rows, xs.start : xs.start + cols] != Surface.BUILDING
        part[0, on] = top[on]
        part[1, on] = int(base * 10)
        part[2, on] = int(tree["species"]) * 32 + int(float(tree["tone"]) * 31)
        row, col = int(y / res), int(x / res)
        if base > 0 and kind[row, col] < Surface.ROAD:
            thick = slice(row, row + (2 if radius > 2.5 else 1)), slice(col, col + (2 if radius > 2.5 else 1))
            surface[thick] += np.float32(base + 0.4)
            kind[thick] = Surface.TRUNK
            albedo[thick] = noise.SOIL * 0.7


BAND = 512  # rows at a time


class Relief(NamedTuple):
    """See `layers.Layers`; `houses` is the building table with its `base` filled in."""

    surface: Float32[np.ndarray, "h w"]
    ident: UInt[np.ndarray, "h w"]
    canopy: UInt8[np.ndarray, "3 h w"]
    terrain: Float32[np.ndarray, "ht wt"]
    houses: np.ndarray


def raise_relief(
    config: TownConfig, plan: Plan, albedo: UInt8[np.ndarray, "h w 3"], kind: UInt8[np.ndarray, "h w"], rasters: Rasters
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
    surface[kind == Surface.WATER] -= np.float32(1.3)


def ident_type(houses: int) -> np.dtype:
    """The type that can number so many buildings from 1: large towns have more than 65,535."""
    return np.promote_types(np.uint16, np.min_scalar_type(houses))


def _hedge(config: TownConfig, hedge: Hedge, surface: np.ndarray, albedo: np.ndarray, kind: np.ndarray) -> None:
    a, b, height, width, what = hedge
    middle, reach = (a + b) / 2, float(np.hypot(*(b - a))) / 2 + 1
    ys, xs = window(config, middle[0], middle[1], reach)
    mask = np.zeros(kind[ys, xs].shape, np.uint8)
    if mask.size == 0:
        return
    ends = (np.stack([a, b]) / config.resolution_m - [xs.start, ys.start]) * 16
    px = max(1, round(width / config.resolution_m))
    cv2.polylines(mask, [np.round(ends).astype(np.int32)], False, 1, px, shift=4)
    over = (Surface.PAVED, Surface.WATER) if what is Surface.PARAPET else (Surface.GRASS, Surface.BARE, Surface.CROP)
    on = (mask > 0) & np.isin(kind[ys, xs], over)
    surface[ys, xs][on] += np.float32(height)
    kind[ys, xs][on] = what
    albedo[ys, xs][on] = {Surface.HEDGE: (74, 98, 52), Surface.FENCE: (150, 128, 104)}.get(what, (176, 170, 160))


def _house(
    config: TownConfig,
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
    kind[ys, xs][inside] = Surface.BUILDING
    albedo[ys, xs][inside] = np.clip(colour, 0, 255).astype(np.uint8)
