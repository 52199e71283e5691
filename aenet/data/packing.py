"""Decodes every pair of a data set once and packs its two network inputs into a views folder."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import UInt8

from aenet import images
from aenet.artifacts import MANIFEST, atomic_folder, read_manifest
from aenet.card import ViewSpec
from aenet.data.pairs import SPLITS, image_root, read_pairs, write_pairs
from aenet.data.views import aerial_view, ground_view
from aenet.errors import AenetError

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
                shape = (len(rows), spec.height, spec.width, 3)
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
            f"{source} has tiles of {said_m:g} m, but polar_transform.view.tile_size_m is {spec.tile_size_m:g}: "
            "make the two agree in params.yaml"
        )
    if spec.ground_rows is None and (needed := declared(source, "view")):
        settings = ", ".join(f"{name}: {value}" for name, value in needed.items())
        raise AenetError(
            f"of the panoramas of {source} only some rows are in use by those who publish on them: add {settings} to "
            "polar_transform.view in params.yaml"
        )


def declared(source: Path, part: str = "config") -> dict[str, Any]:
    """Return what a data set says of itself: its kind, perhaps the size of its tiles; nothing where nobody said it."""
    if not (source / MANIFEST).exists():
        return {}
    said: dict[str, Any] = read_manifest(source).meta.get(part) or {}
    return said
