"""Pictures of whole maps, much reduced."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8

from aenet.serving.maps.mosaic import Mosaic
from aenet.serving.maps.tiletree import TileTree

Canvas = Mosaic | TileTree
_BAND_BYTES = 128 << 20  # of raster in memory at once


@dataclass(frozen=True)
class Overview:
    """A picture of a map: RGB pixels, edges [left, bottom, right, top] in its coordinate system `crs` (WKT)."""

    pixels: UInt8[np.ndarray, "h w 3"]
    edges: tuple[float, float, float, float]
    crs: str


def overview(canvas: Canvas, max_px: int) -> Overview:
    """Return the whole canvas reduced to at most `max_px` a side, read in bands of bounded size."""
    frame = canvas.frame
    factor = max(1, -(-max(frame.height, frame.width) // max_px))
    band = factor * max(1, _BAND_BYTES // (4 * frame.width * factor))
    parts = [
        canvas.read((top, 0, min(band, frame.height - top), frame.width), (factor, factor))[0]
        for top in range(0, frame.height, band)
    ]
    pixels = np.concatenate(parts)
    # The last row and column may reach beyond the frame: the picture's edges are those of whole blocks.
    right = frame.left + pixels.shape[1] * factor * frame.pixel_width
    bottom = frame.top - pixels.shape[0] * factor * frame.pixel_height
    return Overview(pixels, (frame.left, bottom, right, frame.top), frame.crs)
