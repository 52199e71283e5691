"""The rays of a panorama: where they look, the walls they meet, and what they see on the height map.

Convention: column j looks at azimuth 180 + 360 j / width degrees, clockwise from North, so the centre
column looks North, width / 4 West, 3 width / 4 East and column 0 South: the polar view's own order.
Row i looks at elevation 45 - 90 (i + 1/2) / height degrees.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Int, Int32, UInt8

from aenet.town.houses import Roof
from aenet.town.layers import TERRAIN_STEP, Layers

# The panorama while it is painted.


class Screen(NamedTuple):
    """Colour, distance in metres and `Label` of every pixel."""

    rgb: Float32[np.ndarray, "h w 3"]
    depth: Float32[np.ndarray, "h w"]
    label: UInt8[np.ndarray, "h w"]


REACH_M = 260.0
NEAR_M = 0.7  # what is nearer to the camera hides nothing


HALF_FIELD = np.pi / 4  # radians above and below the horizon


class Rays(NamedTuple):
    """Directions of columns and rows, and the distances at which every ray looks at the map."""

    azimuth: Float32[np.ndarray, " w"]
    east: Float32[np.ndarray, " w"]
    south: Float32[np.ndarray, " w"]
    elevation: Float32[np.ndarray, " h"]
    tangent: Float32[np.ndarray, " h"]
    distance: Float32[np.ndarray, " d"]

    @classmethod
    def of(cls, height: int, width: int, supersample: int, step_m: float) -> "Rays":
        """Rays of a panorama of height x width pixels, `supersample` times finer in both directions."""
        columns = (np.arange(width * supersample) + 0.5) / supersample - 0.5
        azimuth = np.pi + 2 * np.pi * columns / width
        rows = (np.arange(height * supersample) + 0.5) / supersample
        elevation = HALF_FIELD - 2 * HALF_FIELD * rows / height
        stops, at = [], NEAR_M
        while at < REACH_M:
            stops.append(at)
            at += max(step_m, 0.02 * at)
        arrays = (azimuth, np.sin(azimuth), -np.cos(azimuth), elevation, np.tan(elevation), np.array(stops))
        return cls(*(a.astype(np.float32) for a in arrays))

    def row_of(self, slope: Float32[np.ndarray, "*n"]) -> Int32[np.ndarray, "*n"]:
        """First row from the top that does not look above a slope (rise over run); len(elevation) if none."""
        height = len(self.elevation)
        rows = np.ceil(
            (np.float32(HALF_FIELD) - np.arctan(slope)) * np.float32(height / (2 * HALF_FIELD)) - np.float32(0.5)
        )
        return np.asarray(np.clip(rows, 0, height), np.int32)


def entry(
    houses: np.ndarray | np.void,
    x: np.float32,
    y: np.float32,
    east: Float32[np.ndarray, " n"],
    south: Float32[np.ndarray, " n"],
) -> tuple[Float32[np.ndarray, " n"], Float32[np.ndarray, " n"], Float32[np.ndarray, " n"]]:
    """Distance at which rays from (x, y) enter rectangles, and the distances to their two slabs.

    The larger of the two slab distances is the entry: it tells which pair of faces was met.
    """
    cos, sin = np.cos(houses["angle"]), np.sin(houses["angle"])
    dx, dy = x - houses["x"], y - houses["y"]
    tiny = np.float32(1e-5)
    slabs = []
    for position, direction, half in (
        (dx * cos + dy * sin, east * cos + south * sin, houses["half_u"]),
        (-dx * sin + dy * cos, -east * sin + south * cos, houses["half_v"]),
    ):
        safe = np.where(np.abs(direction) < tiny, tiny, direction)
        slabs.append((-position * np.sign(safe) - half) / np.abs(safe))
    return np.maximum(slabs[0], slabs[1]), slabs[0], slabs[1]


def wall_top(
    mine: np.ndarray, x: Float32[np.ndarray, " n"], y: Float32[np.ndarray, " n"], end_wall: Bool[np.ndarray, " n"]
) -> tuple[Float32[np.ndarray, " n"], Float32[np.ndarray, " n"], Float32[np.ndarray, " n"], Float32[np.ndarray, " n"]]:
    """Height above its foot at which a wall ends at (x, y); metres along the wall from its middle, its half
    length, and the coordinate across it. Gables carry the wall up to the ridge.
    """
    cos, sin = np.cos(mine["angle"]), np.sin(mine["angle"])
    dx, dy = x - mine["x"], y - mine["y"]
    u, v = dx * cos + dy * sin, -dx * sin + dy * cos
    along, half = np.where(end_wall, v, u), np.where(end_wall, mine["half_v"], mine["half_u"])
    gable = (mine["roof"] == Roof.GABLE) & (end_wall == (mine["half_u"] >= mine["half_v"]))
    share = np.where(gable, np.clip(1 - np.abs(along) / half, 0, 1), 0)
    parapet = np.where(mine["roof"] == Roof.FLAT, np.float32(0.5), np.float32(0))
    return mine["eaves"] + (mine["ridge"] - mine["eaves"]) * share + parapet, along, half, np.where(end_wall, u, v)


def spans(
    top: Int32[np.ndarray, " n"], bottom: Int32[np.ndarray, " n"]
) -> tuple[Int32[np.ndarray, " m"], Int32[np.ndarray, " m"]]:
    """All rows in [top, bottom) of each of n spans: the span's index and the row, span by span."""
    length = np.maximum(bottom - top, 0)
    which = np.repeat(np.arange(len(top), dtype=np.int32), length)
    starts = np.cumsum(length) - length
    row = np.arange(len(which), dtype=np.int32) - np.repeat((starts - top).astype(np.int32), length)
    return which, row


