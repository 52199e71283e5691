"""Cut views from tiles that are image files of their own: north up, each with its position."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from aenet.card import ViewSpec
from aenet.cores import usable_cores
from aenet.errors import UnreadableImage
from aenet.images import decode, resize
from aenet.serving.maps.polarcut import THUMBNAIL_PX, Cut
from aenet.serving.views import tile_view

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
        return tile_view(tile, spec), resize(tile, THUMBNAIL_PX, THUMBNAIL_PX)

    cv2.setNumThreads(1)  # two pools at once (OpenCV's and ours) are slower than one
    with ThreadPoolExecutor(usable_cores()) as pool:
        for first in range(0, len(files), _AHEAD):
            part = slice(first, first + _AHEAD)
            for row, views in enumerate(pool.map(cut, files[part], shares[part]), start=start + first):
                if views is not None:
                    yield Cut(row, *views)
