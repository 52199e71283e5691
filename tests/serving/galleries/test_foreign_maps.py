"""A GeoTIFF from anybody reads no other file and asks nobody, wherever a raster is opened.

GDAL follows what a file's own metadata name as its overviews, and what lies beside it, with any of its drivers. A
server counts what is asked of it, and a secret map's colours must appear nowhere.
"""

import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rasterio

from aenet.data.pairs import COLUMNS, write_pairs
from aenet.io.errors import AenetError
from aenet.serving.galleries.build import GalleryOptions, build_gallery
from aenet.serving.galleries.extend import AddOptions, add_to_gallery
from aenet.serving.maps.mosaic import Mosaic, overview
from aenet.serving.maps.pairtiles import PairSource
from aenet.view.images import decode, encode_jpeg
from tests.support import world
from tests.support.elsewhere import COLOUR, TARGETS, Named, Server, listening, shows_the_secret
from tests.support.mutations import mutated_bytes
from tests.support.world import World

FAST = {"provider": "cpu", "threads": 1}
pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def server() -> Iterator[Server]:
    with listening() as made:
        yield made


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A map whose every pixel is of one colour, as large as the world's reduced to a quarter."""
    return world.write_map(tmp_path / "secret.tif", np.full((160, 200, 3), COLOUR, np.uint8))


each_target = pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.__name__.strip("_"))


def _used(source: Path, small_world: World, root: Path) -> list[np.ndarray]:
    """Open a raster in every way there is; return the pixels that came of it."""
    pixels: list[np.ndarray] = []
    out, grown = root / "out", shutil.copytree(small_world.gallery, root / "grown")
    for use in (
        lambda: build_gallery(source, out, small_world.model, GalleryOptions(spacing_m=60.0, **FAST)),
        lambda: build_gallery(source.parent, out, small_world.model, GalleryOptions(spacing_m=60.0, **FAST)),
        lambda: add_to_gallery(grown, source, small_world.model, AddOptions(**FAST)),
        lambda: pixels.append(overview(Mosaic(source, [source]), 64).pixels),
        lambda: pixels.append(Mosaic(source, [source]).read((0, 0, 640, 800), (4, 4))[0]),
    ):
        try:
            use()
        except AenetError as refusal:
            assert "\n" not in str(refusal)
    return pixels + [decode(file) for file in root.rglob("backdrop*.jpg")]


@each_target
@pytest.mark.parametrize("domain", ["OVERVIEWS", "overviews"])
def test_a_map_that_names_its_overviews_is_not_followed(
    small_world: World, tmp_path: Path, server: Server, secret: Path, target: Named, domain: str
) -> None:
    (tmp_path / "maps").mkdir()
    source = world.write_map(tmp_path / "maps" / "map.tif", small_world.pixels)
    with rasterio.open(source, "r+") as dataset:
        dataset.update_tags(ns=domain, OVERVIEW_FILE=target(secret, server))
    pixels = _used(source, small_world, tmp_path)
    assert server.asked == [] and not shows_the_secret(pixels)
    with pytest.raises(AenetError, match="names a file elsewhere as its overviews"):
        Mosaic(source, [source])


@each_target
def test_a_file_of_another_driver_is_no_map_whatever_its_name(
    small_world: World, tmp_path: Path, server: Server, secret: Path, target: Named
) -> None:
    (tmp_path / "maps").mkdir()
    source = tmp_path / "maps" / "map.tif"
    source.write_text(target(secret, server))
    assert not shows_the_secret(_used(source, small_world, tmp_path)) and server.asked == []


@each_target
@pytest.mark.parametrize("beside", [".ovr", ".msk", ".aux.xml", ".msk.ovr"])
def test_a_file_beside_a_map_is_not_followed(
    small_world: World, tmp_path: Path, server: Server, secret: Path, target: Named, beside: str
) -> None:
    (tmp_path / "maps").mkdir()
    source = world.write_map(tmp_path / "maps" / "map.tif", small_world.pixels)
    text = target(secret, server)
    if beside == ".aux.xml":
        item = f'<MDI key="OVERVIEW_FILE"><![CDATA[{text}]]></MDI>'
        text = f'<PAMDataset><Metadata domain="OVERVIEWS">{item}</Metadata></PAMDataset>'
    (source.parent / f"map.tif{beside}").write_text(text)
    pixels = _used(source, small_world, tmp_path)
    assert server.asked == [] and not shows_the_secret(pixels)
    small = Mosaic(source, [source]).read((0, 0, 640, 800), (4, 4))[0]
    want = small_world.pixels.reshape(160, 4, 200, 4, 3).mean(axis=(1, 3))
    assert np.abs(small - want).max() <= 1


@pytest.mark.parametrize("kind", ["mask", "data set"])
def test_masks_and_a_data_sets_own_map_come_through_the_same_door(
    small_world: World, tmp_path: Path, server: Server, secret: Path, kind: str
) -> None:
    (tmp_path / "maps").mkdir()
    source = world.write_map(tmp_path / "maps" / "map.tif", small_world.pixels)
    evil = source if kind == "data set" else source.with_name("map.tif.msk")
    if kind == "mask":
        world.write_map(evil, np.full((640, 800, 1), 255, np.uint8))
    with rasterio.open(evil, "r+") as dataset:
        dataset.update_tags(ns="OVERVIEWS", OVERVIEW_FILE=TARGETS[1](secret, server))
    if kind == "mask":
        canvas = Mosaic(source, [source])
        assert canvas.read((0, 0, 640, 800), (4, 4))[1].all() and "is not read" in " ".join(canvas.notes)
    else:
        (source.parent / "a.jpg").write_bytes(encode_jpeg(np.zeros((64, 64, 3), np.uint8)))
        row = dict.fromkeys(COLUMNS, 0.0) | {"pair_id": "a", "split": "test", "ground": "a.jpg", "aerial": "a.jpg"}
        write_pairs(source.parent / "pairs.parquet", pd.DataFrame([row]))
        assert PairSource(source.parent, "test", 60.0).overview(64) is None
    assert server.asked == []


