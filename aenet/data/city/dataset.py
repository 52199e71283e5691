"""Writing the town's data set: pairs of views, labels, what is visible from above, the pair table, the map."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float64

from aenet.artifacts import atomic_folder
from aenet.data.city.config import CityConfig
from aenet.data.city.frame import Frame
from aenet.data.city.geotiff import write_geotiff, write_overview
from aenet.data.city.panorama import Label
from aenet.data.city.places import Chosen
from aenet.data.city.rendering import prepare, render_places
from aenet.data.city.town import raise_town
from aenet.data.pairs import SPLITS, write_pairs

Progress = Callable[[int, int], None]


def generate(config: CityConfig, out: Path, progress: Progress | None = None) -> None:
    """Write the data set of a town to the folder `out`, whole or not at all.

    The same configuration gives the same bytes, however many processes work. `progress` is called with
    (panoramas done, panoramas in all).

    Raises:
        AenetError: the town is too small for the places asked for, or the disk for the town.
    """
    frame = Frame.of(config.width_m, config.height_m)
    meta = {
        "kind": config.kind,
        "config": config.model_dump(),
        "labels": {label.name.lower(): int(label) for label in Label},
        # Of the test split alone, in its order; one cell for each pixel of the tile, eight to a byte along each row.
        "visible": {"split": "test", "cells": config.tile_px, "cell_m": config.resolution_m},
    }
    with atomic_folder(out, meta) as folder:
        # Inside the unfinished folder, so that what a killed process leaves is swept away with it.
        maps = folder / ".maps"
        maps.mkdir()
        town = raise_town(config, maps)
        camera = frame.latlon(town.places.camera)
        _write_table(folder, town.places, camera, frame.latlon(town.places.aerial))
        write_geotiff(folder / "town.tif", town.orthophoto, frame, config.resolution_m)
        write_overview(folder / "town.png", town.orthophoto)
        job = prepare(config, town, camera, maps, folder)
        del town  # the workers map what they need from the files
        for done in render_places(job):
            if progress is not None:
                progress(done, config.places.total)
        shutil.rmtree(maps)


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
