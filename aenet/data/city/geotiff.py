"""The orthophoto as files: a tiled, georeferenced GeoTIFF and a small PNG."""

from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from aenet.data.city.frame import EPSG, Frame

OVERVIEW_PX = 1600
BLOCK_PX = 512  # side of the GeoTIFF's own tiles; it is written in rows of them


def write_geotiff(path: Path, image: UInt8[np.ndarray, "h w 3"], frame: Frame, resolution_m: float) -> None:
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
