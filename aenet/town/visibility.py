"""Which of the ground an aerial tile shows can be seen from the camera: a line of sight to every cell of the tile.

A cell counts as seen where the surface that the tile shows there, be it ground, roof or crown, meets a straight line
from the camera's eye that nothing nearer crosses: no solid (walls, hedges, fences, trunks, the terrain itself), no
crown. Crowns float: a line may pass below them. Cars and people hide nothing here, they are gone a moment later.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Int, UInt8

from aenet.town.config import TownConfig
from aenet.town.layers import TERRAIN_STEP, Layers
from aenet.town.rays import NEAR_M, Rays, profile, walls

STEP = 0.7  # cells from stop to stop of a ray: no cell that a ray crosses by more than a corner is passed over
SLACK_M = 0.05  # heights are constant over a cell: a smooth slope must not hide itself


class Shades(NamedTuple):
    """What hides things along each ray, up to and including each stop.

    horizon: greatest slope (rise over run) of anything solid.
    low, high: slopes between which the crown met at that stop hides, as far as the ray is in it.
    runs: crowns behind which a ray comes out, in their order along the ray: last stop, low and high (r x w each).
    """

    horizon: Float32[np.ndarray, "d w"]
    low: Float32[np.ndarray, "d w"]
    high: Float32[np.ndarray, "d w"]
    runs: tuple[Int[np.ndarray, "r w"], Float32[np.ndarray, "r w"], Float32[np.ndarray, "r w"]]


def sight_rays(config: TownConfig) -> Rays:
    """Rays as dense as the map's cells at the rim of the circle that the polar view shows, out to a tile's corner."""
    cell = config.resolution_m
    columns = int(np.ceil(np.pi * config.tile_size_m / cell))
    reach = np.sqrt(2) * (config.tile_size_m / 2 + config.aerial_offset_m) + 2 * cell
    azimuth = np.pi + 2 * np.pi * np.arange(columns) / columns
    distance = NEAR_M + np.arange(int(reach / (STEP * cell)) + 2) * STEP * cell
    arrays = (azimuth, np.sin(azimuth), -np.cos(azimuth), np.zeros(1), np.zeros(1), distance)
    return Rays(*(np.asarray(a, np.float32) for a in arrays))


def visible_cells(
    config: TownConfig,
    layers: Layers,
    houses: np.ndarray,
    rays: Rays,
    camera: tuple[float, float, float],
    centre: tuple[float, float],
) -> Bool[np.ndarray, "s s"]:
    """True for each cell of a tile that can be seen; row 0 in the North, one cell for each pixel of the tile.

    Args:
        rays: from `sight_rays`.
        camera: x and y in town metres, and the eye's height above the datum.
        centre: the tile's centre in town metres.
    """
    res, half = config.resolution_m, config.tile_px // 2
    x, y, eye = camera
    shades = _shades(layers, houses, rays, camera, res)
    row, col = round(centre[1] / res) - half, round(centre[0] / res) - half
    side = np.arange(2 * half)
    south = ((row + side + 0.5) * res - y).astype(np.float32)[:, None]
    east = ((col + side + 0.5) * res - x).astype(np.float32)[None]
    away = np.maximum(np.hypot(east, south), np.float32(1e-3))
    slope = (_top(layers, row, col, 2 * half) + np.float32(SLACK_M) - np.float32(eye)) / away
    columns = len(rays.azimuth)
    turn = (np.arctan2(east, -south) - np.float32(np.pi)) * np.float32(columns / (2 * np.pi))
    ray = np.rint(turn).astype(np.int32) % columns
    # The last stop that cannot lie in the cell itself any more, whichever way the ray crosses it.
    before = away - np.float32(NEAR_M + np.sqrt(0.5) * res)
    stop = np.floor(before / np.float32(STEP * res)).astype(np.int32)
    seen = ~_hidden(shades, slope.ravel(), ray.ravel(), np.minimum(stop, len(rays.distance) - 1).ravel())
    return seen.reshape(slope.shape)


def _top(layers: Layers, row: int, col: int, side: int) -> Float32[np.ndarray, "s s"]:
    """Height of what is seen from above: the crown where there is one, else the solid surface."""
    part = slice(row, row + side), slice(col, col + side)
    crown = layers.canopy[0][part]
    coarse = np.arange(row, row + side)[:, None] // TERRAIN_STEP, np.arange(col, col + side)[None] // TERRAIN_STEP
    leaves = layers.terrain[coarse] + crown * np.float32(0.1)
    return np.where(crown > 0, np.maximum(leaves, layers.surface[part]), layers.surface[part])


def _shades(layers: Layers, houses: np.ndarray, rays: Rays, camera: tuple[float, float, float], res: float) -> Shades:
    cell, horizon = profile(layers, rays, *camera, res)
    k, j, wall = walls(layers, houses, rays, cell, camera)
    # One stop early, so that a wall hides the edge of its own roof.
    np.maximum.at(horizon, (np.maximum(k - 1, 0), j), wall)
    np.maximum.accumulate(horizon, axis=0, out=horizon)
    top_m, base_m, _ = layers.canopy.reshape(3, -1)
    j, k = np.nonzero(top_m.take(cell.T))  # along one ray after the other
    spot, cols = cell[k, j], layers.kind.shape[1]
    ground = layers.terrain[spot // cols // TERRAIN_STEP, spot % cols // TERRAIN_STEP] - np.float32(camera[2])
    base = base_m.take(spot)
    low = (ground + base * np.float32(0.1)) / rays.distance[k]
    high = (ground + top_m.take(spot) * np.float32(0.1)) / rays.distance[k]
    return _through_crowns(horizon, j, k, base, low, high)


def _through_crowns(
    horizon: Float32[np.ndarray, "d w"],
    j: Int[np.ndarray, " n"],
    k: Int[np.ndarray, " n"],
    base: UInt8[np.ndarray, " n"],
    low: Float32[np.ndarray, " n"],
    high: Float32[np.ndarray, " n"],
) -> Shades:
    """Join stops in one crown (neighbours along a ray, with one base) into a run that hides all it spans."""
    width = horizon.shape[1]
    lows, highs = np.full_like(horizon, np.inf), np.full_like(horizon, -np.inf)
    fresh = np.ones(len(k), bool)
    fresh[1:] = (j[1:] != j[:-1]) | (k[1:] != k[:-1] + 1) | (base[1:] != base[:-1])
    starts, run = np.flatnonzero(fresh), np.cumsum(fresh) - 1
    if len(starts) == 0:
        return Shades(horizon, lows, highs, (np.zeros((0, width), int), lows[:0], highs[:0]))
    apart = 1e4 * run  # slopes stay far below: a running maximum starts anew with each run
    lows[k, j] = apart - np.maximum.accumulate(apart - low)
    highs[k, j] = np.maximum.accumulate(apart + high) - apart
    ends, ray = np.append(starts[1:], len(k)) - 1, j[starts]
    place = np.arange(len(starts)) - np.searchsorted(ray, ray)  # 0 for the first run of its ray
    last = np.full((int(place.max()) + 1, width), len(horizon))
    run_low, run_high = np.full(last.shape, np.inf, np.float32), np.full(last.shape, -np.inf, np.float32)
    last[place, ray], run_low[place, ray], run_high[place, ray] = k[ends], lows[k, j][ends], highs[k, j][ends]
    return Shades(horizon, lows, highs, (last, run_low, run_high))


def _hidden(
    shades: Shades, slope: Float32[np.ndarray, " n"], ray: Int[np.ndarray, " n"], stop: Int[np.ndarray, " n"]
) -> Bool[np.ndarray, " n"]:
    """Whether the target seen at `slope` along `ray` is hidden by anything up to `stop` (negative: by nothing)."""
    hidden = np.zeros(len(slope), bool)
    at = np.flatnonzero(stop >= 0)
    spot = stop[at] * np.int32(shades.horizon.shape[1]) + ray[at]
    solid = slope[at] < shades.horizon.reshape(-1).take(spot)
    crown = (slope[at] > shades.low.reshape(-1).take(spot)) & (slope[at] < shades.high.reshape(-1).take(spot))
    hidden[at] = solid | crown
    at = at[~(solid | crown)]
    for last, low, high in zip(*shades.runs, strict=True):
        at = at[last.take(ray[at]) < len(shades.horizon)]  # rays that meet as many crowns
        mine = ray[at]
        cut = (last.take(mine) < stop[at]) & (slope[at] > low.take(mine)) & (slope[at] < high.take(mine))
        hidden[at[cut]] = True
        at = at[~cut]
    return hidden
