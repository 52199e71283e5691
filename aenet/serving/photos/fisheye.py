"""Tell a 360-degree camera's own picture, two fisheye circles side by side, from a panorama of the same shape."""

import cv2
import numpy as np
from jaxtyping import UInt8

_SIDE = 64  # pixels a circle is looked at
_SAME_SHAPE = 0.05
_DARK, _LIT = 24, 48  # grey levels: the lens's rim, and what a picture shows of the world
_SECTORS = 8


def is_dual_fisheye(pixels: UInt8[np.ndarray, "h w 3"]) -> bool:
    """True if a picture of shape 2:1 is two lit circles in black squares.

    Such a picture is not equirectangular: its columns are no azimuths. Black are the corners outside both circles,
    lit is a ring inside each, all round (one sector may be dark): neither is true of a panorama, whose corners are sky
    and ground, nor of one whose upper and lower rows are black, nor of one taken at night.
    """
    height, width = pixels.shape[:2]
    if abs(width / (2 * height) - 1) > _SAME_SHAPE:
        return False
    grey = cv2.cvtColor(cv2.resize(pixels, (2 * _SIDE, _SIDE), interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
    y, x = (np.mgrid[:_SIDE, :_SIDE] + 0.5) / _SIDE * 2 - 1
    radius, sector = np.hypot(x, y), np.floor((np.arctan2(y, x) / np.pi + 1) / 2 * _SECTORS) % _SECTORS
    ring = (radius > 0.6) & (radius < 0.85)
    for circle in (grey[:, :_SIDE], grey[:, _SIDE:]):
        if np.quantile(circle[radius > 1.12], 0.9) > _DARK:
            return False
        lit = [circle[ring & (sector == number)].mean() > _LIT for number in range(_SECTORS)]
        if sum(lit) < _SECTORS - 1:
            return False
    return True
