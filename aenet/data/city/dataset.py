"""Writing the town's data set: pairs of views, labels, what is visible from above, the pair table, the map."""

import multiprocessing
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pandas as pd
from jaxtyping import Float64, UInt8
from PIL import Image
from PIL.ExifTags import IFD

from aenet.artifacts import atomic_folder
from aenet.cores import usable_cores
from aenet.data.city.config import CityConfig
from aenet.data.city.frame import Frame
from aenet.data.city.geotiff import write_geotiff, write_overview
from aenet.data.city.layers import Layers
from aenet.data.city.materials import Scene
from aenet.data.city.panorama import Label, render_panorama, stand
from aenet.data.city.places import Chosen
from aenet.data.city.rays import Rays
from aenet.data.city.town import Town, raise_town
from aenet.data.city.visibility import sight_rays, visible_cells
from aenet.data.pairs import SPLITS, write_pairs
from aenet.images import encode_jpeg

Progress = Callable[[int, int], None]
CHUNK = 20
FEW = 200  # below this many places, starting worker processes costs more than it saves


class _Job(NamedTuple):
    """What a worker process needs to know; the rasters themselves are memory-mapped from `layers`."""

    config: CityConfig
    layers: Path
    out: Path
    houses: np.ndarray
    slots: np.ndarray
    camera: Float64[np.ndarray, "n 2"]
    aerial: Float64[np.ndarray, "n 2"]
    latlon: Float64[np.ndarray, "n 2"]


class _Desk(NamedTuple):
    """What a worker process works with; `labels` and `visible` are files that all of them write, each its own rows."""

    job: _Job
    scene: Scene
    labels: UInt8[np.ndarray, "n h w"]
    sight: Rays
    visible: UInt8[np.ndarray, "m s b"]


