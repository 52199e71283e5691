"""Put what a photo covers onto the model's panorama: columns linear in azimuth, rows linear in elevation.

Convention: the canvas spans 360 degrees. North is its centre where the heading is known, south its left edge; where
it is unknown the middle of the photo stands in the centre. Edges, not pixel centres, carry the angles, as in resizing.
"""

import math
from typing import NamedTuple, assert_never

import cv2
import numpy as np
from jaxtyping import Bool, Float32, UInt8

from aenet.card import ViewSpec
from aenet.data.views import ground_view
from aenet.images import resize
from aenet.serving.photos.coverage import Coverage, Lens, Strip, Whole

FILL = (124, 116, 104)  # ImageNet's mean colour: zero once normalised
_FINER = 4  # times finer than the canvas, then averaged
_SAME = 0.01  # of the vertical field: cameras round
_FAR = 8.0  # widths or heights beside the photo: outside, and small enough for remap's integers


class Placed(NamedTuple):
    """A photo on the canvas.

    Attributes:
        pixels: RGB, [H, W, 3]; what the photo does not show has the colour FILL.
        start_deg: first covered azimuth, degrees clockwise from the canvas's left edge, in [0, 360).
        width_deg: covered azimuth, (0, 360]; start + width beyond 360 goes on at the left edge.
        heading_deg: true azimuth of the middle of what the photo shows, None where it is unknown: then every roll
            of the canvas is possible.
    """

    pixels: UInt8[np.ndarray, "h w 3"]
    start_deg: float
    width_deg: float
    heading_deg: float | None

    @property
    def columns(self) -> Bool[np.ndarray, " w"]:
        """True for the columns whose centre is covered."""
        width = self.pixels.shape[1]
        return np.asarray(((np.arange(width) + 0.5) * 360 / width - self.start_deg) % 360 < self.width_deg)


def vertical_span(spec: ViewSpec, vertical_deg: float | None = None) -> tuple[float, float, bool]:
    """Return (top, bottom, known): the elevations in degrees that the model's ground view spans.

    `vertical_deg` says it, symmetric about the horizon. Else, where the view counts rows in panoramas of a known
    size, pixels are taken to be as wide as high and the horizon to be in the middle: CVACT's rows 208:624 of
    832 x 1664 are +-45 degrees. Else the same is assumed of the view itself, `known` is False, and a photo is put
    at the wrong elevation where training squeezed its panoramas: the town's 64 x 256 of 128 x 512 are right
    (+-45 degrees), CVUSA's 128 x 512 of 224 x 1232 are not (+-33 degrees): say vertical_deg 65.5 there.
    """
    if vertical_deg is not None:
        return vertical_deg / 2, -vertical_deg / 2, True
    if spec.ground_rows is None or spec.ground_size is None:
        half = min(90.0, 180 * spec.height / spec.width)
        return half, -half, False
    height, width = spec.ground_size
    per_row = 360 / width
    return (height / 2 - spec.ground_rows[0]) * per_row, (height / 2 - spec.ground_rows[1]) * per_row, True


def place(
    pixels: UInt8[np.ndarray, "h w 3"],
    covers: Coverage,
    spec: ViewSpec,
    heading_deg: float | None = None,
    vertical_deg: float | None = None,
) -> Placed:
    """Return a photo on the model's canvas.

    Args:
        pixels: upright RGB pixels.
        covers: what they cover.
        spec: the model's view.
        heading_deg: true heading of the photo's (a cropped panorama's whole's) centre column; None: unknown.
        vertical_deg: see `vertical_span`. Whole panoramas are cut to it only where it is given; otherwise they are
            taken to be of the training panoramas' kind, as `ground_view` takes them.

    Raises:
        AenetError: rows are to be kept, and a panorama has another shape than the one they count in.
    """
    match covers:
        case Whole():
            height, width = pixels.shape[:2]
            own = min(180.0, 360 * height / width)
            if vertical_deg is None or abs(own / vertical_deg - 1) < _SAME:
                whole = ground_view(pixels, spec, heading_deg or 0.0)
                return Placed(whole, 0.0, 360.0, heading_deg)
            return place(pixels, Strip(360.0, 0.0, own / 2, -own / 2), spec, heading_deg, vertical_deg)
        case Strip():
            middle = None if heading_deg is None else (heading_deg + covers.centre_deg) % 360
            width_deg = covers.width_deg
        case Lens():
            middle, width_deg = heading_deg, covers.fov_deg
        case _:
            assert_never(covers)
    centre = 180.0 if middle is None else (middle + 180) % 360  # from the left edge
    top, bottom, _ = vertical_span(spec, vertical_deg)
    placed = Placed(np.empty((spec.height, spec.width, 3), np.uint8), (centre - width_deg / 2) % 360, width_deg, middle)
    placed.pixels[:] = _render(pixels, covers, spec, centre, (top, bottom))
    placed.pixels[:, ~placed.columns] = FILL
    return placed


