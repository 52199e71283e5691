"""Make the README's picture from the town: `python docs/images/make.py` (after the download stage).

Two test places: the panorama above the polar view of its tile, the tile beside them. Other rows of the test split may
be named behind it.
"""

import sys
from pathlib import Path

import numpy as np

from aenet.data.pairs import image_root, read_pairs
from aenet.data.views import aerial_view, ground_view
from aenet.io.atomic import write_bytes
from aenet.io.errors import AenetError
from aenet.view import images
from aenet.view.spec import ViewSpec

RAW = Path("data/raw")
VIEW, GAP = ViewSpec.polar(height=192, width=768, tile_size_m=70.0), 6


def main(rows: tuple[int, ...] = (143, 260)) -> None:
    """Write town.jpg beside this file.

    Raises:
        AenetError: there is no data set, or no such row in its test split.
    """
    pairs = read_pairs(RAW / "pairs.parquet")
    test = pairs[pairs["split"] == "test"]
    if missing := [row for row in rows if not 0 <= row < len(test)]:
        raise AenetError(f"{RAW} has {len(test)} test places, there is no row {max(missing)}: name others")
    chosen = test.iloc[list(rows)]
    lines = [_line(ground, aerial) for ground, aerial in zip(chosen["ground"], chosen["aerial"], strict=True)]
    white = np.full((2 * GAP, lines[0].shape[1], 3), 255, np.uint8)
    sheet = np.vstack([part for line in lines for part in (line, white)][:-1])
    write_bytes(Path(__file__).with_name("town.jpg"), images.encode_jpeg(sheet, quality=88))


def _line(ground: str, aerial: str) -> np.ndarray:
    panorama, tile = (images.decode(image_root(RAW) / name) for name in (ground, aerial))
    views = ground_view(panorama, VIEW), aerial_view(tile, VIEW)
    between = np.full((GAP, VIEW.ground.width, 3), 255, np.uint8)
    left = np.vstack([views[0], between, views[1]])
    right = images.resize(tile, len(left), len(left))
    return np.hstack([left, np.full((len(left), GAP, 3), 255, np.uint8), right])


if __name__ == "__main__":
    try:
        main(tuple(map(int, sys.argv[1:])) or (143, 260))
    except AenetError as error:
        sys.exit(f"error: {error}")
