"""Writing the town's data set: pairs of views, labels, what is visible from above, the pair table, the map."""

import shutil
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pandas as pd
from jaxtyping import Float64, UInt8
from pyproj import Transformer

from aenet.data.pairs import SPLITS, write_pairs
from aenet.data.views import Progress
from aenet.io.artifacts import atomic_folder
from aenet.town.config import TownConfig
from aenet.town.panorama import Label
from aenet.town.rendering import prepare_rendering, render_places
from aenet.town.town import Chosen, raise_town

# Where the imaginary town lies: UTM zone 31N, on the Dogger Bank, where there is nothing but sea.

EPSG = 32631
CENTRE_EASTING, CENTRE_NORTHING = 500_000.0, 6_094_800.0  # 3 E is the zone's central meridian: grid North is true North


class TownFrame(NamedTuple):
    """Town metres (x East, y South of the top-left corner) against UTM metres and degrees."""

    west: float
    north: float

    @classmethod
    def of(cls, width_m: float, height_m: float) -> "TownFrame":
        """The frame that puts the town's middle at the anchor point."""
        return cls(CENTRE_EASTING - round(width_m / 2), CENTRE_NORTHING + round(height_m / 2))

    def latlon(self, xy: Float64[np.ndarray, "n 2"]) -> Float64[np.ndarray, "n 2"]:
        """WGS84 latitude and longitude, in degrees, of points in town metres."""
        to_wgs84 = Transformer.from_crs(EPSG, 4326, always_xy=True)
        lon, lat = to_wgs84.transform(self.west + xy[:, 0], self.north - xy[:, 1])
        return np.stack([lat, lon], axis=1)


# The orthophoto as files: a tiled, georeferenced GeoTIFF and a small PNG.

OVERVIEW_PX = 1600
BLOCK_PX = 512  # side of the GeoTIFF's own tiles; it is written in rows of them


def write_geotiff(path: Path, image: UInt8[np.ndarray, "h w 3"], frame: TownFrame, resolution_m: float) -> None:
    """Write RGB with its UTM coordinates, in 512-pixel tiles of JPEG at quality 90, with overviews."""
    import rasterio  # lazily: the renderer itself needs numpy and OpenCV only
    from rasterio.enums import Resampling
    from rasterio.transform import from_origin
    from rasterio.windows import Window

    rows, cols = image.shape[:2]
    profile = {
        "driver": "GTiff", "width": cols, "height": rows, "count": 3, "dtype": "uint8", "crs": f"EPSG:{EPSG}",
        "transform": from_origin(frame.west, frame.north, resolution_m, resolution_m), "tiled": True,
        "blockxsize": BLOCK_PX, "blockysize": BLOCK_PX, "compress": "jpeg", "photometric": "ycbcr", "jpeg_quality": 90,
        "num_threads": "all_cpus", "bigtiff": "if_safer",
    }  # fmt: skip
    with rasterio.Env(GDAL_NUM_THREADS="ALL_CPUS"):  # the bytes are the same however many there are
        with rasterio.open(path, "w", **profile) as target:
            for top in range(0, rows, BLOCK_PX):
                band = np.ascontiguousarray(image[top : top + BLOCK_PX].transpose(2, 0, 1))
                target.write(band, window=Window(0, top, cols, band.shape[1]))
        with rasterio.open(path, "r+") as target:
            target.build_overviews([2, 4, 8, 16], Resampling.average)


def write_overview(path: Path, image: UInt8[np.ndarray, "h w 3"]) -> None:
    """Write a PNG whose longer side is at most 1600 pixels."""
    scale = min(1.0, OVERVIEW_PX / max(image.shape[:2]))
    size = round(image.shape[1] * scale), round(image.shape[0] * scale)
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(path), small[..., ::-1])


def generate(config: TownConfig, out: Path, progress: Progress | None = None) -> None:
    """Write the data set of a town to the folder `out`, whole or not at all.

    The same configuration gives the same bytes, however many processes work. `progress` is called with
    (panoramas done, panoramas in all).

    Raises:
        AenetError: the town is too small for the places asked for, or the disk for the town.
    """
    frame = TownFrame.of(config.width_m, config.height_m)
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
        job = prepare_rendering(config, town, camera, maps, folder)
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
