"""The orthophoto: the town from straight above, on a summer noon, with its own cars."""

from collections.abc import Mapping
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float32, Float64, UInt8

from aenet.town import noise
from aenet.town.config import TownConfig
from aenet.town.houses import rectangle
from aenet.town.layers import Layers, Rasters, Surface, in_bands
from aenet.town.noise import smooth_noise, wrapped_noise
from aenet.town.plants import Species

# Sun, shadow, slope: how a height map looks in a given light.

REACH_M = 90.0  # shadows are no longer
SHADOW_BAND = 512  # rows at a time


class Sun(NamedTuple):
    """Where the sun stands, degrees: azimuth clockwise from North, elevation above the horizon."""

    azimuth: float
    elevation: float

    @property
    def towards(self) -> tuple[float, float, float]:
        """Unit vector to the sun: East, South, up."""
        a, e = np.deg2rad(self.azimuth), np.deg2rad(self.elevation)
        return float(np.sin(a) * np.cos(e)), float(-np.cos(a) * np.cos(e)), float(np.sin(e))


# The orthophoto's sun first; panoramas are taken under one of the others.
SUNS = (Sun(162, 52), Sun(92, 24), Sun(128, 40), Sun(205, 44), Sun(244, 30), Sun(272, 18))


def cast_shadow(
    height: Float32[np.ndarray, "h w"], cell_m: float, sun: Sun, reach_m: float = REACH_M
) -> UInt8[np.ndarray, "h w"]:
    """255 where the sun reaches the surface, 0 in shadow, soft in between.

    The height a shadow reaches is the maximum over distance of the surface towards the sun, lowered by
    distance times the tangent of the elevation; doubling the distance each round needs only a few shifts.
    """
    east, south, up = sun.towards
    flat = float(np.hypot(east, south))
    fall = np.float32(up / flat * cell_m)
    reach = height.copy()
    step = 1.0
    while step * cell_m < reach_m:
        _raise_from(reach, round(east / flat * step), round(south / flat * step), fall * np.float32(step))
        step *= 2
    lit = (height + np.float32(0.25) >= reach).astype(np.uint8) * np.uint8(255)
    return np.asarray(cv2.blur(lit, (3, 3)))


def all_shadows(
    surface: Float32[np.ndarray, "h w"], canopy: UInt8[np.ndarray, "3 h w"], cell_m: float, rasters: Rasters
) -> UInt8[np.ndarray, "s h2 w2"]:
    """Shadow maps of every sun in `SUNS` at half the resolution of the map: the raster `shadow`."""
    rows, cols = surface.shape[0] // 2, surface.shape[1] // 2
    top = cv2.resize(surface, (cols, rows), interpolation=cv2.INTER_NEAREST)
    top += np.float32(0.1) * cv2.resize(canopy[0], (cols, rows), interpolation=cv2.INTER_NEAREST)
    shadow = rasters.new("shadow", (len(SUNS), rows, cols), np.uint8)
    # All that the doubled steps of `cast_shadow` can add up to, their rounding and the blur.
    halo = int(2 * REACH_M / (2 * cell_m)) + 16

    def cast(first: int) -> None:
        for sun, out in zip(SUNS, shadow, strict=True):
            # Shadows come from where the sun stands: only there the neighbouring rows matter.
            north, south = (halo, 1) if sun.towards[1] < 0 else (1, halo)
            begin, end = max(0, first - north), min(rows, first + SHADOW_BAND + south)
            lit = cast_shadow(top[begin:end], 2 * cell_m, sun)
            out[first : first + SHADOW_BAND] = lit[first - begin : min(rows, first + SHADOW_BAND) - begin]

    in_bands(cast, rows, SHADOW_BAND)
    return shadow


def _raise_from(reach: Float32[np.ndarray, "h w"], dx: int, dy: int, fall: np.float32) -> None:
    """reach(p) = max(reach(p), reach(p + d) - fall), for the part where p + d is on the map."""
    rows, cols = reach.shape
    if abs(dx) >= cols or abs(dy) >= rows:
        return
    here = slice(max(0, -dy), rows - max(0, dy)), slice(max(0, -dx), cols - max(0, dx))
    there = slice(max(0, dy), rows + min(0, dy)), slice(max(0, dx), cols + min(0, dx))
    np.maximum(reach[here], reach[there].copy() - fall, out=reach[here])


def hillshade(height: Float32[np.ndarray, "h w"], cell_m: float, sun: Sun) -> Float32[np.ndarray, "h w"]:
    """Cosine of the angle between surface and sun, relative to level ground (1 = as bright as level)."""
    east, south, up = sun.towards
    gx = cv2.Scharr(height, cv2.CV_32F, 1, 0, scale=1 / (32 * cell_m))
    gy = cv2.Scharr(height, cv2.CV_32F, 0, 1, scale=1 / (32 * cell_m))
    steep = np.sqrt(1 + gx * gx + gy * gy)
    cosine = (np.float32(up) - gx * np.float32(east) - gy * np.float32(south)) / steep
    return np.asarray(np.clip(cosine / np.float32(up), 0, 2))


# Crown colours in summer, by species: a dark and a light one.
CROWNS = {
    Species.ROUND: ((62, 92, 44), (104, 132, 62)), Species.OAK: ((54, 80, 40), (92, 116, 56)),
    Species.CONIFER: ((34, 62, 44), (58, 86, 58)), Species.POPLAR: ((70, 100, 52), (116, 144, 74)),
    Species.SHRUB: ((74, 96, 50), (124, 140, 72)),
}  # fmt: skip
# rows developed at a time, fewer where the town is so wide that they hold more than
BAND = 512  # rows developed at a time, fewer where the town is so wide that they hold more than
BAND_PX = 1 << 22
MARGIN = 16  # rows around a band that its light depends on


