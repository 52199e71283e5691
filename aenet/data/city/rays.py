"""Directions a panorama looks in, and where they meet walls.

Convention: column j looks at azimuth 180 + 360 j / width degrees, clockwise from North, so the centre
column looks North, width / 4 West, 3 width / 4 East and column 0 South: the polar view's own order.
Row i looks at elevation 45 - 90 (i + 1/2) / height degrees.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Int32

from aenet.data.city.houses import Roof

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
