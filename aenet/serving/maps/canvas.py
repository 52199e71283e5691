"""What a map is to a gallery, be it one file, a mosaic of many or a tree of tiles: pixels on one north-up frame.

Such a canvas (`mosaic.Mosaic`, `tiletree.TileTree`) has

    kind        `raster` or `xyz`
    path        where it comes from
    frame       where its pixels lie
    credit      who is to be named, as the files say; None where they are silent
    notes       what is to be said of it: what was guessed, taken from beside it or left aside
    digest      changes when the pixels may have changed
    spans(top, bottom)    the columns [left, right) that have files between two rows, apart and in order
    read(box, factors)    the pixels of a box, reduced by averaging `factors` of them. Top and left must be multiples
                          of the factors, and so must height and width unless the box ends with the frame; the result
                          has ceil(height / factor) rows. AenetError where a file is damaged.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, UInt8
from pyproj import CRS, Transformer

from aenet.io.errors import AenetError

PixelBox = tuple[int, int, int, int]  # top, left, height, width in pixels
Factors = tuple[int, int]  # pixels of the frame to one that is read, down and across
MaskedPixels = tuple[UInt8[np.ndarray, "h w 3"], Bool[np.ndarray, "h w"]]
"""RGB pixels, and where there is a map at all; elsewhere the pixels are black."""


@dataclass(frozen=True)
class Frame:
    """A north-up grid of pixels in the coordinate system `crs` (WKT, without heights); edges and pixels in its units.

    A map across 180 degrees goes on beyond the system's end: see `longitudes`.
    """

    crs: str
    left: float
    top: float
    pixel_width: float
    pixel_height: float
    height: int
    width: int

    @property
    def right(self) -> float:
        """The eastern edge."""
        return self.left + self.width * self.pixel_width

    @property
    def bottom(self) -> float:
        """The southern edge."""
        return self.top - self.height * self.pixel_height


def average(
    pixels: UInt8[np.ndarray, "h w 3"], valid: Bool[np.ndarray, "h w"], factors: Factors
) -> tuple[UInt8[np.ndarray, "h2 w2 3"], Bool[np.ndarray, "h2 w2"]]:
    """Reduce by averaging blocks of `factors` pixels; invalid ones count nothing, sides are padded with such."""
    if factors == (1, 1):
        return pixels, valid
    (down, across), (height, width) = factors, valid.shape
    pad = ((0, -height % down), (0, -width % across))
    weight = np.pad(valid, pad).astype(np.float32)
    weighted = np.pad(pixels, (*pad, (0, 0))) * weight[..., None]
    rows, columns = weight.shape[0] // down, weight.shape[1] // across
    count = weight.reshape(rows, down, columns, across).sum(axis=(1, 3))
    total = weighted.reshape(rows, down, columns, across, 3).sum(axis=(1, 3))
    return np.rint(total / np.maximum(count, 1)[..., None]).astype(np.uint8), count > 0


def merge_spans(spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return intervals joined where they touch, in order."""
    joined: list[tuple[int, int]] = []
    for left, right in sorted(spans):
        if joined and left <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(right, joined[-1][1]))
        else:
            joined.append((left, right))
    return joined


def check_corners(frame: Frame, path: Path) -> None:
    """Refuse a frame whose corners are no places.

    Raises:
        AenetError: coordinates that do not fit the coordinate system.
    """
    crs = CRS.from_wkt(frame.crs)
    to_wgs84 = Transformer.from_crs(crs, CRS.from_epsg(4326), always_xy=True)
    for x, y in ((frame.left, frame.top), (frame.right, frame.bottom)):
        longitude, latitude = to_wgs84.transform(x, y)
        if not (np.isfinite([longitude, latitude]).all() and abs(latitude) <= 90.001 and abs(longitude) <= 360):
            raise AenetError(
                f"{path} has a corner at ({x:g}, {y:g}), which is no place on Earth in its coordinate system "
                f"({crs.name}): one of the two is wrong; assign the right system with `gdal_edit.py -a_srs EPSG:...`"
            )
