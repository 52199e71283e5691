"""The polar view: a north-up satellite tile becomes a pseudo-panorama.

Convention (SAFA, Shi et al. 2019; every published number on CVUSA and CVACT uses it). For output row i of h,
column j of w and a square tile of side S:

    row(i, j) = S/2 + (S/2/h) (h - 1 - i) cos(2 pi j / w)
    col(i, j) = S/2 - (S/2/h) (h - 1 - i) sin(2 pi j / w)

so column 0 looks South, w/4 West, **w/2 (the centre) North**, 3w/4 East; the top row is the tile's edge, the
bottom row its centre. There is no half-pixel offset. Ground panoramas are north-centred in the same way.
"""

from collections.abc import Iterable, Iterator
from functools import lru_cache

import numpy as np
from jaxtyping import Float32, Float64, Int16, UInt8

# CVACT's tiles, the finest that the formula was published for, have so many pixels to a row of their views.
_PX_PER_ROW = 1200 / 256

Tap = tuple[Int16[np.ndarray, "h2 w2 2"], Float32[np.ndarray, "h2 w2 3"]]
"""One of the pixels that count for each sample, as (column, row), and its weight per channel."""


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


def averaged_px(tile_px: int, height: int) -> int:
    """Return the side, in pixels of the tile, of the square that each sample of its polar view is the mean of.

    1 up to 7 pixels of the tile to a row of the view (`tile_px / 2 / height`): there the published formula holds
    unchanged, which samples bilinearly and averages nothing (CVUSA has 2.9 to a row of 128, CVACT 4.7). Finer tiles
    would only alias: their samples are means over so many pixels that no row has more than 7 of such squares.
    """
    return max(1, round(tile_px / 2 / height / _PX_PER_ROW))


def gather(
    pixels: UInt8[np.ndarray, "h w 3"],
    taps: Iterable[Tap],
) -> UInt8[np.ndarray, "h2 w2 3"]:
    """Return the sum of weighted pixels, rounded; beyond the edges the last ones are repeated.

    OpenCV's own bilinear sampling knows fractions of 1/32 pixel only: up to 1 grey level off on smooth tiles, 8 on a
    checkerboard, and differently in OpenCV 5. Its nearest-neighbour mode copies pixels, so that is what it does here.
    """
    import cv2  # lazily: the command line reads cards, and they say how views are made

    total = np.zeros((), np.float32)
    for place, weight in taps:
        tap = cv2.remap(pixels, place, None, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
        total = total + cv2.multiply(tap, weight, dtype=cv2.CV_32F)
    return np.rint(total).astype(np.uint8)


def taps(
    x: Float64[np.ndarray, "h w"], y: Float64[np.ndarray, "h w"], averaged: tuple[int, int] = (1, 1)
) -> Iterator[Tap]:
    """Yield what `gather` takes: (column, row) of each pixel that counts for a sample, and its weight per channel.

    Args:
        x, y: column and row of each sample, whole numbers being pixels' centres.
        averaged: rows and columns of the area, in pixels, whose mean a sample is; with (1, 1) the four neighbours
            have their bilinear weights.
    """
    (first_y, rows), (first_x, columns) = _along(y, averaged[0]), _along(x, averaged[1])
    for dy, weight_y in enumerate(rows):
        for dx, weight_x in enumerate(columns):
            place = np.stack([first_x + dx, first_y + dy], axis=-1).astype(np.int16)
            weight = (weight_y * weight_x).astype(np.float32)
            yield place, np.repeat(weight[..., None], 3, axis=2)


def _along(
    at: Float64[np.ndarray, "h w"], averaged: int
) -> tuple[Float64[np.ndarray, "h w"], list[Float64[np.ndarray, "h w"]]]:
    """Return the first pixel that counts along one axis, and the weights of it and of the `averaged` next."""
    # Rounding must not tip a whole number to the pixel before it: its weight there is nothing anyway.
    start = np.round(at - (averaged - 1) / 2, 6)
    first = np.floor(start)
    rest, inner = (start - first) / averaged, np.full(at.shape, 1 / averaged)
    return first, [1 / averaged - rest, *[inner] * (averaged - 1), rest]


def polar_transform(tile: UInt8[np.ndarray, "s s 3"], height: int, width: int) -> UInt8[np.ndarray, "height width 3"]:
    """Return the polar view (height x width) of a square north-up tile, bilinearly sampled and rounded.

    Each value is within half a grey level of the formula, where the tile is not so fine that `averaged_px` asks for
    means. Samples leave the tile only where height > tile_px / 2 rounds past the last pixel.
    """
    side = averaged_px(tile.shape[0], height)
    return gather(tile, taps(*sampling_maps(height, width, tile.shape[0]), (side, side)))
