"""Packed views: every pair's two network inputs as uint8 rows of a memory-mapped array.

A views folder holds, per split, `ground.npy` and `aerial.npy` (N x H x W x 3) and `pairs.parquet` in the same order,
and in its manifest the `ViewSpec` they were made with.
"""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from jaxtyping import UInt8
from pydantic import ValidationError

from aenet import images
from aenet.artifacts import atomic_folder, read_manifest, verify_file
from aenet.card import ViewSpec
from aenet.data.pairs import SPLITS, read_pairs, write_pairs
from aenet.errors import AenetError
from aenet.polar import polar_transform

Progress = Callable[[int, int], None]


def ground_view(image: UInt8[np.ndarray, "h w 3"], spec: ViewSpec) -> UInt8[np.ndarray, "h2 w2 3"]:
    """Return the network's ground input: the kept rows of a north-centred panorama, resized."""
    if spec.ground_rows is not None:
        first, last = spec.ground_rows
        if last > image.shape[0]:
            raise AenetError(f"ground_rows {first}:{last} reach beyond a panorama of {image.shape[0]} rows")
        image = image[first:last]
    return images.resize(image, spec.height, spec.width)


def aerial_view(tile: UInt8[np.ndarray, "h w 3"], spec: ViewSpec) -> UInt8[np.ndarray, "h2 w2 3"]:
    """Return the network's aerial input: the polar view of a square north-up tile."""
    if tile.shape[0] != tile.shape[1]:
        raise AenetError(f"a satellite tile must be square, this one is {tile.shape[1]} x {tile.shape[0]}")
    return polar_transform(tile, spec.height, spec.width)


def pack(source: Path, out: Path, spec: ViewSpec, threads: int, progress: Progress | None = None) -> None:
    """Decode and transform every pair of the data set at `source` into the views folder `out`."""
    pairs = read_pairs(source / "pairs.parquet")
    meta = {"view": spec.model_dump(mode="json"), "opencv": cv2.__version__, "source": str(source.name)}
    done = 0
    # Two pools at once (OpenCV's and ours) on few cores are slower than one.
    cv2.setNumThreads(1)
    with atomic_folder(out, meta) as folder, ThreadPoolExecutor(threads) as pool:
        for split in SPLITS:
            rows = pairs[pairs["split"] == split].reset_index(drop=True)
            (folder / split).mkdir()
            write_pairs(folder / split / "pairs.parquet", rows)
            for view, transform in (("ground", ground_view), ("aerial", aerial_view)):
                shape = (len(rows), spec.height, spec.width, 3)
                target = np.lib.format.open_memmap(
                    folder / split / f"{view}.npy", mode="w+", dtype=np.uint8, shape=shape
                )

                def convert(path: str, transform: Callable[..., np.ndarray] = transform) -> np.ndarray:
                    pixels = images.decode(source / path)
                    try:
                        return transform(pixels, spec)
                    except AenetError as error:
                        raise AenetError(f"{source / path}: {error}") from error

                for index, pixels in enumerate(pool.map(convert, rows[view])):
                    target[index] = pixels
                    done += 1
                    if progress is not None:
                        progress(done, 2 * len(pairs))
                target.flush()


@dataclass(frozen=True)
class Views:
    """One split of a views folder; the arrays are read-only memory maps."""

    split: str
    pairs: pd.DataFrame
    ground: UInt8[np.ndarray, "n h w 3"]
    aerial: UInt8[np.ndarray, "n h w 3"]
    spec: ViewSpec

    def __len__(self) -> int:
        return len(self.pairs)


def open_views(folder: Path, split: str) -> Views:
    """Open a split for reading; digests of its files are checked once.

    Raises:
        AenetError: the folder is not finished, or the split is empty or unknown.
        CorruptArtifact: a packed file's digest differs from its manifest.
    """
    if split not in SPLITS:
        raise AenetError(f"unknown split '{split}'; known: {', '.join(SPLITS)}")
    try:
        spec = ViewSpec.model_validate_json(json.dumps(read_manifest(folder).meta.get("view")))
    except ValidationError as error:
        raise AenetError(f"{folder} is not a folder of packed views: run the polar_transform stage") from error
    for name in ("ground.npy", "aerial.npy", "pairs.parquet"):
        verify_file(folder, f"{split}/{name}")
    pairs = read_pairs(folder / split / "pairs.parquet")
    if pairs.empty:
        raise AenetError(f"{folder}: the split '{split}' has no pairs")
    ground, aerial = (np.load(folder / split / f"{view}.npy", mmap_mode="r") for view in ("ground", "aerial"))
    if not len(pairs) == len(ground) == len(aerial):
        raise AenetError(
            f"{folder}/{split}: {len(pairs)} pairs but {len(ground)} ground and {len(aerial)} aerial views"
        )
    return Views(split, pairs, ground, aerial, spec)
