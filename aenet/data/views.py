"""The two network inputs of a pair, and packed views: those of all pairs as uint8 rows of a memory-mapped array.

A views folder holds, per split, `ground.npy` and `aerial.npy` (N x H x W x 3) and `pairs.parquet` in the same order,
and in its manifest the `ViewSpec` they were made with. `aenet.data.views` makes it.
"""

import json
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from jaxtyping import UInt8
from pydantic import ValidationError

from aenet.data.pairs import SPLITS, image_root, read_pairs, write_pairs
from aenet.io.artifacts import MANIFEST, atomic_folder, read_manifest, verify_file
from aenet.io.errors import AenetError
from aenet.view import images
from aenet.view.polar import Tap, gather, taps
from aenet.view.spec import AerialView, GroundView, ViewSpec

_SAME_SHAPE = 0.01  # of the ratio of sides: cameras round


def ground_view(
    image: UInt8[np.ndarray, "h w 3"], spec: ViewSpec, heading_deg: float = 0.0
) -> UInt8[np.ndarray, "h2 w2 3"]:
    """Return the network's ground input: the kept rows of a panorama, north in the centre column, resized.

    Args:
        heading_deg: compass heading of the panorama's centre column, degrees clockwise from north.

    Raises:
        AenetError: rows are to be kept, and the panorama has another shape than the one they count in.
    """
    image = turn_north(kept_rows(image, spec.ground), heading_deg)
    return images.resize(image, spec.ground.height, spec.ground.width)


def kept_rows(image: UInt8[np.ndarray, "h w 3"], view: GroundView) -> UInt8[np.ndarray, "h2 w 3"]:
    """The same part of the sky and the ground, whatever the panorama's resolution."""
    if view.rows is None or view.panorama_size is None:
        return image
    (first, last), (full_height, full_width) = view.rows, view.panorama_size
    height, width = image.shape[:2]
    if abs(width * full_height / (height * full_width) - 1) > _SAME_SHAPE:
        raise AenetError(
            f"rows {first}:{last} count in panoramas of {full_width} x {full_height} px "
            f"({full_width / full_height:.2f}:1), this one is {width} x {height} px ({width / height:.2f}:1): "
            "which of its rows show the same is not known; give panoramas of that shape"
        )
    top = min(round(first * height / full_height), height - 1)
    return image[top : max(round(last * height / full_height), top + 1)]


def aerial_view(tile: UInt8[np.ndarray, "h w 3"], spec: ViewSpec) -> UInt8[np.ndarray, "h2 w2 3"]:
    """Return the network's aerial input of a square north-up tile: its polar view, or the tile itself, resized."""
    if tile.shape[0] != tile.shape[1]:
        raise AenetError(f"a satellite tile must be square, this one is {tile.shape[1]} x {tile.shape[0]}")
    return gather(tile, _taps(spec.aerial, tile.shape[0]))


@lru_cache(maxsize=8)
def _taps(view: AerialView, tile_px: int) -> list[Tap]:
    side = view.averaged_px(tile_px)
    return list(taps(*view.samples(tile_px), (side, side)))


def turn_north(panorama: UInt8[np.ndarray, "h w 3"], heading_deg: float) -> UInt8[np.ndarray, "h w 3"]:
    """Roll a panorama whose centre column looks towards `heading_deg` so that it looks north.

    A landmark in the east of a panorama headed east (90) stands in the centre column; in the result it stands
    a quarter turn to the right of the centre, where a north-centred panorama shows the east.
    """
    shift = round(heading_deg / 360 * panorama.shape[1])
    return panorama if shift == 0 else np.roll(panorama, shift, axis=1)


@dataclass(frozen=True)
class Views:
    """One split of a views folder; the arrays are read-only memory maps."""

    split: str
    pairs: pd.DataFrame
    ground: UInt8[np.ndarray, "n h w 3"]
    aerial: UInt8[np.ndarray, "n h2 w2 3"]
    spec: ViewSpec

    def __len__(self) -> int:
        return len(self.pairs)


