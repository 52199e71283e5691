"""Rendering every place's views, EXIF included, in as many processes as there are cores, from maps they share."""

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float64, UInt8
from PIL import Image
from PIL.ExifTags import IFD

from aenet.io.machine import usable_cores
from aenet.town.config import TownConfig
from aenet.town.layers import Layers, mapped_zeros
from aenet.town.materials import Scene
from aenet.town.panorama import render_panorama, stand
from aenet.town.rays import Rays
from aenet.town.town import Town
from aenet.town.visibility import sight_rays, visible_cells
from aenet.view.images import encode_jpeg

# Where a photo was taken, as cameras write it into EXIF.


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


CHUNK = 20
FEW = 200  # below this many places, starting worker processes costs more than it saves


class RenderJob(NamedTuple):
    """What a worker process needs to know; the town itself it maps from the files in `maps`."""

    config: TownConfig
    maps: Path
    out: Path
    camera: Float64[np.ndarray, "n 2"]
    aerial: Float64[np.ndarray, "n 2"]
    latlon: Float64[np.ndarray, "n 2"]


class _Desk(NamedTuple):
    """What a worker process works with; `labels` and `visible` are files that all of them write, each its own rows."""

    job: RenderJob
    scene: Scene
    orthophoto: UInt8[np.ndarray, "h w 3"]
    labels: UInt8[np.ndarray, "n h w"]
    sight: Rays
    visible: UInt8[np.ndarray, "m s b"]


def prepare_rendering(
    config: TownConfig, town: Town, latlon: Float64[np.ndarray, "n 2"], maps: Path, out: Path
) -> RenderJob:
    """Write what the workers map besides the town's rasters, which lie in `maps`, and make room for what they write.

    Raises:
        AenetError: the disk has no room.
    """
    np.save(maps / "houses.npy", town.houses)
    np.save(maps / "slots.npy", town.slots)
    for part in ("ground", "aerial"):
        (out / part).mkdir()
    places, view = config.places, config.panorama
    mapped_zeros(out / "labels.npy", (places.total, view.height, view.width), np.uint8)
    mapped_zeros(out / "visible.npy", (places.test, config.tile_px, -(-config.tile_px // 8)), np.uint8)
    return RenderJob(config, maps, out, town.places.camera, town.places.aerial, latlon)


def render_places(job: RenderJob) -> Iterator[int]:
    """Write every place's tile, panorama, labels and what is visible; yields how many are done."""
    total = job.config.places.total
    chunks = [range(first, min(first + CHUNK, total)) for first in range(0, total, CHUNK)]
    workers = min(usable_cores(), len(chunks))
    done = 0
    if workers < 2 or total < FEW:
        _start(job, threads=None)
        for chunk in chunks:
            done += _render(chunk)
            yield done
        _state.clear()  # lets go of the mapped files
        return
    # Spawned, not forked: the caller may hold threads and locks that a fork would copy mid-air. An executor, not a
    # pool: if a worker is killed it says so, where a pool would wait for ever.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, _start, (job, 1)) as pool:
        for future in as_completed([pool.submit(_render, chunk) for chunk in chunks]):
            done += future.result()
            yield done


_state: dict[str, _Desk] = {}  # one job per process, set by its initialiser


def _start(job: RenderJob, threads: int | None) -> None:
    if threads is not None:
        cv2.setNumThreads(threads)
    houses, slots, orthophoto = (
        np.load(job.maps / f"{name}.npy", mmap_mode="r").view(np.ndarray) for name in ("houses", "slots", "orthophoto")
    )
    scene = Scene.of(job.config, Layers.load(job.maps), houses, slots)
    labels, visible = (np.lib.format.open_memmap(job.out / f"{name}.npy", "r+") for name in ("labels", "visible"))
    _state["desk"] = _Desk(job, scene, orthophoto, labels, sight_rays(job.config), visible)


def _render(chunk: range) -> int:
    """Render one chunk of places to JPEG files, label rows and rows of what is visible; return how many."""
    desk = _state["desk"]
    job = desk.job
    for index in chunk:
        x, y = job.camera[index]
        image, label = render_panorama(desk.scene, float(x), float(y), index)
        content = encode_jpeg(image, job.config.panorama.quality, gps_exif(*job.latlon[index]))
        (job.out / "ground" / f"{index:05d}.jpg").write_bytes(content)
        tile = aerial_tile(job.config, desk.orthophoto, *(float(v) for v in job.aerial[index]))
        (job.out / "aerial" / f"{index:05d}.jpg").write_bytes(encode_jpeg(tile, job.config.tile_quality))
        desk.labels[index] = label
        row = index - (job.config.places.total - job.config.places.test)  # the test split comes last
        if row >= 0:
            _look_down(desk, index, row)
    return len(chunk)


def _look_down(desk: _Desk, index: int, row: int) -> None:
    """Write which cells of a place's tile can be seen from its camera."""
    job, scene = desk.job, desk.scene
    x, y = job.camera[index]
    camera, centre = stand(scene, float(x), float(y), index)[2], job.aerial[index]
    seen = visible_cells(
        job.config, scene.layers, scene.houses, desk.sight, camera, (float(centre[0]), float(centre[1]))
    )
    desk.visible[row] = np.packbits(seen, axis=1)


def aerial_tile(
    config: TownConfig, orthophoto: UInt8[np.ndarray, "h w 3"], x: float, y: float
) -> UInt8[np.ndarray, "s s 3"]:
    """The square of map whose centre is the pixel corner at (x, y) in town metres."""
    half = config.tile_px // 2
    row, col = round(y / config.resolution_m), round(x / config.resolution_m)
    return np.ascontiguousarray(orthophoto[row - half : row + half, col - half : col + half])
