"""Put what a photo covers onto the model's panorama: columns linear in azimuth, rows linear in elevation.

Convention: the canvas spans 360 degrees. North is its centre where the heading is known, south its left edge; where
it is unknown the middle of the photo stands in the centre. Edges, not pixel centres, carry the angles, as in resizing.
"""

import math
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, Float32, UInt8

from aenet.data.views import ground_view
from aenet.io.errors import AenetError
from aenet.serving.photos.coverage import Coverage, Lens, Strip, Whole
from aenet.serving.photos.levelling import in_camera
from aenet.serving.photos.metadata.pose import Tilt
from aenet.view.fieldofview import paint
from aenet.view.images import resize
from aenet.view.spec import NEUTRAL, Unseen, ViewSpec

_FINER = 4  # times finer than the canvas, then averaged
_SAME = 0.01  # of the vertical field: cameras round
_FAR = 8.0  # widths or heights beside the photo: outside, and small enough for remap's integers


class Placed(NamedTuple):
    """A photo on the canvas.

    Attributes:
        pixels: RGB, [H, W, 3]; what the photo does not show is painted (`view.spec.Unseen`).
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
    view = spec.ground
    if view.rows is None or view.panorama_size is None:
        half = min(90.0, 180 * view.height / view.width)
        return half, -half, False
    height, width = view.panorama_size
    per_row = 360 / width
    return (height / 2 - view.rows[0]) * per_row, (height / 2 - view.rows[1]) * per_row, True


def place(
    pixels: UInt8[np.ndarray, "h w 3"],
    covers: Coverage,
    spec: ViewSpec,
    heading_deg: float | None = None,
    vertical_deg: float | None = None,
    unseen: Unseen = NEUTRAL,
    tilt: Tilt | None = None,
) -> Placed:
    """Return a photo on the model's canvas.

    Args:
        pixels: upright RGB pixels.
        covers: what they cover.
        spec: the model's view.
        heading_deg: true heading of the photo's (a cropped panorama's whole's) centre column; None: unknown.
        vertical_deg: see `vertical_span`. Whole panoramas are cut to it only where it is given; otherwise they are
            taken to be of the training panoramas' kind, as `ground_view` takes them.
        unseen: how the canvas is completed where the photo does not reach, by columns and by rows.
        tilt: how the camera was held, of which the canvas is freed; None: level.

    Raises:
        AenetError: rows are to be kept, and a panorama has another shape than the one they count in; or nothing of the
            view is shown.
    """
    if isinstance(covers, Whole):
        height, width = pixels.shape[:2]
        own = min(180.0, 360 * height / width)
        if tilt is None and (vertical_deg is None or abs(own / vertical_deg - 1) < _SAME):
            return Placed(ground_view(pixels, spec, heading_deg or 0.0), 0.0, 360.0, heading_deg)
        covers = Strip(360.0, 0.0, own / 2, -own / 2)
    if isinstance(covers, Strip):
        middle = None if heading_deg is None else (heading_deg + covers.centre_deg) % 360
        width_deg = covers.width_deg
    else:
        middle, width_deg = heading_deg, covers.fov_deg
    centre = 180.0 if middle is None else (middle + 180) % 360  # from the left edge
    top, bottom, _ = vertical_span(spec, vertical_deg)
    if tilt is not None or isinstance(covers, Lens):
        canvas, seen = _sampled(pixels, covers, spec, centre, (top, bottom), tilt)
    else:
        canvas, seen = _of_strip(pixels, covers, spec, centre, (top, bottom))
    start = (centre - width_deg / 2) % 360
    if tilt is not None and seen.any():
        start, width_deg = _extent(np.asarray(seen.any(axis=0)))
    placed = Placed(canvas, start, width_deg, middle)
    seen &= placed.columns
    if not seen.any():
        raise AenetError(
            f"shows nothing of the model's view: it covers {width_deg:.3g} degrees of azimuth, a column of the view is "
            f"{360 / spec.ground.width:.3g} wide and reaches from {bottom:.3g} to {top:.3g} degrees of elevation"
        )
    return placed._replace(pixels=paint(canvas[None], seen[None], unseen)[0])


_Canvas = tuple[UInt8[np.ndarray, "height width 3"], Bool[np.ndarray, "height width"]]
"""A canvas, and where the photo reaches it; elsewhere the photo's edge is repeated."""


def _of_strip(
    pixels: UInt8[np.ndarray, "h w 3"], covers: Strip, spec: ViewSpec, centre_deg: float, span: tuple[float, float]
) -> _Canvas:
    """A strip laid on the panorama it is part of, to whole pixels, and that resized as training resizes panoramas."""
    own = pixels.shape[1] / covers.width_deg, pixels.shape[0] / (covers.top_deg - covers.bottom_deg)
    if max(side / dense for side, dense in zip(own, _density(spec, span), strict=True)) > 2 * _FINER:
        pixels = _thinned(pixels, own, spec, span)  # the panorama would be much larger than is of any use
    height, width = pixels.shape[:2]
    whole = max(width, round(width * 360 / covers.width_deg))
    across = (np.arange(whole) - round((centre_deg - covers.width_deg / 2) / 360 * whole)) % whole
    across = np.where(across < width, across, np.where(across - width < (whole - width) / 2, width - 1, 0))
    a_degree = height / (covers.top_deg - covers.bottom_deg)
    rows = max(1, round((span[0] - span[1]) * a_degree))
    down = np.clip(np.arange(rows) - round((span[0] - covers.top_deg) * a_degree), 0, height - 1)
    canvas = resize(np.ascontiguousarray(pixels[down][:, across]), spec.ground.height, spec.ground.width)
    elevation = np.degrees(_grid(spec, centre_deg, span, 1)[1])
    reached = (elevation < covers.top_deg) & (elevation > covers.bottom_deg)
    return canvas, np.broadcast_to(reached, canvas.shape[:2]).copy()


