"""Bands that are not what they are called, files beside a map, collars, and trees that count from the south."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from PIL import Image
from pyproj import CRS
from rasterio.enums import ColorInterp
from rasterio.transform import from_origin

from aenet.commands.gallerycommand import gallery_lines
from aenet.io.errors import AenetError
from aenet.serving.galleries.build import GalleryOptions, build_gallery
from aenet.serving.galleries.galleryoptions import SourceOptions, open_source
from aenet.serving.maps.geotiff import inspect
from aenet.serving.maps.mosaic import Mosaic
from aenet.serving.maps.tiletree import TileTree
from tests.support import world
from tests.support.world import World

C = ColorInterp
RGB, RGBA = [C.red, C.green, C.blue], [C.red, C.green, C.blue, C.alpha]
FAST = {"provider": "cpu", "threads": 1}


def _map(path: Path, bands: np.ndarray, meaning: list[ColorInterp], words: tuple[str, ...] = ()) -> Path:
    """Write bands [n, h, w] with what they are called and how they are described."""
    path.parent.mkdir(exist_ok=True)
    world.write_map(path, np.moveaxis(bands, 0, -1))
    with rasterio.open(path, "r+") as dataset:
        dataset.colorinterp = meaning
        dataset.descriptions = words or (None,) * len(meaning)
    return path


def _flat(*levels: int) -> np.ndarray:
    return np.broadcast_to(np.array(levels, np.uint8)[:, None, None], (len(levels), 64, 64))


# --- Bands


@pytest.mark.parametrize(
    ("meaning", "words", "want", "said"),
    [
        ([C.gray, *[C.undefined] * 3], ("blue", "green", "red", "nir"), [30, 20, 10], r"\(3, 2, 1\) are described as"),
        (RGBA, ("blue", "green", "red", "nir"), [30, 20, 10], "band 4, marked alpha, is described as infrared"),
        ([*RGB, C.undefined], ("NIR", "Red", "Green", "Blue"), [20, 30, 40], r"\(2, 3, 4\) are described as"),
        ([*RGB, C.undefined], ("Red", "Red edge", "Green", "Coastal blue, blue"), [10, 20, 30], None),
        ([*RGB, C.undefined], ("B", "G", "R", ""), [30, 20, 10], r"\(3, 2, 1\)"),
        (RGB, ("near infrared", "red", "green"), [10, 20, 30], "band 1 is marked red and described as infrared"),
        ([C.undefined] * 4, ("nir", "", "", ""), [20, 30, 40], "which of 4 bands are colours is not said"),
        ([C.nir, C.undefined, C.undefined, C.undefined], (), [20, 30, 40], "which of 4 bands"),
        (RGB, ("red", "green", "blue"), [10, 20, 30], None),
        ([*RGB, C.undefined], ("B02", "B03", "B04", "B08"), [30, 20, 10], r"\(3, 2, 1\) are called B4, B3, B2"),
        ([C.gray, *[C.undefined] * 3], ("b8", "b4", "b3", "b2"), [20, 30, 40], r"\(2, 3, 4\) are called"),
        (RGB, ("B04", "B03", "B02"), [10, 20, 30], None),
        ([*RGB, C.undefined], ("Band 2", "Band 3", "Band 4", ""), [10, 20, 30], None),
    ],
)
def test_bands_are_what_they_are_described_as(
    tmp_path: Path, meaning: list[ColorInterp], words: tuple[str, ...], want: list[int], said: str | None
) -> None:
    found = inspect(_map(tmp_path / "map.tif", _flat(10, 20, 30, 40)[: len(meaning)], meaning, words))
    pixels, valid = found.read((0, 0, 64, 64), (64, 64))
    assert pixels[5, 5].tolist() == want and valid.all()
    assert bool(found.notes) == (said is not None)
    assert said is None or any(re.search(said, note) for note in found.notes)


def test_what_holds_of_many_files_is_said_once_and_kept(small_world: World, tmp_path: Path) -> None:
    for number in range(3):
        part = np.moveaxis(small_world.pixels[:, :200], -1, 0)[::-1]
        path = _map(
            tmp_path / "m" / f"{number}.tif", part, [C.gray, C.undefined, C.undefined], ("blue", "green", "red")
        )
        with rasterio.open(path, "r+") as dataset:
            dataset.transform = from_origin(world.EAST + 100 * number, world.NORTH, world.PIXEL_M, world.PIXEL_M)
    summary = build_gallery(tmp_path / "m", tmp_path / "g", small_world.model, GalleryOptions(spacing_m=60.0, **FAST))
    note = "0.tif and 2 more: its bands (3, 2, 1) are described as red, green, blue, and are taken so"
    assert note in summary.lines() and summary.manifest.sources[0].notes == (note,)
    assert any(note in line for line in gallery_lines(tmp_path / "g"))


def _alpha(kind: str) -> np.ndarray:
    values = np.full((256, 256), 255, np.uint8)
    if kind == "infrared":
        values = np.random.default_rng(0).integers(0, 200, (256, 256)).astype(np.uint8)
    elif kind == "infrared over water":
        values[:, :200], values[:, 200:] = 0, np.random.default_rng(0).integers(20, 200, (256, 56))
    elif kind == "feathered":
        values[:, :64] = np.linspace(0, 254, 64).astype(np.uint8)
    elif kind == "one opacity":
        values[:, :128] = 100
    elif kind == "zeros and ones":
        values[:] = np.arange(256) % 2
    return values


@pytest.mark.parametrize(
    ("kind", "share", "said"),
    [
        ("infrared", 1.0, "as infrared is: it is not taken for transparency"),
        ("infrared over water", 1.0, "as infrared is"),
        ("feathered", 1 - 32 / 256, "is half-transparent in "),
        ("one opacity", 0.5, "half-transparent in 50%"),
        ("zeros and ones", 0.0, "band 4, alpha, is 1 of 255 at most: below 128 is no map"),
        ("opaque", 1.0, None),
    ],
)
def test_an_alpha_that_is_infrared_hides_nothing(tmp_path: Path, kind: str, share: float, said: str | None) -> None:
    bands = np.concatenate([np.full((3, 256, 256), 77, np.uint8), _alpha(kind)[None]])
    found = inspect(_map(tmp_path / "map.tif", bands, RGBA))
    _, valid = found.read((0, 0, 256, 256), (256, 256))
    assert valid.mean() == pytest.approx(share, abs=0.01)
    assert said in found.notes[0] if said else not found.notes


def test_a_damaged_alpha_is_said(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (4, 256, 256)).astype(np.uint8)
    path = _map(tmp_path / "map.tif", noise, RGBA)
    path.write_bytes(path.read_bytes()[: 256 * 256 * 2])
    with pytest.raises(AenetError, match=r"map\.tif is damaged|map\.tif is not a GeoTIFF"):
        inspect(path)


# --- Files beside a map


def test_a_world_file_and_a_prj_place_a_map_that_does_not_say_where_it_is(small_world: World, tmp_path: Path) -> None:
    """The corner of the first pixel is half a pixel from the centre that a world file gives."""
    want = inspect(small_world.map).frame
    lines = f"0.5\n0\n0\n-0.5\n{world.EAST + 0.25}\n{world.NORTH - 0.25}\n"
    esri = CRS.from_epsg(32632).to_wkt("WKT1_ESRI")
    for number, (crs, suffix, prj) in enumerate(((world.UTM, ".tfw", ""), (None, ".TFW", esri), (None, ".wld", esri))):
        path = world.write_map(tmp_path / f"{number}.tif", small_world.pixels, crs=crs, transform=Affine.identity())
        path.with_suffix(suffix).write_text(lines.replace("\n", "\r\n"))
        if prj:
            path.with_suffix(".prj").write_text(prj)
        found = inspect(path)
        edges = [getattr(found.frame, side) for side in ("left", "top", "right", "bottom")]
        assert edges == [getattr(want, side) for side in ("left", "top", "right", "bottom")]
        assert len(found.notes) == len(found.beside) == (2 if prj else 1)
        tiles = open_source(path, 60.0, 20.0, SourceOptions()).tiles
        np.testing.assert_allclose(
            tiles["latitude"], open_source(small_world.map, 60.0, 20.0, SourceOptions()).tiles["latitude"], atol=1e-9
        )


def test_files_that_are_used_decide_the_gallery(small_world: World, tmp_path: Path) -> None:
    path = world.write_map(tmp_path / "a.tif", small_world.pixels, transform=Affine.identity())
    digests = []
    for east in (world.EAST, world.EAST + 100):
        path.with_suffix(".tfw").write_text(f"0.5 0 0 -0.5 {east} {world.NORTH}")
        digests.append(Mosaic(path, [path]).digest)
    assert digests[0] != digests[1]


@pytest.mark.parametrize(
    ("files", "crs", "reason"),
    [
        ({"a.tfw": "0.5 0 0 -0.5 1"}, world.UTM, r"a\.tfw is no world file: six numbers"),
        ({"a.tfw": "0.5 0 0 -0.5 1 nan"}, world.UTM, r"a\.tfw is no world file"),
        ({"a.tfw": "0.5 0.1 0.1 -0.5 500000 5300000"}, world.UTM, "rotated or not north up"),
        ({}, world.UTM, r"no position in it, nor is there a world file \(\.tfw\)"),
        ({"a.tfw": "0.5 0 0 -0.5 500000 5300000"}, None, r"no coordinate system, nor is there a \.prj"),
        ({"a.prj": "Projection UTM\nZone 32\n"}, None, r"a\.prj names no system in WKT"),
        ({"a.tif.aux.xml": "<PAMDataset><SRS>GEOGCS</SRS></PAMDataset>"}, None, r"\.aux\.xml .*holds SRS: `gdal_tr"),
    ],
)
def test_what_lies_beside_a_map_and_does_not_do_is_named(
    tmp_path: Path, files: dict[str, str], crs: str | None, reason: str
) -> None:
    path = world.write_map(tmp_path / "a.tif", np.zeros((64, 64, 3), np.uint8), crs=crs, transform=Affine.identity())
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(AenetError, match=reason):
        inspect(path)


def test_a_maps_own_position_goes_before_a_world_file_that_says_another(small_world: World, tmp_path: Path) -> None:
    path = world.write_map(tmp_path / "a.tif", small_world.pixels)
    path.with_suffix(".tfw").write_text(f"0.5 0 0 -0.5 {world.EAST + 0.25} {world.NORTH - 0.25}")
    assert inspect(path).notes == ()
    path.with_suffix(".tfw").write_text(f"0.5 0 0 -0.5 {world.EAST + 3.25} {world.NORTH - 0.25}")
    (note,) = inspect(path).notes
    assert "6.0 px off the map's own position, which is taken" in note and inspect(path).frame.left == world.EAST
    path.with_suffix(".tfw").write_text("no numbers")
    (note,) = inspect(path).notes
    assert "a.tfw is no world file" in note and "the map's own position is taken" in note


def _mask(path: Path, shape: tuple[int, int], count: int = 1) -> np.ndarray:
    """Write a mask as GDAL puts it beside a map, its left fifth empty."""
    values = np.full((count, *shape), 255, np.uint8)
    values[..., : shape[1] // 5] = 0
    profile = {"driver": "GTiff", "count": count, "height": shape[0], "width": shape[1], "dtype": "uint8"}
    with rasterio.open(path, "w", **profile) as dataset:
        dataset.write(values)
    return values[0]


def test_a_mask_beside_a_map_is_as_good_as_one_inside(small_world: World, tmp_path: Path) -> None:
    beside = shutil.copy(small_world.map, tmp_path / "beside.tif")
    mask = _mask(tmp_path / "beside.tif.msk", small_world.pixels.shape[:2])
    inside = shutil.copy(small_world.map, tmp_path / "inside.tif")
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(inside, "r+") as dataset:
        dataset.write_mask(mask > 0)
    for box, shape in (((0, 0, 640, 800), (640, 800)), ((0, 0, 640, 800), (320, 400)), ((100, 100, 90, 90), (90, 90))):
        want, got = inspect(inside).read(box, shape), inspect(beside).read(box, shape)
        for a, b in zip(want, got, strict=True):
            np.testing.assert_array_equal(a, b)
    assert inspect(beside).notes == (".msk beside it is used",)


@pytest.mark.parametrize(
    ("shape", "count", "reason"), [((64, 64), 1, "1 bands of uint8, 64 x 64 px"), ((640, 800), 3, "3 bands of uint8")]
)
def test_a_mask_that_does_not_fit_is_named(
    small_world: World, tmp_path: Path, shape: tuple[int, int], count: int, reason: str
) -> None:
    path = shutil.copy(small_world.map, tmp_path / "a.tif")
    _mask(tmp_path / "a.tif.msk", shape, count)
    (note,) = inspect(path).notes
    assert reason in note and "GDAL_TIFF_INTERNAL_MASK" in note and inspect(path).mask is None


def test_what_is_not_read_is_named(small_world: World, tmp_path: Path) -> None:
    """Statistics change no map; a nodata value does. An overview only saves time."""
    path = shutil.copy(small_world.map, tmp_path / "a.tif")
    aux = tmp_path / "a.tif.aux.xml"
    aux.write_text('<PAMDataset><Metadata><MDI key="STATISTICS_MEAN">9</MDI></Metadata></PAMDataset>')
    assert inspect(path).notes == ()
    aux.write_text("<PAMDataset><PAMRasterBand band='1'><NoDataValue>0</NoDataValue></PAMRasterBand></PAMDataset>")
    (tmp_path / "a.tif.ovr").write_bytes(b"no matter what")
    first, second = inspect(path).notes
    assert "which holds NoDataValue" in first and ".ovr beside it is not read" in second


def test_a_map_whose_metadata_name_another_file_is_refused(small_world: World, tmp_path: Path) -> None:
    """GDAL would open what item OVERVIEW_FILE names, with any driver, at the first reading of fewer pixels."""
    path = shutil.copy(small_world.map, tmp_path / "a.tif")
    other = world.write_map(tmp_path / "secret", np.full((320, 400, 3), 66, np.uint8))
    with rasterio.open(path, "r+") as dataset:
        dataset.update_tags(ns="OVERVIEWS", OVERVIEW_FILE=str(other))
    for source in (path, tmp_path / "*.tif"):
        with pytest.raises(AenetError, match=r"a\.tif names a file elsewhere as its overviews.*gdal_translate -nomd"):
            open_source(source, 60.0, 20.0, SourceOptions())
    # As a mask it is not read either.
    shutil.copy(path, tmp_path / "b.tif.msk")
    shutil.copy(small_world.map, tmp_path / "b.tif")
    (note,) = inspect(tmp_path / "b.tif").notes
    assert "not read" in note


# --- Collars


def test_the_share_of_black_and_white_collars_is_said(small_world: World, tmp_path: Path) -> None:
    """A quarter of the map is black from its edge; black in its middle, and a collar called nodata, are no collar."""
    pixels = np.maximum(small_world.pixels, 40)
    pixels[200:300, 300:500] = 0
    said = []
    for name, value, nodata in (("black", 0, None), ("white", 255, None), ("black", 0, 0), ("none", None, None)):
        collared = pixels.copy()
        if value is not None:
            collared[:, :200] = value
        path = world.write_map(tmp_path / "map.tif", collared, **({} if nodata is None else {"nodata": nodata}))
        options = GalleryOptions(spacing_m=60.0, overwrite=True, **FAST)
        summary = build_gallery(path, tmp_path / "g", small_world.model, options)
        lines = [line for line in summary.lines() if "inwards" in line]
        said.append([name in line and "25% of map.tif" in line for line in lines])
    assert said == [[True], [True], [], []]


# --- Tile trees


def _tree(root: Path, tms: bool, profile: str | None = None, rows: int = 3) -> Path:
    """Cut the world's pixels into tiles of zoom 18 near 48 degrees north."""
    pixels = world.make_pixels(240, 240)
    count, y0 = 2**18, 91_000
    for dx in range(3):
        for dy in range(rows):
            tile = np.ascontiguousarray(pixels[dy * 64 : dy * 64 + 64, dx * 64 : dx * 64 + 64])
            path = root / "18" / str(137_000 + dx) / f"{count - 1 - (y0 + dy) if tms else y0 + dy}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(tile).save(path)
    if profile is not None:
        (root / "tilemapresource.xml").write_text(
            f'<?xml version="1.0"?><TileMap version="1.0.0"><SRS>EPSG:3857</SRS><TileSets profile="{profile}">'
            '<TileSet href="18" units-per-pixel="0.597" order="18"/></TileSets></TileMap>'
        )
    return root


