"""View transformation: a north-up satellite tile becomes a pseudo-panorama.

Convention (SAFA, Shi et al. 2019; every published number on CVUSA and CVACT uses it). For output row i of h,
column j of w and a square tile of side S:

    row(i, j) = S/2 + (S/2/h) (h - 1 - i) cos(2 pi j / w)
    col(i, j) = S/2 - (S/2/h) (h - 1 - i) sin(2 pi j / w)

so column 0 looks South, w/4 West, **w/2 (the centre) North**, 3w/4 East; the top row is the tile's edge, the
bottom row its centre. There is no half-pixel offset. Ground panoramas are north-centred in the same way.
"""

from functools import lru_cache

import cv2
import numpy as np
from jaxtyping import Float32, Float64, Int16, UInt8


@lru_cache(maxsize=8)
def sampling_maps(
    height: int, width: int, tile_px: int
) -> tuple[Float64[np.ndarray, "h w"], Float64[np.ndarray, "h w"]]:
    """Return (map_x, map_y): the tile column and row, in pixels, that each output pixel samples."""
    radius = tile_px / 2 / height * (height - 1 - np.arange(height, dtype=np.float64))[:, None]
    angle = 2 * np.pi * np.arange(width, dtype=np.float64)[None, :] / width
    map_x = tile_px / 2 - radius * np.sin(angle)
    map_y = tile_px / 2 + radius * np.cos(angle)
    map_x.flags.writeable = map_y.flags.writeable = False
    return map_x, map_y


@lru_cache(maxsize=8)
def _taps(
    height: int, width: int, tile_px: int
) -> list[tuple[Int16[np.ndarray, "h w 2"], Float32[np.ndarray, "h w 3"]]]:
    """Return the four neighbours of each sample: their (column, row) and their bilinear weight per channel."""
    map_x, map_y = sampling_maps(height, width, tile_px)
    x0, y0 = np.floor(map_x), np.floor(map_y)
    taps = []
    for dy in (0, 1):
        for dx in (0, 1):
            weight = np.abs(1 - dx - (map_x - x0)) * np.abs(1 - dy - (map_y - y0))
            place = np.stack([x0 + dx, y0 + dy], axis=-1).astype(np.int16)
            taps.append((place, np.repeat(weight.astype(np.float32)[..., None], 3, axis=2)))
    return taps


def polar_transform(tile: UInt8[np.ndarray, "s s 3"], height: int, width: int) -> UInt8[np.ndarray, "height width 3"]:
    """Return the polar view (height x width) of a square north-up tile, bilinearly sampled and rounded.

    Each value is within half a grey level of the formula. `cv2.remap` with INTER_LINEAR is twice as fast, but knows
    fractions of 1/32 pixel only: up to 1 grey level off on smooth tiles, 8 on a checkerboard, and differently in
    OpenCV 5. Its nearest-neighbour mode copies pixels, so that is what it does here.
    """
    total = np.zeros((height, width, 3), np.float32)
    for place, weight in _taps(height, width, tile.shape[0]):
        # Taps leave the tile only where height > tile_px / 2 rounds past the last pixel: repeat the border there.
        tap = cv2.remap(tile, place, None, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
        total += cv2.multiply(tap, weight, dtype=cv2.CV_32F)
    return np.rint(total).astype(np.uint8)