def crown_palette(
    colours: Mapping[Species, tuple[tuple[int, int, int], tuple[int, int, int]]],
) -> Float32[np.ndarray, "k 3"]:
    """One colour for each value of the canopy's third channel (species * 32 + tone)."""
    table = np.zeros((256, 3), np.float32)
    tone = np.linspace(0, 1, 32, dtype=np.float32)[:, None]
    for species, (dark, light) in colours.items():
        table[species * 32 : species * 32 + 32] = np.array(dark) * (1 - tone) + np.array(light) * tone
    return table


def render_orthophoto(
    config: TownConfig, layers: Layers, cars: Float64[np.ndarray, "n 3"], rasters: Rasters
) -> UInt8[np.ndarray, "h w 3"]:
    """Colour, light and shadow for every pixel, band by band; `cars` are x, y, heading in town metres."""
    rng = np.random.default_rng([config.seed, 4])
    rows, cols = layers.kind.shape
    table = crown_palette(CROWNS)
    leaves = wrapped_noise(rng, 512, (0.7, 1.6))
    bright = rasters.new("bright", (rows, cols), np.float32)
    cv2.resize(smooth_noise(rng, rows // 16 + 1, cols // 16 + 1, 40.0), (cols, rows), bright)
    paint = rasters.keep("paint", layers.albedo)
    _draw_cars(rng, config, paint, cars)
    out = rasters.new("orthophoto", (rows, cols, 3), np.uint8)
    height = max(64, min(BAND, BAND_PX // cols))

    def develop(top: int) -> None:
        first, last = max(0, top - MARGIN), min(rows, top + height + MARGIN)
        band = slice(first, last)
        grain = np.tile(leaves[np.arange(first, last) % 512], (1, cols // 512 + 1))[:, :cols]
        light = _light(layers, config.resolution_m, band) * (bright[band] * np.float32(0.02) + 1)
        lit = _develop(paint[band], layers.canopy[:, band], light, table, grain)
        out[top : top + height] = lit[top - first : min(rows, top + height) - first]

    in_bands(develop, rows, height)
    for done in ("bright", "paint"):
        rasters.drop(done)
    return out


def _develop(
    paint: UInt8[np.ndarray, "h w 3"],
    canopy: UInt8[np.ndarray, "3 h w"],
    light: Float32[np.ndarray, "h w"],
    table: Float32[np.ndarray, "k 3"],
    grain: Float32[np.ndarray, "h w"],
) -> UInt8[np.ndarray, "h w 3"]:
    """Colours of one band: leaves over the ground, light over both."""
    colour = paint.astype(np.float32)
    crown = canopy[0] > 0
    colour[crown] = table[canopy[2][crown]] * (1 + 0.10 * grain[crown])[:, None]
    tint = np.array([1.0, 0.96, 0.86], np.float32)  # shadows keep the sky's blue
    lit = colour * (1 - (1 - light)[..., None] * tint)
    lit = cv2.GaussianBlur(lit, (3, 3), 0.6) * np.array([1.05, 1.03, 0.97], np.float32) + 4
    return np.asarray(np.clip(lit, 0, 255), np.uint8)


def _light(layers: Layers, cell: float, part: slice) -> Float32[np.ndarray, "h w"]:
    """Brightness of a band: direct light by slope and shadow, plus the open sky."""
    height = layers.surface[part] + np.float32(0.1) * layers.canopy[0, part] * (layers.kind[part] != Surface.BUILDING)
    slope = hillshade(cv2.GaussianBlur(height, (3, 3), 0.8), cell, SUNS[0])
    half = np.asarray(layers.shadow[0, part.start // 2 : (part.stop + 1) // 2])
    shadow = cv2.resize(half, (height.shape[1], (part.stop + 1) // 2 * 2 - part.start // 2 * 2))
    shadow = shadow[part.start % 2 : part.start % 2 + height.shape[0]].astype(np.float32) / 255
    near = cv2.blur(height, (25, 25)) - height
    sky = 1 - np.clip(near * np.float32(0.06), 0, 0.22)
    return np.asarray(np.clip(sky * (0.42 + 0.58 * np.minimum(slope, 1.5) * shadow), 0, 1.35))


def _draw_cars(
    rng: np.random.Generator, config: TownConfig, paint: np.ndarray, cars: Float64[np.ndarray, "n 3"]
) -> None:
    """Little cars with windows, in colours of their own."""
    for (x, y, heading), pick in zip(cars, rng.integers(len(noise.CARS), size=len(cars)), strict=True):
        shift = np.array([0.5, 0.7])
        for half_u, half_v, at, rgb in (
            (2.2, 0.95, shift, None), (2.15, 0.88, 0, noise.CARS[pick]), (1.0, 0.74, 0, noise.CARS[pick] * 0.35),
            (0.62, 0.70, 0, noise.CARS[pick] * 1.05),
        ):  # fmt: skip
            ring = rectangle(x, y, heading, half_u, half_v) + at
            points = np.round((ring / config.resolution_m - 0.5) * 16).astype(np.int32)
            colour = (46.0, 47.0, 50.0) if rgb is None else tuple(float(min(v, 255)) for v in rgb)
            cv2.fillConvexPoly(paint, points, colour, cv2.LINE_AA, 4)