@pytest.mark.parametrize(
    "name",
    ["map.tif.ovr", "map.tif.msk", "map.tif.aux.xml", "map.ovr", "map.aux", "map.tfw", "map.wld", "map.prj", "map.RPB",
     "map_RPC.TXT", "map_rpc.txt", "map.IMD", "map.rpb", "map.imd", "map.pvl", "map_metadata.txt", "map.tab"],
)  # fmt: skip
def test_a_pipe_beside_a_map_is_not_waited_for(small_world: World, tmp_path: Path, name: str) -> None:
    (tmp_path / "maps").mkdir()
    source = world.write_map(tmp_path / "maps" / "map.tif", small_world.pixels)
    os.mkfifo(source.parent / name)
    assert overview(Mosaic(source, [source]), 64).pixels.shape == (50, 62, 3)


@pytest.mark.parametrize(
    "system",
    [
        'EXTENSION["PROJ4","+proj=longlat +ellps=bessel +nadgrids={} +no_defs"]',
        'EXTENSION["PROJ4","+init={}:1"]',
        'PARAMETERFILE["Latitude and longitude difference file","{}"]',
    ],
)
def test_a_coordinate_system_opens_no_file(small_world: World, tmp_path: Path, system: str) -> None:
    """PROJ would wait for the pipe."""
    (tmp_path / "maps").mkdir()
    source = world.write_map(tmp_path / "maps" / "map.tif", small_world.pixels, crs=None)
    os.mkfifo(tmp_path / "grid")
    datum = (
        'DATUM["d",SPHEROID["Bessel 1841",6377397.155,299.1528128]],PRIMEM["Greenwich",0],UNIT["degree",0.0174532925]'
    )
    source.with_suffix(".prj").write_text(f'GEOGCS["x",{datum},{system.format(tmp_path / "grid")}]')
    with pytest.raises(AenetError, match="takes numbers from a file"):
        Mosaic(source, [source])


def test_gdals_web_mercator_is_read_although_it_names_a_grid_that_is_none(small_world: World, tmp_path: Path) -> None:
    source = world.write_map(tmp_path / "map.tif", small_world.pixels, crs=None)
    source.with_suffix(".prj").write_text(
        'PROJCS["WGS 84 / Pseudo-Mercator",GEOGCS["WGS 84",DATUM["WGS_1984",SPHEROID["WGS 84",6378137,298.257223563]],'
        'PRIMEM["Greenwich",0],UNIT["degree",0.0174532925199433]],PROJECTION["Mercator_1SP"],'
        'PARAMETER["central_meridian",0],PARAMETER["scale_factor",1],PARAMETER["false_easting",0],'
        'PARAMETER["false_northing",0],UNIT["metre",1],EXTENSION["PROJ4","+proj=merc +a=6378137 +b=6378137 +lat_ts=0 '
        '+lon_0=0 +x_0=0 +y_0=0 +k=1 +units=m +nadgrids=@null +wktext +no_defs"]]'
    )
    assert Mosaic(source, [source]).frame.pixel_width == world.PIXEL_M


# --- Seeded mutations of tags


def test_mutations_of_a_maps_tags(small_world: World, tmp_path: Path, server: Server, secret: Path) -> None:
    """Bytes of the header, the directory, its values and the pixels, of maps that name overviews and of one that does
    not: an overview is asked for of each."""
    blocks = {"tiled": True, "blockxsize": 64, "blockysize": 64}
    source, contents = tmp_path / "map.tif", []
    for target in (None, *TARGETS):
        source.unlink(missing_ok=True)  # or GDAL would remove, too, what it names as its overviews
        world.write_map(source, small_world.pixels[:128, :160], **blocks)
        with rasterio.open(source, "r+") as dataset:
            dataset.update_tags(TIFFTAG_COPYRIGHT="x" * 40, AREA_OR_POINT="Area")
            if target is not None:
                dataset.update_tags(ns="OVERVIEWS", OVERVIEW_FILE=target(secret, server))
        contents.append(source.read_bytes())
    refused = 0
    for number in range(200):
        draw = random.Random(number)
        content = contents[number % len(contents)]
        source.write_bytes(mutated_bytes(content[-2000:], draw) if number % 9 == 0 else _damaged(content, draw))
        try:
            canvas = Mosaic(source, [source])
            pixels = [overview(canvas, 32).pixels, canvas.read((0, 0, 64, 64), (2, 2))[0]]
        except AenetError as sentence:
            refused += 1
            assert "\n" not in str(sentence) and len(str(sentence)) < 1500
        else:
            assert not shows_the_secret(pixels)
    assert refused >= 150 and server.asked == []


def _damaged(content: bytes, draw: random.Random) -> bytes:
    """Change a few bytes of a map, now and then in its pixels only: then its metadata are as they were."""
    if draw.random() < 0.3:
        return content[:1000] + mutated_bytes(content[1000:-3000], draw) + content[-3000:]
    return mutated_bytes(content, draw)