def generate(config: CityConfig, out: Path, progress: Progress | None = None) -> None:
    """Write the data set of a town to the folder `out`, whole or not at all.

    The same configuration gives the same bytes, however many processes work. `progress` is called with
    (panoramas done, panoramas in all).

    Raises:
        AenetError: the town is too small for the places asked for.
    """
    frame = Frame.of(config.width_m, config.height_m)
    meta = {
        "kind": config.kind,
        "config": config.model_dump(),
        "labels": {label.name.lower(): int(label) for label in Label},
        # Of the test split alone, in its order; one cell for each pixel of the tile, eight to a byte along each row.
        "visible": {"split": "test", "cells": config.tile_px, "cell_m": config.resolution_m},
    }
    town = raise_town(config)
    with atomic_folder(out, meta) as folder:
        # Inside the unfinished folder, so that what a killed process leaves is swept away with it.
        scratch = folder / ".layers"
        for part in (scratch, folder / "ground", folder / "aerial"):
            part.mkdir()
        town.layers.save(scratch)
        camera = frame.latlon(town.places.camera)
        _write_table(folder, town.places, camera, frame.latlon(town.places.aerial))
        _write_tiles(config, folder, town)
        shape = (config.places.total, config.panorama.height, config.panorama.width)
        np.lib.format.open_memmap(folder / "labels.npy", "w+", np.uint8, shape).flush()
        shape = (config.places.test, config.tile_px, -(-config.tile_px // 8))
        np.lib.format.open_memmap(folder / "visible.npy", "w+", np.uint8, shape).flush()
        job = _Job(config, scratch, folder, town.houses, town.slots, town.places.camera, town.places.aerial, camera)
        write_geotiff(folder / "town.tif", town.orthophoto, frame, config.resolution_m)
        write_overview(folder / "town.png", town.orthophoto)
        del town  # the workers map what they need from the files
        for done in _panoramas(job):
            if progress is not None:
                progress(done, config.places.total)
        _state.clear()  # lets go of the mapped files
        shutil.rmtree(scratch)


def _panoramas(job: _Job) -> Iterator[int]:
    """Render every panorama; yields how many are done."""
    total = job.config.places.total
    chunks = [range(first, min(first + CHUNK, total)) for first in range(0, total, CHUNK)]
    workers = min(usable_cores(), len(chunks))
    done = 0
    if workers < 2 or total < FEW:
        _start(job, threads=None)
        for chunk in chunks:
            done += _render(chunk)
            yield done
        return
    # Spawned, not forked: the caller may hold threads and locks that a fork would copy mid-air. An executor, not a
    # pool: if a worker is killed it says so, where a pool would wait for ever.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, _start, (job, 1)) as pool:
        for future in as_completed([pool.submit(_render, chunk) for chunk in chunks]):
            done += future.result()
            yield done


_state: dict[str, _Desk] = {}  # one job per process, set by its initialiser


def _start(job: _Job, threads: int | None) -> None:
    if threads is not None:
        cv2.setNumThreads(threads)
    scene = Scene.of(job.config, Layers.load(job.layers), job.houses, job.slots)
    labels, visible = (np.lib.format.open_memmap(job.out / f"{name}.npy", "r+") for name in ("labels", "visible"))
    _state["desk"] = _Desk(job, scene, labels, sight_rays(job.config), visible)


def _render(chunk: range) -> int:
    """Render one chunk of places to JPEG files, label rows and rows of what is visible; return how many."""
    job, scene, labels = _state["desk"][:3]
    for index in chunk:
        x, y = job.camera[index]
        image, label = render_panorama(scene, float(x), float(y), index)
        content = encode_jpeg(image, job.config.panorama.quality, gps_exif(*job.latlon[index]))
        (job.out / "ground" / f"{index:05d}.jpg").write_bytes(content)
        labels[index] = label
        row = index - (job.config.places.total - job.config.places.test)  # the test split comes last
        if row >= 0:
            _look_down(_state["desk"], index, row)
    return len(chunk)


def _look_down(desk: _Desk, index: int, row: int) -> None:
    """Write which cells of a place's tile can be seen from its camera."""
    job, scene = desk.job, desk.scene
    x, y = job.camera[index]
    camera, centre = stand(scene, float(x), float(y), index)[2], job.aerial[index]
    seen = visible_cells(job.config, scene.layers, job.houses, desk.sight, camera, (float(centre[0]), float(centre[1])))
    desk.visible[row] = np.packbits(seen, axis=1)


def _write_tiles(config: CityConfig, folder: Path, town: Town) -> None:
    def write(index: int) -> None:
        x, y = town.places.aerial[index]
        content = encode_jpeg(aerial_tile(config, town.orthophoto, float(x), float(y)), config.tile_quality)
        (folder / "aerial" / f"{index:05d}.jpg").write_bytes(content)

    with ThreadPoolExecutor(usable_cores()) as pool:  # the encoder leaves the interpreter lock while it works
        list(pool.map(write, range(len(town.places.aerial))))


def aerial_tile(
    config: CityConfig, orthophoto: UInt8[np.ndarray, "h w 3"], x: float, y: float
) -> UInt8[np.ndarray, "s s 3"]:
    """The square of map whose centre is the pixel corner at (x, y) in town metres."""
    half = config.tile_px // 2
    row, col = round(y / config.resolution_m), round(x / config.resolution_m)
    return np.ascontiguousarray(orthophoto[row - half : row + half, col - half : col + half])


def _write_table(
    folder: Path, places: Chosen, ground: Float64[np.ndarray, "n 2"], aerial: Float64[np.ndarray, "n 2"]
) -> None:
    names = [f"{index:05d}" for index in range(len(ground))]
    table = {
        "pair_id": names, "split": [SPLITS[s] for s in places.split],
        "ground": [f"ground/{name}.jpg" for name in names], "aerial": [f"aerial/{name}.jpg" for name in names],
        "latitude": ground[:, 0], "longitude": ground[:, 1],
        "aerial_latitude": aerial[:, 0], "aerial_longitude": aerial[:, 1], "heading_deg": 0.0,
    }  # fmt: skip
    write_pairs(folder / "pairs.parquet", pd.DataFrame(table))


def gps_exif(latitude: float, longitude: float) -> bytes:
    """An EXIF block with a GPS position, to a hundred-thousandth of an arc second (under a millimetre)."""
    exif = Image.Exif()
    exif.get_ifd(IFD.GPSInfo).update(
        {1: "N" if latitude >= 0 else "S", 2: _dms(latitude), 3: "E" if longitude >= 0 else "W", 4: _dms(longitude)}
    )
    return exif.tobytes()


def _dms(degrees: float) -> tuple[float, float, float]:
    minutes, seconds = divmod(abs(degrees) * 3600, 60)
    whole, minutes = divmod(minutes, 60)
    return float(whole), float(minutes), round(seconds, 5)
