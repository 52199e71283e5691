"""Curves through points, and their rasters."""

import cv2
import numpy as np
from jaxtyping import Float64, UInt8

Points = Float64[np.ndarray, "_ 2"]


STEP = 2.0  # metres between points of a road


def spline(nodes: Points, step: float = STEP) -> Points:
    """Catmull-Rom curve through the nodes, resampled evenly."""
    padded = np.concatenate([2 * nodes[:1] - nodes[1:2], nodes, 2 * nodes[-1:] - nodes[-2:-1]])
    t = np.linspace(0, 1, 24, endpoint=False)[:, None]
    parts = []
    for a, b, c, d in zip(padded, padded[1:], padded[2:], padded[3:], strict=False):
        parts.append(0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - 3 * c + d - a) * t**3))
    return resample(np.concatenate([*parts, nodes[-1:]]), step)


def resample(points: Points, step: float) -> Points:
    """Points every `step` metres along a polyline (both ends kept)."""
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))])
    stops = np.linspace(0.0, along[-1], max(2, int(along[-1] / step) + 1))
    return np.stack([np.interp(stops, along, points[:, 0]), np.interp(stops, along, points[:, 1])], axis=1)


def polyline_mask(lines: list[tuple[Points, float]], width_m: float, height_m: float) -> UInt8[np.ndarray, "h w"]:
    """One-metre raster that is 1 within half the given width of any of the lines."""
    mask = np.zeros((int(height_m), int(width_m)), np.uint8)
    for points, width in lines:
        cv2.polylines(mask, [np.round(points * 16).astype(np.int32)], False, 1, max(1, round(width)), shift=4)
    return mask