def _render(
    pixels: UInt8[np.ndarray, "h w 3"],
    covers: Strip | Lens,
    spec: ViewSpec,
    centre_deg: float,
    span: tuple[float, float],
) -> UInt8[np.ndarray, "h2 w2 3"]:
    """The canvas, sampled finer than its own grid and averaged; rows the photo does not reach get FILL."""
    size = pixels.shape[0], pixels.shape[1]
    pixels = _thinned(pixels, covers, spec, span)
    u, v = _look_up(covers, _grid(spec, centre_deg, span, _FINER), size)
    x, y = u * np.float32(pixels.shape[1]) - np.float32(0.5), v * np.float32(pixels.shape[0]) - np.float32(0.5)
    fine = cv2.remap(pixels, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    canvas = resize(np.asarray(fine, dtype=np.uint8), spec.height, spec.width)
    u, v = _look_up(covers, _grid(spec, centre_deg, span, 1), size)
    canvas[~((u >= 0) & (u <= 1) & (v >= 0) & (v <= 1))] = FILL
    return canvas


def _grid(
    spec: ViewSpec, centre_deg: float, span: tuple[float, float], finer: int
) -> tuple[Float32[np.ndarray, "1 w"], Float32[np.ndarray, "h 1"]]:
    """Azimuth from the photo's middle in [-180, 180) and elevation of every pixel centre, radians."""
    width, height = spec.width * finer, spec.height * finer
    azimuth = ((np.arange(width) + 0.5) * 360 / width - centre_deg + 180) % 360 - 180
    elevation = span[0] + (np.arange(height) + 0.5) / height * (span[1] - span[0])
    return np.radians(azimuth, dtype=np.float32)[None], np.radians(elevation, dtype=np.float32)[:, None]


def _look_up(
    covers: Strip | Lens,
    grid: tuple[Float32[np.ndarray, "1 w"], Float32[np.ndarray, "h 1"]],
    size: tuple[int, int],
) -> tuple[Float32[np.ndarray, "h w"], Float32[np.ndarray, "h w"]]:
    """Where in the photo (of `size` height, width) each direction is seen: 0 to 1 from the left and from the top."""
    azimuth, elevation = grid
    if isinstance(covers, Strip):
        u = np.degrees(azimuth) / covers.width_deg + 0.5
        v = (covers.top_deg - np.degrees(elevation)) / (covers.top_deg - covers.bottom_deg)
    else:
        focal = 0.5 / math.tan(math.radians(covers.fov_deg) / 2)  # in widths
        ahead = np.cos(azimuth)
        # Behind the camera nothing is seen; at right angles to it the plane is infinitely far.
        u = np.where(ahead > 1e-3, focal * np.tan(azimuth) + 0.5, -_FAR)
        v = 0.5 - size[1] / size[0] * focal * np.tan(np.clip(elevation, -1.57, 1.57)) / np.maximum(ahead, 1e-3)
    u, v = np.broadcast_arrays(np.clip(u, -_FAR, _FAR), np.clip(v, -_FAR, _FAR))
    return u.astype(np.float32), v.astype(np.float32)


def _thinned(
    pixels: UInt8[np.ndarray, "h w 3"], covers: Strip | Lens, spec: ViewSpec, span: tuple[float, float]
) -> UInt8[np.ndarray, "h2 w2 3"]:
    """Average a photo down to the fine grid's density: sampling it sparsely would pick noise."""
    height, width = pixels.shape[:2]
    dense = _FINER * spec.width / 360, _FINER * spec.height / (span[0] - span[1])  # fine pixels a degree
    if isinstance(covers, Strip):
        own = width / covers.width_deg, height / (covers.top_deg - covers.bottom_deg)
    else:
        own = (math.radians(width / 2 / math.tan(math.radians(covers.fov_deg) / 2)),) * 2
    target = [max(2, round(side * min(1.0, d / o))) for side, d, o in zip((width, height), dense, own, strict=True)]
    return resize(pixels, target[1], target[0])
