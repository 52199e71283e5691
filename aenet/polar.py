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
from jaxtyping import Float32, UInt8


@lru_cache(maxsize=8)
def sampling_maps(
    height: int, width: int, tile_px: int
) -> tuple[Float32[np.ndarray, "h w"], Float32[np.ndarray, "h w"]]:
    """Return (map_x, map_y): the tile column and row, in pixels, that each output pixel samples."""
    radius = tile_px / 2 / height * (height - 1 - np.arange(height, dtype=np.float64))[:, None]
    angle = 2 * np.pi * np.arange(width, dtype=np.float64)[None, :] / width
    map_x = (tile_px / 2 - radius * np.sin(angle)).astype(np.float32)
    map_y = (tile_px / 2 + radius * np.cos(angle)).astype(np.float32)
    map_x.flags.writeable = map_y.flags.writeable = False
    return map_x, map_y


def polar_transform(tile: UInt8[np.ndarray, "s s 3"], height: int, width: int) -> UInt8[np.ndarray, "height width 3"]:
    """Return the polar view (height x width) of a square north-up tile, bilinearly sampled."""
    map_x, map_y = sampling_maps(height, width, tile.shape[0])
    # Taps leave the tile only where height > tile_px / 2 rounds past the last pixel: repeat the border there.
    view = cv2.remap(tile, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(view, dtype=np.uint8)
