"""Level what a tilted camera saw.

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

from aenet.images import resize
from aenet.serving.photos.pose import Tilt


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
