"""Sun, shadow, slope: how a height map looks in a given light."""

from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from aenet.data.city.bands import in_bands
from aenet.data.city.rasters import Rasters

REACH_M = 90.0  # shadows are no longer
BAND = 512  # rows at a time


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
            begin, end = max(0, first - north), min(rows, first + BAND + south)
            lit = cast_shadow(top[begin:end], 2 * cell_m, sun)
            out[first : first + BAND] = lit[first - begin : min(rows, first + BAND) - begin]

    in_bands(cast, rows, BAND)
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
