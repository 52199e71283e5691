"""The aerial view of a centre, sampled straight from a map's pixels.

Every sample of the view (`aenet.view.spec`) is a place so many metres east and north of the centre. A projection turns
metres into its own units, stretched and turned a little; over one tile that is a linear map, found here by walking
from the centre on the ellipsoid. So tiles need not lie on whole pixels, pixels need not be square on the ground, and
the centre column looks to true north even where the map's grid does not. Where centre and pixels do agree, the view is
`aerial_view` of the tile cut out, to a grey level: both sample and average by `view.polar.taps`.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float64, UInt8
from pyproj import CRS, Geod, Transformer

from aenet.data.views import aerial_view
from aenet.io.errors import UnreadableImage
from aenet.io.machine import usable_cores
from aenet.serving.maps.canvas import Factors
from aenet.serving.maps.coordinates import onto, turn_of
from aenet.view.images import decode, resize
from aenet.view.polar import gather, taps
from aenet.view.spec import AerialView, Samples, ViewSpec

THUMBNAIL_PX = 96


@dataclass(frozen=True)
class Cut:
    """What is cut for one centre: its row in the source's tiles, its aerial view, and a picture of its tile."""

    row: int
    view: UInt8[np.ndarray, "h w 3"]
    thumbnail: UInt8[np.ndarray, "96 96 3"]


@lru_cache(maxsize=4)
def ground_samples(view: AerialView, tile_size_m: float, tile_px: int) -> Samples:
    """Return metres east and north of the centre at which a view samples its tile.

    Args:
        tile_size_m: side of the tile.
        tile_px: its side in pixels. It matters by half a pixel: the field's formula takes whole numbers for pixels'
            corners, samplers take them for their centres, and views must be cut as they were for training.
    """
    map_x, map_y = view.samples(tile_px)
    metres = tile_size_m / tile_px
    return (map_x + 0.5 - tile_px / 2) * metres, (tile_px / 2 - map_y - 0.5) * metres


def ground_to_grid(
    crs: str, latitude: Float64[np.ndarray, " n"], longitude: Float64[np.ndarray, " n"], reach_m: float
) -> Float64[np.ndarray, "n 2 2"]:
    """Return for each centre the matrix that takes metres (east, north) to units (x, y) of the system `crs` (WKT).

    Args:
        reach_m: how far from the centre it is measured, both ways.
    """
    geod = Geod(ellps="WGS84")
    to_grid = Transformer.from_crs(CRS.from_epsg(4326), CRS.from_wkt(crs), always_xy=True)
    ends = []
    for azimuth in (90.0, 270.0, 0.0, 180.0):
        count = len(latitude)
        lon, lat, _ = geod.fwd(longitude, latitude, np.full(count, azimuth), np.full(count, reach_m))
        ends.append(np.stack(to_grid.transform(lon, lat), axis=-1))
    east, west, north, south = ends
    across = np.stack([east - west, north - south], axis=-1)
    # At the end of the world one of two neighbours comes out at its other end.
    across[:, 0] = onto(across[:, 0], 0.0, turn_of(crs))
    return across / (2 * reach_m)


def cut_view(
    pixels: UInt8[np.ndarray, "h w 3"],
    centre_px: tuple[float, float],
    metres_to_px: Float64[np.ndarray, "2 2"],
    spec: ViewSpec,
    tile_size_m: float,
    tile_px: tuple[int, int],
    factors: Factors = (1, 1),
) -> UInt8[np.ndarray, "h2 w2 3"]:
    """Return the aerial view of a centre, sampled and averaged as `aerial_view` does it with the tile as a file.

    Args:
        pixels: the map around it; beyond their edges the last ones are repeated.
        centre_px: its row and column, from the outer edge of the first pixel.
        metres_to_px: takes metres (east, north) to pixels (right, down).
        spec: the model's view.
        tile_size_m: as in `ground_samples`.
        tile_px: height and width of the tile in pixels of the map.
        factors: pixels of the map to one of these, where the map was averaged when it was read.
    """
    east, north = ground_samples(spec.aerial, tile_size_m, tile_px[0])
    (a, b), (c, d) = metres_to_px
    x, y = centre_px[1] - 0.5 + a * east + b * north, centre_px[0] - 0.5 + c * east + d * north
    wanted = [spec.aerial.averaged_px(side) / factor for side, factor in zip(tile_px, factors, strict=True)]
    rows, columns = (max(1, round(side)) for side in wanted)
    return gather(pixels, taps(x, y, (rows, columns)))


# Cut views from tiles that are image files of their own: north up, each with its position.

_AHEAD = 64  # tiles decoded at once


def cut_files(files: Sequence[Path], shares: Sequence[float], start: int, spec: ViewSpec) -> Iterator[Cut]:
    """Yield what is cut from square images, but for those that cannot be read or are not square.

    Args:
        files: the images of rows `start` on.
        shares: which part of each image's side is the tile, around the middle; 1 is the whole image.
        start: number of the first row.
        spec: the model's view.
    """

    def cut(file: Path, share: float) -> tuple[UInt8[np.ndarray, "h w 3"], UInt8[np.ndarray, "s s 3"]] | None:
        try:
            tile = decode(file)
        except UnreadableImage:
            return None  # counted by the builder as a dropped tile
        if tile.shape[0] != tile.shape[1]:
            return None
        edge = round(tile.shape[0] * (1 - share) / 2)
        if tile.shape[0] <= 2 * edge:  # its image is of so much ground that a tile has no pixel
            return None
        tile = np.ascontiguousarray(tile[edge : tile.shape[0] - edge, edge : tile.shape[1] - edge])
        return aerial_view(tile, spec), resize(tile, THUMBNAIL_PX, THUMBNAIL_PX)

    cv2.setNumThreads(1)  # two pools at once (OpenCV's and ours) are slower than one
    with ThreadPoolExecutor(usable_cores()) as pool:
        for first in range(0, len(files), _AHEAD):
            part = slice(first, first + _AHEAD)
            for row, views in enumerate(pool.map(cut, files[part], shares[part]), start=start + first):
                if views is not None:
                    yield Cut(row, *views)