def _sampled(
    pixels: UInt8[np.ndarray, "h w 3"],
    covers: Strip | Lens,
    spec: ViewSpec,
    centre_deg: float,
    span: tuple[float, float],
    tilt: Tilt | None,
) -> _Canvas:
    """What a lens or a tilted camera sees, sampled finer than the canvas's own grid and averaged."""
    height, width = pixels.shape[:2]
    if isinstance(covers, Strip):
        own = width / covers.width_deg, height / (covers.top_deg - covers.bottom_deg)
        centre_deg -= covers.centre_deg  # a pose counts for the middle of the whole panorama
    else:
        own = (math.radians(width / 2 / math.tan(math.radians(covers.fov_deg) / 2)),) * 2  # in the middle
    pixels = _thinned(pixels, own, spec, span)

    def where(finer: int) -> tuple[Float32[np.ndarray, "h w"], Float32[np.ndarray, "h w"]]:
        azimuth, elevation = _grid(spec, centre_deg, span, finer)
        if tilt is not None:
            azimuth, elevation = in_camera(azimuth, elevation, tilt)
        return _look_up(covers, (azimuth, elevation), height / width)

    u, v = where(_FINER)
    x, y = u * np.float32(pixels.shape[1]) - np.float32(0.5), v * np.float32(pixels.shape[0]) - np.float32(0.5)
    fine = cv2.remap(pixels, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    u, v = where(1)
    reached = (u >= 0) & (u <= 1) & (v >= 0) & (v <= 1)
    return resize(np.asarray(fine, dtype=np.uint8), spec.ground.height, spec.ground.width), reached


def _extent(columns: Bool[np.ndarray, " w"]) -> tuple[float, float]:
    """Return (start, width) in degrees of the shortest run round the circle that holds all columns that are seen."""
    seen, count = np.flatnonzero(columns), len(columns)
    gaps = np.diff(seen, append=seen[0] + count)
    after = int(gaps.argmax())
    first, length = int(seen[(after + 1) % len(seen)]), count + 1 - int(gaps[after])
    return first * 360 / count, length * 360 / count


def _grid(
    spec: ViewSpec, centre_deg: float, span: tuple[float, float], finer: int
) -> tuple[Float32[np.ndarray, "1 w"], Float32[np.ndarray, "h 1"]]:
    """Azimuth from the photo's middle in [-180, 180) and elevation of every pixel centre, radians."""
    width, height = spec.ground.width * finer, spec.ground.height * finer
    azimuth = ((np.arange(width) + 0.5) * 360 / width - centre_deg + 180) % 360 - 180
    elevation = span[0] + (np.arange(height) + 0.5) / height * (span[1] - span[0])
    return np.radians(azimuth, dtype=np.float32)[None], np.radians(elevation, dtype=np.float32)[:, None]


def _look_up(
    covers: Strip | Lens, grid: tuple[Float32[np.ndarray, "#h #w"], Float32[np.ndarray, "#h #w"]], shape: float
) -> tuple[Float32[np.ndarray, "h w"], Float32[np.ndarray, "h w"]]:
    """Where in a photo (`shape` times as high as wide) each direction is seen: 0 to 1 from the left and the top.

    `grid`: azimuth and elevation in radians, of a strip from the middle of the whole panorama it was cropped from.
    """
    azimuth, elevation = grid
    if isinstance(covers, Strip):
        beside = (np.degrees(azimuth) - np.float32(covers.centre_deg) + 180) % 360 - 180
        u = beside / np.float32(covers.width_deg) + np.float32(0.5)
        v = (np.float32(covers.top_deg) - np.degrees(elevation)) / np.float32(covers.top_deg - covers.bottom_deg)
    else:
        focal = 0.5 / math.tan(math.radians(covers.fov_deg) / 2)  # in widths
        ahead = np.cos(azimuth)
        # Behind the camera nothing is seen; at right angles to it the plane is infinitely far.
        u = np.where(ahead > 1e-3, focal * np.tan(azimuth) + 0.5, -_FAR)
        v = 0.5 - focal / shape * np.tan(np.clip(elevation, -1.57, 1.57)) / np.maximum(ahead, 1e-3)
    u, v = np.broadcast_arrays(np.clip(u, -_FAR, _FAR), np.clip(v, -_FAR, _FAR))
    return u.astype(np.float32), v.astype(np.float32)


def _density(spec: ViewSpec, span: tuple[float, float]) -> tuple[float, float]:
    """Pixels of the canvas a degree, across and down."""
    return spec.ground.width / 360, spec.ground.height / (span[0] - span[1])


def _thinned(
    pixels: UInt8[np.ndarray, "h w 3"], own: tuple[float, float], spec: ViewSpec, span: tuple[float, float]
) -> UInt8[np.ndarray, "h2 w2 3"]:
    """Average a photo of `own` pixels a degree down to the fine grid's density: sampled sparsely, it would alias."""
    sides = zip((pixels.shape[1], pixels.shape[0]), own, _density(spec, span), strict=True)
    across, down = (max(2, round(side * min(1.0, _FINER * dense / a_degree))) for side, a_degree, dense in sides)
    return resize(pixels, down, across)
