"""Make the README's picture from the town: `python docs/images/make.py` (after the download and evaluate stages).

Two test places: the panorama above the polar view of its tile, the tile beside them.
"""

from pathlib import Path

import numpy as np

from aenet import images
from aenet.artifacts import write_bytes
from aenet.data.pairs import read_pairs
from aenet.polar import polar_transform

RAW = Path("data/raw")
HEIGHT, WIDTH, GAP = 192, 768, 6


def main(rows: tuple[int, ...] = (143, 260)) -> None:
    """Write town.jpg beside this file."""
    pairs = read_pairs(RAW / "pairs.parquet")
    test = pairs[pairs["split"] == "test"].iloc[list(rows)]
    lines = [_line(ground, aerial) for ground, aerial in zip(test["ground"], test["aerial"], strict=True)]
    white = np.full((2 * GAP, lines[0].shape[1], 3), 255, np.uint8)
    sheet = np.vstack([part for line in lines for part in (line, white)][:-1])
    write_bytes(Path(__file__).with_name("town.jpg"), images.encode_jpeg(sheet, quality=88))


def _line(ground: str, aerial: str) -> np.ndarray:
    tile = images.decode(RAW / aerial)
    views = (images.resize(images.decode(RAW / ground), HEIGHT, WIDTH), polar_transform(tile, HEIGHT, WIDTH))
    between = np.full((GAP, WIDTH, 3), 255, np.uint8)
    left = np.vstack([views[0], between, views[1]])
    right = images.resize(tile, len(left), len(left))
    return np.hstack([left, np.full((len(left), GAP, 3), 255, np.uint8), right])


if __name__ == "__main__":
    main()
