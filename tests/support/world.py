"""A small world for the serving tests: a random map with coordinates, a layout descriptor, photos taken in it.

The "network" averages blocks of the view and compares them with the view's mean: no learning, but it tells places
apart, so that tests can assert where a photo is put.
"""

import hashlib
import math
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import onnx
import pandas as pd
import rasterio
from onnx import TensorProto, helper
from PIL import Image
from pyproj import Transformer
from rasterio.transform import from_origin

from aenet.data.card import Acuity, Calibration, ModelCard
from aenet.io.atomic import write_json
from aenet.serving.sessions.runtime import SessionOptions
from aenet.view.images import encode_jpeg
from aenet.view.polar import polar_transform
from aenet.view.spec import ViewSpec

CPU = SessionOptions(provider="cpu", threads=1)
HEIGHT, WIDTH, BLOCK = 16, 64, (4, 8)
TILE_M, PIXEL_M = 60.0, 0.5
EAST, NORTH, UTM = 500_000.0, 5_300_000.0, "EPSG:32632"  # on the zone's central meridian


# Put before a script: the process kills itself at a moment, given as an audit event (`open`, `os.rename`, `os.remove`)
# and the end of the path it happens to. So a kill never comes too late, however fast or busy the machine is.
KILL_AT = """
import os, signal, sys
_event, _end = sys.argv[1:3]
del sys.argv[1:3]

def _kill(event, arguments):
    if event == _event and any(str(argument).endswith(_end) for argument in arguments[:2]):
        os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(_kill)
"""


@dataclass(frozen=True)
class World:
    """Paths and truth of the session's world."""

    pixels: np.ndarray
    map: Path
    model: Path
    gallery: Path
    photos: Path
    truth: pd.DataFrame


def make_model(folder: Path, seed: int = 0, bias: float = 1e-6) -> Path:
    """Write a model folder; `seed` only changes its digest and a negligible bias.

    Without `bias` a view of one colour has a descriptor of no length.
    """
    folder.mkdir(parents=True)
    shape = 3, HEIGHT // BLOCK[0], WIDTH // BLOCK[1]
    dim = math.prod(shape)
    nodes = [
        helper.make_node("Cast", ["image"], ["real"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["real"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("AveragePool", ["planes"], ["blocks"], kernel_shape=BLOCK, strides=BLOCK),
        helper.make_node("ReduceMean", ["blocks", "axes"], ["mean"], keepdims=1),
        helper.make_node("Sub", ["blocks", "mean"], ["layout"]),
        helper.make_node("Flatten", ["layout"], ["flat"]),
        helper.make_node("Add", ["flat", "bias"], ["biased"]),
        helper.make_node("LpNormalization", ["biased"], ["descriptor"], axis=1, p=2),
    ]
    constants = [
        helper.make_tensor("axes", TensorProto.INT64, [2], [2, 3]),
        helper.make_tensor("bias", TensorProto.FLOAT, [1], [bias * (1 + seed)]),
    ]
    graph = helper.make_graph(
        nodes,
        "layout",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", HEIGHT, WIDTH, 3])],
        [helper.make_tensor_value_info("descriptor", TensorProto.FLOAT, ["n", dim])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    onnx.checker.check_model(model)
    for name in ("ground.onnx", "aerial.onnx"):
        (folder / name).write_bytes(model.SerializeToString())
    write_card(folder, dim, shape, calibration(12.0))
    return folder


def calibration(sharpness: float) -> Calibration:
    """Return one of this world: its colours are fields about 15 m across."""
    acuity = Acuity(mean=0.0, rise=0.95, reach_m=15.0, centred=sharpness)
    return Calibration(known=acuity, unknown=acuity, queries=1, references=1)


def write_card(
    folder: Path, dim: int, shape: tuple[int, int, int] | None = None, calibration: Calibration | None = None
) -> None:
    """Write the card of the ONNX files that lie in `folder`."""
    digests = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.glob("*.onnx"))}
    card = ModelCard(
        view=ViewSpec.polar(height=HEIGHT, width=WIDTH, tile_size_m=TILE_M),
        descriptor_dim=dim,
        backbone="blocks",
        attention="none",
        head="flatten",
        trained_on="nothing",
        fingerprint="0",
        map_shape=shape,
        calibration=calibration,
        sha256=digests,
    )
    write_json(folder / "model.json", card.model_dump(mode="json"))


def make_pixels(rows: int = 640, columns: int = 800, seed: int = 1) -> np.ndarray:
    """Random fields of colour about 15 m across: every place looks different, neighbours resemble."""
    coarse = np.random.default_rng(seed).integers(0, 256, (rows // 30, columns // 30, 3), dtype=np.uint8)
    return np.clip(cv2.resize(coarse, (columns, rows), interpolation=cv2.INTER_CUBIC), 0, 255).astype(np.uint8)


def write_map(
    path: Path, pixels: np.ndarray, crs: str | None = UTM, transform: object = None, **profile: object
) -> Path:
    """Write pixels as a GeoTIFF whose north-west corner is (EAST, NORTH)."""
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        height=pixels.shape[0],
        width=pixels.shape[1],
        count=pixels.shape[2],
        dtype=pixels.dtype,
        crs=crs,
        transform=transform or from_origin(EAST, NORTH, PIXEL_M, PIXEL_M),
        **profile,
    ) as dataset:
        dataset.write(np.moveaxis(pixels, -1, 0))
    return path


def panorama(pixels: np.ndarray, x_m: float, y_m: float, height: int = 64, width: int = 256) -> np.ndarray:
    """What this world's camera sees `x_m` east and `y_m` south of the map's corner: north in the centre."""
    side = round(TILE_M / PIXEL_M)
    left, top = round(x_m / PIXEL_M - side / 2), round(y_m / PIXEL_M - side / 2)
    return polar_transform(np.ascontiguousarray(pixels[top : top + side, left : left + side]), height, width)


def position(x_m: float, y_m: float) -> tuple[float, float]:
    """Latitude and longitude of a place of the map."""
    longitude, latitude = Transformer.from_crs(UTM, "EPSG:4326", always_xy=True).transform(EAST + x_m, NORTH - y_m)
    return latitude, longitude


def gps_exif(latitude: float, longitude: float) -> bytes:
    """Return an EXIF block that carries a position."""
    exif = Image.Exif()
    dms = [[int(v), int(v * 60 % 60), round(v * 3600 % 60, 6)] for v in (abs(latitude), abs(longitude))]
    exif[0x8825] = {1: "S" if latitude < 0 else "N", 2: dms[0], 3: "W" if longitude < 0 else "E", 4: dms[1]}
    block: bytes = exif.tobytes()
    return block


def take_photos(folder: Path, pixels: np.ndarray, count: int, seed: int = 3) -> pd.DataFrame:
    """Write `count` geotagged panoramas at random places; return their true positions."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(seed)
    extent = pixels.shape[1] * PIXEL_M, pixels.shape[0] * PIXEL_M
    rows = []
    for number in range(count):
        x, y = (generator.uniform(TILE_M / 2 + 8, side - TILE_M / 2 - 8) for side in extent)
        latitude, longitude = position(x, y)
        content = encode_jpeg(panorama(pixels, x, y), 92, gps_exif(latitude, longitude))
        (folder / f"{number:04d}.jpg").write_bytes(content)
        rows.append({"path": f"{number:04d}.jpg", "latitude": latitude, "longitude": longitude, "x": x, "y": y})
    return pd.DataFrame(rows)
