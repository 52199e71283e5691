"""New photos of a district of the town: places, moments and headings that no training and no evaluation has seen."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import rasterio
from jaxtyping import Float64
from pydantic import ValidationError

from aenet.data.pairs import SPLITS
from aenet.io.artifacts import MANIFEST, atomic_folder, read_manifest
from aenet.io.errors import AenetError
from aenet.progress import progress
from aenet.town.config import Places, TownConfig
from aenet.town.dataset import TownFrame
from aenet.town.materials import Scene
from aenet.town.panorama import render_panorama
from aenet.town.rendering import gps_exif
from aenet.town.town import Town, raise_town
from aenet.view.images import encode_jpeg

TABLE = "photos.csv"
JPEG_OFF = 5.0  # grey values by which the map's compression changes a pixel at most, on average


def photograph(raw: Path, out: Path, count: int, split: str = "test", sample: int = 0) -> Path:
    """Write `count` panoramas of a split's district to the folder `out`; return their table.

    The table tells latitude, longitude and heading of each: its truth. Headings are drawn evenly from the circle, and
    the panorama is turned to have its heading in the middle. A folder of the same photos is left as it is.

    Args:
        raw: the finished data set of a town.
        out: made anew, whole or not at all.
        count: photos.
        split: whose district.
        sample: 0, 1, 2, ...: each has other places, moments and headings.

    Raises:
        AenetError: `raw` is no town's data set, or one of another version, or its district is too small.
    """
    config = read_config(raw)
    meta = {"town": config.model_dump(mode="json"), "count": count, "split": split, "sample": sample}
    if (out / MANIFEST).exists() and read_manifest(out).meta == meta:
        return out / TABLE
    town = raise_town(_crowded(config, count * (sample + 1), split))
    _check_same(town, raw / "town.tif")
    spots = town.places.camera[town.places.split == SPLITS.index(split)][count * sample :][:count]
    with atomic_folder(out, meta) as folder, progress("photos") as report:
        rows = []
        for number, row in enumerate(_taken(config, town, spots, sample, folder)):
            rows.append(row)
            report(number + 1, count)
        pd.DataFrame(rows).to_csv(folder / TABLE, index=False)
    return out / TABLE


def read_config(raw: Path) -> TownConfig:
    """Return what a town's data set was made from."""
    try:
        return TownConfig.model_validate(read_manifest(raw).meta["config"])
    except (ValidationError, KeyError) as error:
        raise AenetError(f"{raw} is no town's data set: run the download stage with kind: town") from error


def _crowded(config: TownConfig, count: int, split: str) -> TownConfig:
    """Ask for so many times the places of every split that its district has `count`: its borders stay.

    Districts follow the shares of the splits (`places.districts`), so all of them are multiplied.
    """
    places = config.places
    many = {name: getattr(places, name) for name in SPLITS}
    times = -(-count // many[split])
    crowd = Places(**{name: times * number for name, number in many.items()})
    return config.model_copy(update={"places": crowd, "spacing_m": max(1.0, config.spacing_m / times)})


def _check_same(town: Town, map_: Path) -> None:
    with rasterio.open(map_) as raster:
        drawn = np.moveaxis(raster.read(), 0, -1)
    same = drawn.shape == town.orthophoto.shape
    if not same or float(np.abs(drawn.astype(np.int16) - town.orthophoto).mean()) > JPEG_OFF:
        raise AenetError(f"{map_} was drawn by another version of the town: run the download stage again")


def _taken(
    config: TownConfig, town: Town, spots: Float64[np.ndarray, "n 2"], sample: int, folder: Path
) -> Iterator[dict[str, Any]]:
    """Write panorama after panorama; yield their rows of the table."""
    scene = Scene.of(config, town.layers, town.houses, town.slots)
    latlon = TownFrame.of(config.width_m, config.height_m).latlon(spots)
    draw = np.random.default_rng([config.seed, len(spots), sample])
    for number, (x, y) in enumerate(spots):
        image, _ = render_panorama(scene, float(x), float(y), config.places.total + sample * len(spots) + number)
        width = image.shape[1]
        column = int(draw.integers(width))  # of a north-centred panorama: what stands there comes to the middle
        turned = np.ascontiguousarray(np.roll(image, width // 2 - column, axis=1))
        name = f"{number:05d}.jpg"
        (folder / name).write_bytes(encode_jpeg(turned, config.panorama.quality, gps_exif(*latlon[number])))
        heading = (column / width * 360 + 180) % 360
        yield {"path": name, "latitude": latlon[number, 0], "longitude": latlon[number, 1], "heading": heading}
