"""Pictures of whole maps, much reduced."""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, UInt8

from aenet.serving.maps.mosaic import Mosaic
from aenet.serving.maps.tiletree import TileTree

Canvas = Mosaic | TileTree
_BAND_BYTES = 128 << 20  # of raster in memory at once
_NEARLY = 4  # grey levels by which compression moves black and white


@dataclass(frozen=True)
class Overview:
    """A picture of a map: RGB pixels, edges [left, bottom, right, top] in its coordinate system `crs` (WKT).

    `collars` are the shares of the map that are black and white from its edges inwards, though it calls them map.
    """

    pixels: UInt8[np.ndarray, "h w 3"]
    edges: tuple[float, float, float, float]
    crs: str
    collars: tuple[float, float] = (0.0, 0.0)


def overview(canvas: Canvas, max_px: int) -> Overview:
    """Return the whole canvas reduced to at most `max_px` a side, read in bands of bounded size."""
    frame = canvas.frame
    factor = max(1, -(-max(frame.height, frame.width) // max_px))
    band = factor * max(1, _BAND_BYTES // (4 * frame.width * factor))
    parts = [
        canvas.read((top, 0, min(band, frame.height - top), frame.width), (factor, factor))
        for top in range(0, frame.height, band)
    ]
    pixels, valid = (np.concatenate([part[i] for part in parts]) for i in (0, 1))
    # The last row and column may reach beyond the frame: the picture's edges are those of whole blocks.
    right = frame.left + pixels.shape[1] * factor * frame.pixel_width
    bottom = frame.top - pixels.shape[0] * factor * frame.pixel_height
    collars = _collar(pixels.max(axis=-1) <= _NEARLY, valid), _collar(pixels.min(axis=-1) >= 255 - _NEARLY, valid)
    return Overview(pixels, (frame.left, bottom, right, frame.top), frame.crs, collars)


def _collar(like: Bool[np.ndarray, "h w"], valid: Bool[np.ndarray, "h w"]) -> float:
    """Which share of a map is of one colour from the map's edges inwards."""
    empty = np.pad(~valid, 1, constant_values=True)
    _, labels = cv2.connectedComponents((empty | np.pad(like, 1)).astype(np.uint8), connectivity=4)
    outside = np.isin(labels, np.unique(labels[empty])) & ~empty
    return float(outside.sum() / max(valid.sum(), 1))