@pytest.mark.parametrize("profile", ["mercator", "global-mercator"])
def test_a_tree_that_says_tms_lies_in_its_own_hemisphere(tmp_path: Path, profile: str) -> None:
    plain = TileTree(_tree(tmp_path / "xyz", False))
    said = TileTree(_tree(tmp_path / "tms", True, profile))
    assert said.frame == plain.frame and plain.notes == () and "y counts from the south" in said.notes[0]
    box = (0, 0, plain.frame.height, plain.frame.width)
    np.testing.assert_array_equal(said.read(box)[0], plain.read(box)[0])


@pytest.mark.parametrize("profile", ["raster", "geodetic", "global-geodetic", "local", "odd", ""])
def test_a_tree_of_other_tiles_is_refused_before_it_is_read(tmp_path: Path, profile: str) -> None:
    root = _tree(tmp_path / "tree", True, profile, rows=1)
    for file in root.rglob("*.png"):
        file.write_bytes(b"torn")
    with pytest.raises(AenetError, match=rf"tilemapresource\.xml says profile={profile}: .*gdal2tiles\.py"):
        open_source(root, 60.0, 20.0, SourceOptions())


def test_rows_that_fit_the_other_way_are_refused(tmp_path: Path) -> None:
    xyz, tms = _tree(tmp_path / "xyz", False), _tree(tmp_path / "tms", True)
    with pytest.raises(AenetError, match=r"counted from the north .*: add `tms`"):
        TileTree(tms)
    with pytest.raises(AenetError, match=r"counted from the south .*: leave `tms` away"):
        TileTree(xyz, tms=True)
    with pytest.raises(AenetError, match=r"counted from the south .*: remove tilemapresource\.xml"):
        TileTree(_tree(tmp_path / "wrong", False, "mercator"))
    assert TileTree(tms, tms=True).frame == TileTree(xyz).frame


def test_where_pictures_cannot_tell_it_is_said(tmp_path: Path) -> None:
    assert "add `tms` if it counts from the south" in TileTree(_tree(tmp_path / "a", True, rows=1)).notes[0]
    assert TileTree(_tree(tmp_path / "b", True, rows=1), tms=True).notes == ()


@pytest.mark.parametrize(
    "text",
    ["no xml", '<!DOCTYPE t [<!ENTITY a "aaaa">]><TileMap><TileSets profile="mercator">&a;</TileSets></TileMap>'],
)
def test_a_description_that_is_none_is_named(tmp_path: Path, text: str) -> None:
    root = _tree(tmp_path / "tree", True, rows=1)
    (root / "tilemapresource.xml").write_text(text)
    with pytest.raises(AenetError, match=r"tilemapresource\.xml .*delete it.*`tms`"):
        TileTree(root)