# Walking rays over the height map: what every pixel of a panorama sees, and how far away it is.


class RayHits(NamedTuple):
    """Per pixel: index of the hit along the ray, flat map cell, distance (inf: sky); crowns override solids."""

    hit: Int32[np.ndarray, "h w"]
    cell: Int32[np.ndarray, "h w"]
    depth: Float32[np.ndarray, "h w"]
    crown: Bool[np.ndarray, "h w"]


def march(layers: Layers, houses: np.ndarray, rays: Rays, x: float, y: float, eye: float, res: float) -> RayHits:
    """Look around from (x, y) metres at height `eye` above the datum."""
    cell, slope = profile(layers, rays, x, y, eye, res)
    k, j, wall = walls(layers, houses, rays, cell, (x, y, eye))
    slope[k, j] = np.maximum(slope[k, j], wall)
    np.maximum.accumulate(slope, axis=0, out=slope)
    height, width, depth = len(rays.elevation), len(rays.azimuth), len(rays.distance)
    first = rays.row_of(slope)
    counts = np.bincount((first * width + np.arange(width, dtype=np.int32)).ravel(), minlength=(height + 1) * width)
    below = np.cumsum(counts.reshape(height + 1, width)[:height], axis=0, dtype=np.int32)
    hit = np.int32(depth) - below
    seen = hit < depth
    hit = np.minimum(hit, np.int32(depth - 1))
    at = cell.reshape(-1).take(hit * np.int32(width) + np.arange(width, dtype=np.int32))
    far = np.where(seen, rays.distance.take(hit), np.float32(np.inf))
    crown = _crowns(layers, rays, cell, hit, seen, far, at, eye)
    return RayHits(hit, at, far, crown)


def profile(
    layers: Layers, rays: Rays, x: float, y: float, eye: float, res: float
) -> tuple[Int32[np.ndarray, "d w"], Float32[np.ndarray, "d w"]]:
    """At every stop of every ray: the flat map cell, and the slope (rise over run) at which its solid top is seen."""
    rows, cols = layers.kind.shape
    d = rays.distance[:, None]
    col = np.clip(((np.float32(x) + d * rays.east) * np.float32(1 / res)).astype(np.int32), 0, cols - 1)
    row = np.clip(((np.float32(y) + d * rays.south) * np.float32(1 / res)).astype(np.int32), 0, rows - 1)
    cell = row * np.int32(cols) + col
    return cell, (layers.surface.reshape(-1).take(cell) - np.float32(eye)) / d


def walls(
    layers: Layers,
    houses: np.ndarray,
    rays: Rays,
    cell: Int32[np.ndarray, "d w"],
    camera: tuple[float, float, float],
) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, " n"], Float32[np.ndarray, " n"]]:
    """Where rays enter buildings: first stop inside, ray, and the slope of the eaves where the wall really is.

    It is steeper than the slope at the stop, which lies a little behind the wall.
    """
    ident = layers.ident.reshape(-1).take(cell)
    k, j = np.nonzero(ident)
    fresh = (k == 0) | (ident[np.maximum(k - 1, 0), j] != ident[k, j])
    k, j = k[fresh], j[fresh]
    mine = houses[ident[k, j].astype(np.int64) - 1]
    x, y, eye = np.float32(camera[0]), np.float32(camera[1]), np.float32(camera[2])
    near, slab_u, slab_v = entry(mine, x, y, rays.east[j], rays.south[j])
    near = np.clip(near, rays.distance[k] * np.float32(0.8) - 1, rays.distance[k]).clip(0.3)
    limit, _, _, _ = wall_top(mine, x + near * rays.east[j], y + near * rays.south[j], slab_u > slab_v)
    return k, j, np.asarray((mine["base"] + limit - eye) / near)


def _crowns(
    layers: Layers,
    rays: Rays,
    cell: Int32[np.ndarray, "d w"],
    hit: Int32[np.ndarray, "h w"],
    seen: Bool[np.ndarray, "h w"],
    far: Float32[np.ndarray, "h w"],
    at: Int32[np.ndarray, "h w"],
    eye: float,
) -> Bool[np.ndarray, "h w"]:
    """Put tree crowns, which float above the ground, before whatever stands behind them."""
    cols = layers.kind.shape[1]
    top_m, base_m, _ = layers.canopy.reshape(3, -1)
    k, j = np.nonzero(top_m.take(cell))
    last = np.where(seen, hit, len(rays.distance)).max(axis=0)
    visible = k < last[j]
    k, j = k[visible], j[visible]
    spot = cell[k, j]
    ground = layers.terrain[spot // cols // TERRAIN_STEP, spot % cols // TERRAIN_STEP] - np.float32(eye)
    distance = rays.distance[k]
    # Leaves stick out here and there, less than a pixel or two when near.
    ragged = ((spot * 37 + j * 11) % 13).astype(np.float32) * np.minimum(
        distance * np.float32(0.0016), np.float32(0.035)
    )
    top = rays.row_of((ground + top_m.take(spot) * np.float32(0.1) + ragged) / distance)
    bottom = rays.row_of((ground + base_m.take(spot) * np.float32(0.1) - ragged) / distance)
    order = slice(None, None, -1)  # far to near: the last write wins
    bottom = np.minimum(np.maximum(bottom, top + 1), len(rays.elevation))  # a distant crown is one row at least
    which, row = spans(top[order], bottom[order])
    k, j, spot = k[order][which], j[order][which], spot[order][which]
    front = (k < hit[row, j]) | ~seen[row, j] if len(row) else np.zeros(0, bool)
    row, j, k, spot = row[front], j[front], k[front], spot[front]
    mask = np.zeros(hit.shape, bool)
    hit[row, j], at[row, j], far[row, j], mask[row, j] = k, spot, rays.distance[k], True
    return mask
