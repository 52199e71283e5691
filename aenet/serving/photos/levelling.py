"""Level what a tilted camera saw; tell a camera's own two fisheye circles from a panorama.

Convention: a level camera looks at azimuth 0, elevation 0; azimuths grow clockwise (to the right), elevations upwards.
Pitch lifts its axis above the horizon; roll then turns it clockwise about that axis, as seen from behind it, so that
the horizon turns counterclockwise in the picture. That is how both Photo Sphere XMP Metadata
(https://developers.google.com/streetview/spherical-metadata, PosePitchDegrees and PoseRollDegrees) and DJI's gimbals
(axes north, east, down, turned about z, then y, then x; Mavic 3M user manual,
https://www.easymanua.ls/dji/mavic-3m/manual?p=89) count.
"""

import math

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from aenet.serving.photos.metadata.pose import Tilt
from aenet.view.images import resize


def in_camera(
    azimuth: Float[np.ndarray, "#h #w"], elevation: Float[np.ndarray, "#h #w"], tilt: Tilt
) -> tuple[Float[np.ndarray, "h w"], Float[np.ndarray, "h w"]]:
    """Return where directions of the level world lie for a tilted camera, in radians from its own axis and horizon."""
    pitch, roll = math.radians(tilt.pitch_deg), math.radians(tilt.roll_deg)
    flat = np.cos(elevation)
    right, ahead, up = flat * np.sin(azimuth), flat * np.cos(azimuth), np.sin(elevation)
    ahead, up = math.cos(pitch) * ahead + math.sin(pitch) * up, math.cos(pitch) * up - math.sin(pitch) * ahead
    right, up = math.cos(roll) * right - math.sin(roll) * up, math.sin(roll) * right + math.cos(roll) * up
    return np.arctan2(right, ahead), np.arcsin(np.clip(up, -1, 1))


def level_sphere(pixels: UInt8[np.ndarray, "h w 3"], tilt: Tilt, width: int) -> UInt8[np.ndarray, "h2 w2 3"]:
    """Return a whole sphere (2:1, equirectangular) as a level camera would have taken it at the same place and heading.

    Args:
        pixels: RGB.
        tilt: how it was taken.
        width: pixels that are enough: a wider one is averaged to that first.
    """
    width = min(width, pixels.shape[1])
    height = max(2, round(width / 2))
    pixels = resize(pixels, height, width)
    azimuth = (((np.arange(width) + 0.5) / width - 0.5) * 2 * np.pi).astype(np.float32)[None]
    elevation = ((0.5 - (np.arange(height) + 0.5) / height) * np.pi).astype(np.float32)[:, None]
    azimuth, elevation = in_camera(azimuth, elevation, tilt)
    x = (azimuth / (2 * np.pi) + 0.5) * width - 0.5
    y = (0.5 - elevation / np.pi) * height - 0.5
    round_ = np.concatenate([pixels[:, -1:], pixels, pixels[:, :1]], axis=1)  # the seam is no edge
    levelled = cv2.remap(
        round_, x.astype(np.float32) + 1, y.astype(np.float32), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(levelled, dtype=np.uint8)


# Tell a 360-degree camera's own picture, two fisheye circles side by side, from a panorama of the same shape.

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
