"""A GeoTIFF from anybody reads no other file and asks nobody, wherever a raster is opened.

GDAL follows what a file's own metadata name as its overviews, and what lies beside it, with any of its drivers. A
server counts what is asked of it, and a secret map's colours must appear nowhere.
"""

import os
import random
import shutil
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rasterio
from serving import world
from serving.mutations import mutated_bytes
from serving.world import World

from aenet.data.pairs import COLUMNS, write_pairs
from aenet.errors import AenetError
from aenet.images import decode, encode_jpeg
from aenet.serving.galleries.build import GalleryOptions, build_gallery
from aenet.serving.galleries.extend import AddOptions, add_to_gallery
from aenet.serving.maps.mosaic import Mosaic
from aenet.serving.maps.overview import overview
from aenet.serving.maps.pairtiles import PairSource

FAST = {"provider": "cpu", "threads": 1}
COLOUR = (251, 3, 247)  # of the secret map; the world's has no such pixel
pytestmark = pytest.mark.timeout(60)


class Server(ThreadingHTTPServer):
    """Answers 404 and keeps what it was asked."""

    asked: list[str]


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.server.asked.append(self.path)  # type: ignore[attr-defined]  # a Server
        self.send_error(404)

    do_HEAD = do_GET  # noqa: N815  http.server's names

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server(("127.0.0.1", 0), _Handler)
    made.asked = []
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A map whose every pixel is of one colour, as large as the world's reduced to a quarter."""
    return world.write_map(tmp_path / "secret.tif", np.full((160, 200, 3), COLOUR, np.uint8))


def _path(secret: Path, server: Server) -> str:
    return str(secret)


def _address(secret: Path, server: Server) -> str:
    return f"/vsicurl/http://127.0.0.1:{server.server_port}/o.tif"


def _archive(secret: Path, server: Server) -> str:
    return f"/vsizip//vsicurl/http://127.0.0.1:{server.server_port}/o.zip/o.tif"


def _service(secret: Path, server: Server) -> str:
    return (
        f'<GDAL_WMS><Service name="TMS"><ServerUrl>http://127.0.0.1:{server.server_port}/${{z}}/${{x}}/${{y}}.png'
        "</ServerUrl></Service><DataWindow><UpperLeftX>0</UpperLeftX><UpperLeftY>0</UpperLeftY><LowerRightX>1</LowerRightX>"
        "<LowerRightY>1</LowerRightY><SizeX>400</SizeX><SizeY>320</SizeY><TileLevel>2</TileLevel></DataWindow>"
        "<BandsCount>3</BandsCount></GDAL_WMS>"
    )


def _virtual(secret: Path, server: Server) -> str:
    bands = "".join(
        f'<VRTRasterBand dataType="Byte" band="{band}"><SimpleSource><SourceFilename>{secret}</SourceFilename>'
        f"<SourceBand>{band}</SourceBand></SimpleSource></VRTRasterBand>"
        for band in (1, 2, 3)
    )
    return f'<VRTDataset rasterXSize="200" rasterYSize="160">{bands}</VRTDataset>'


def _connection(secret: Path, server: Server) -> str:
    return f"vrt://{secret}?bands=1,2,3"


Named = Callable[[Path, Server], str]
TARGETS = [_path, _address, _archive, _service, _virtual, _connection]
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


def _shows_the_secret(pixels: list[np.ndarray]) -> bool:
    return any((np.abs(part.astype(int) - COLOUR).max(-1) < 20).mean() > 0.2 for part in pixels)


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
    assert server.asked == [] and not _shows_the_secret(pixels)
    with pytest.raises(AenetError, match="names a file elsewhere as its overviews"):
        Mosaic(source, [source])


@each_target
def test_a_file_of_another_driver_is_no_map_whatever_its_name(
    small_world: World, tmp_path: Path, server: Server, secret: Path, target: Named
) -> None:
    (tmp_path / "maps").mkdir()
    source = tmp_path / "maps" / "map.tif"
    source.write_text(target(secret, server))
    assert not _shows_the_secret(_used(source, small_world, tmp_path)) and server.asked == []


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
    assert server.asked == [] and not _shows_the_secret(pixels)
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
        dataset.update_tags(ns="OVERVIEWS", OVERVIEW_FILE=_address(secret, server))
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
            assert not _shows_the_secret(pixels)
    assert refused >= 150 and server.asked == []


def _damaged(content: bytes, draw: random.Random) -> bytes:
    """Change a few bytes of a map, now and then in its pixels only: then its metadata are as they were."""
    if draw.random() < 0.3:
        return content[:1000] + mutated_bytes(content[1000:-3000], draw) + content[-3000:]
    return mutated_bytes(content, draw)