def unknown_metres(folder: Path) -> str | None:
    """Return a sentence where a views folder's data set did not say how much ground its tiles cover, else None.

    Raises:
        AenetError: the folder is not finished.
    """
    meta = read_manifest(folder).meta
    if meta.get("tile_size_m") is not None:  # the two were held together when the views were made
        return None
    made = meta.get("view", {})
    taken_m = float(made.get("aerial", made).get("tile_size_m", math.nan))
    return (
        f"nothing says how many metres of ground the tiles behind {folder} cover: they count as {taken_m:g} m a side "
        "(polar_transform.view.aerial.tile_size_m), and maps will be cut to that. Measure one, set that key to what "
        "you find, and for your own data download.tile_size_m, too: then the two are held together"
    )


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


# Decodes every pair of a data set once and packs its two network inputs into a views folder.

Progress = Callable[[int, int], None]
Beside = Callable[[Path, str], None]


def pack(
    source: Path,
    out: Path,
    spec: ViewSpec,
    threads: int,
    progress: Progress | None = None,
    beside: Beside | None = None,
) -> None:
    """Decode and transform every pair of the data set at `source` into the views folder `out`.

    Panoramas are turned north by their `heading_deg`; where that is NaN they are taken to be north-centred.
    `beside` is called with the folder and the name of every split once its views are written, to add files of its own.

    Raises:
        AenetError: the data set contradicts `spec` (size of its tiles on the ground, rows of its panoramas), or an
            image is unusable.
    """
    _check_view(source, spec)
    pairs = read_pairs(source / "pairs.parquet")
    root = image_root(source)
    said = declared(source)
    meta = {"view": spec.model_dump(mode="json"), "opencv": cv2.__version__, "data": said.get("kind")}
    meta["tile_size_m"] = said.get("tile_size_m")
    # Two pools at once (OpenCV's and ours) on few cores are slower than one.
    cv2.setNumThreads(1)
    done = 0
    with atomic_folder(out, meta) as folder, ThreadPoolExecutor(threads) as pool:
        for split in SPLITS:
            rows = pairs[pairs["split"] == split].reset_index(drop=True)
            (folder / split).mkdir()
            write_pairs(folder / split / "pairs.parquet", rows)
            for view in ("ground", "aerial"):
                shape = (len(rows), spec.of(view).height, spec.of(view).width, 3)
                file = folder / split / f"{view}.npy"
                target = np.lib.format.open_memmap(file, mode="w+", dtype=np.uint8, shape=shape)
                headings = rows["heading_deg"].fillna(0.0)
                jobs = [(view, root / path, spec, heading) for path, heading in zip(rows[view], headings, strict=True)]
                for index, pixels in enumerate(pool.map(_convert, *zip(*jobs, strict=True)) if jobs else ()):
                    target[index] = pixels
                    done += 1
                    if progress is not None:
                        progress(done, 2 * len(pairs))
                target.flush()
            if beside is not None:
                beside(folder / split, split)


def _convert(view: str, path: Path, spec: ViewSpec, heading_deg: float) -> UInt8[np.ndarray, "h w 3"]:
    pixels = images.decode(path)
    try:
        return ground_view(pixels, spec, heading_deg) if view == "ground" else aerial_view(pixels, spec)
    except AenetError as error:
        raise AenetError(f"{path}: {error}") from error


def _check_view(source: Path, spec: ViewSpec) -> None:
    """Refuse a scale or rows that the data set contradicts: every model and gallery would inherit them."""
    said_m = declared(source).get("tile_size_m")
    if said_m is not None and said_m != spec.tile_size_m:
        raise AenetError(
            f"{source} has tiles of {said_m:g} m, but polar_transform.view.aerial.tile_size_m is {spec.tile_size_m:g}: "
            "make the two agree in params.yaml"
        )
    if spec.ground.rows is None and (needed := declared(source, "view")):
        settings = ", ".join(f"{name}: {value}" for name, value in needed.items())
        raise AenetError(
            f"of the panoramas of {source} only some rows are in use by those who publish on them: add {settings} to "
            "polar_transform.view.ground in params.yaml"
        )


def declared(source: Path, part: str = "config") -> dict[str, Any]:
    """Return what a data set says of itself: its kind, perhaps the size of its tiles; nothing where nobody said it."""
    if not (source / MANIFEST).exists():
        return {}
    said: dict[str, Any] = read_manifest(source).meta.get(part) or {}
    return said
