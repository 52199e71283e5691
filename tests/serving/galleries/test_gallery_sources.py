"""What a gallery can be built from: files, mosaics, tile trees, tables; and what is refused, with the way out."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rasterio
from affine import Affine
from PIL import Image
from rasterio.control import GroundControlPoint
from rasterio.enums import ColorInterp
from rasterio.transform import from_origin

from aenet.commands.gallerycommand import gallery_lines
from aenet.data.card import read_card
from aenet.data.distance import distance_m
from aenet.io.errors import AenetError
from aenet.serving.galleries.build import GalleryOptions, build_gallery
from aenet.serving.galleries.gallery import Gallery
from aenet.serving.galleries.galleryoptions import SourceOptions, open_source
from aenet.serving.maps.geotiff import inspect
from aenet.serving.maps.mosaic import Mosaic
from aenet.serving.maps.tiletree import TileTree
from aenet.view.images import encode_jpeg
from aenet.view.spec import ViewSpec
from tests.support import world
from tests.support.world import World

FAST = {"provider": "cpu", "threads": 1}
SPEC = ViewSpec.polar(height=world.HEIGHT, width=world.WIDTH, tile_size_m=world.TILE_M)
MOON = 'GEOGCS["Moon",DATUM["D_Moon",SPHEROID["Moon",1737400,0]],PRIMEM["0",0],UNIT["degree",0.0174532925199433]]'


def _part(path: Path, pixels: np.ndarray, row: int, column: int, **profile: object) -> Path:
    """Write a part of the world's map that begins at a row and column."""
    x, y = world.EAST + column * world.PIXEL_M, world.NORTH - row * world.PIXEL_M
    path.parent.mkdir(exist_ok=True)
    return world.write_map(path, pixels, transform=from_origin(x, y, world.PIXEL_M, world.PIXEL_M), **profile)


# --- Mosaics


def test_a_mosaic_gives_the_gallery_of_the_whole_map(small_world: World, tmp_path: Path) -> None:
    """Tiles that cross the borders of four unequal files are stitched without a seam."""
    pixels, folder = small_world.pixels, tmp_path / "parts"
    for name, rows, columns in (
        ("d", (0, 231), (0, 333)),
        ("a", (0, 231), (333, 800)),
        ("c", (231, 640), (0, 500)),
        ("b", (231, 640), (500, 800)),
    ):
        part = pixels[slice(*rows), slice(*columns)]
        _part(folder / f"{name}.tif", part, rows[0], columns[0])
    built = []
    for source, out in ((small_world.map, "whole"), (folder, "mosaic"), (folder / "[a-d].tif", "glob")):
        build_gallery(source, tmp_path / out, small_world.model, GalleryOptions(spacing_m=20.0, **FAST))
        built.append(Gallery.open(tmp_path / out, read_card(small_world.model)))
    for other in built[1:]:
        pd.testing.assert_frame_equal(other.tiles, built[0].tiles)
        np.testing.assert_array_equal(other.descriptors[0], built[0].descriptors[0])
    assert built[1].manifest.sources[0].name == "parts" and built[1].manifest.dropped == 0


def test_a_seam_through_averaged_pixels_is_no_seam(tmp_path: Path) -> None:
    """Reduced three to one, files whose borders cut through the blocks give the map of one file."""
    pixels = world.make_pixels(240, 300)
    whole = Mosaic(tmp_path, [_part(tmp_path / "whole.tif", pixels, 0, 0)])
    parts = [
        _part(tmp_path / "p" / "a.tif", pixels[:, :150], 0, 0),
        _part(tmp_path / "p" / "b.tif", pixels[:, 150:], 0, 150),
    ]
    odd = [
        _part(tmp_path / "q" / "a.tif", pixels[:, :100], 0, 0),
        _part(tmp_path / "q" / "b.tif", pixels[:, 100:], 0, 100),
    ]
    want, _ = whole.read((0, 0, 240, 300), (3, 3))
    even, valid = Mosaic(tmp_path, parts).read((0, 0, 240, 300), (3, 3))
    assert valid.all() and np.abs(even.astype(int) - want).max() <= 1
    cut, valid = Mosaic(tmp_path, odd).read((0, 0, 240, 300), (3, 3))
    seam = np.abs(cut.astype(int) - want).max(axis=(0, 2))
    assert valid.all() and seam[np.arange(100) != 33].max() <= 1 and seam[33] < 40


def test_where_files_overlap_the_first_by_name_wins_and_nodata_is_filled(tmp_path: Path) -> None:
    red, blue = np.zeros((100, 200, 3), np.uint8), np.zeros((100, 200, 3), np.uint8)
    red[..., 0], blue[..., 2] = 200, 200
    red[:50, 100:] = 0
    files = [_part(tmp_path / "2.tif", blue, 0, 100, nodata=0), _part(tmp_path / "1.tif", red, 0, 0, nodata=0)]
    for order in (files, files[::-1]):
        pixels, valid = Mosaic(tmp_path, order).read((0, 0, 100, 300))
        assert valid.all()
        np.testing.assert_array_equal(pixels[20, [50, 150, 250]], [[200, 0, 0], [0, 0, 200], [0, 0, 200]])
        np.testing.assert_array_equal(pixels[80, [50, 150, 250]], [[200, 0, 0], [200, 0, 0], [0, 0, 200]])


def test_between_far_files_of_a_mosaic_there_are_no_candidates(small_world: World, tmp_path: Path) -> None:
    _part(tmp_path / "m" / "a.tif", small_world.pixels, 0, 0)
    _part(tmp_path / "m" / "b.tif", small_world.pixels, 30_000, 40_000)
    tiles = open_source(tmp_path / "m", 60.0, 20.0, SourceOptions()).tiles
    assert tiles["tile_id"].is_unique
    x, y = tiles["easting"] - world.EAST, world.NORTH - tiles["northing"]
    near = x.between(-30, 430) & y.between(-30, 350)
    far = x.between(19_970, 20_430) & y.between(14_970, 15_350)
    assert (near | far).all() and near.sum() > 200 and far.sum() > 200


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"crs": "EPSG:32633"}, r"zone 32N, .* zone 33N.*gallery add"),
        ({"transform": from_origin(world.EAST, world.NORTH, 0.4, 0.4)}, r"0\.5 x 0\.5, .*0\.4 x 0\.4.*gdalwarp -tr"),
    ],
)
def test_files_that_do_not_fit_are_refused(tmp_path: Path, change: dict[str, object], reason: str) -> None:
    files = [world.write_map(tmp_path / "a.tif", world.make_pixels()), tmp_path / "b.tif"]
    world.write_map(files[1], world.make_pixels(), **change)  # type: ignore[arg-type]  # mixed by design
    with pytest.raises(AenetError, match=reason):
        Mosaic(tmp_path, files)


# --- Bands


def _write_bands(path: Path, bands: np.ndarray, meaning: list[ColorInterp], **profile: object) -> Path:
    world.write_map(path, np.moveaxis(bands, 0, -1), **profile)
    with rasterio.open(path, "r+") as dataset:
        dataset.colorinterp = meaning
    return path


def test_bands_become_colours_by_what_they_mean(tmp_path: Path) -> None:
    C = ColorInterp
    levels = np.broadcast_to(np.array([10, 20, 30, 40], np.uint8)[:, None, None], (4, 64, 64))
    box = (0, 0, 4, 4)
    for name, meaning, count, want in (
        ("bgr", [C.blue, C.green, C.red], 3, [30, 20, 10]),
        ("infrared", [C.undefined, C.red, C.green, C.blue], 4, [20, 30, 40]),
        ("plain", [C.undefined, C.undefined, C.undefined, C.undefined], 4, [10, 20, 30]),
        ("grey", [C.gray], 1, [10, 10, 10]),
        ("grey and faint alpha", [C.gray, C.alpha], 2, [0, 0, 0]),
    ):
        path = _write_bands(tmp_path / f"{name}.tif", levels[:count], meaning)
        pixels, valid = inspect(path).read(box, (4, 4))
        np.testing.assert_array_equal(pixels[0, 0], want, err_msg=name)
        assert valid.all() == (name != "grey and faint alpha"), name


def test_a_palette_is_looked_up_and_never_averaged(tmp_path: Path) -> None:
    path = tmp_path / "palette.tif"
    world.write_map(path, np.tile(np.array([[[0], [1]]], np.uint8), (32, 32, 1)), photometric="palette")
    with rasterio.open(path, "r+") as dataset:
        dataset.write_colormap(1, {0: (255, 0, 0, 255), 1: (0, 0, 255, 255)})
    pixels, _ = inspect(path).read((0, 0, 32, 64), (16, 32))
    assert {tuple(colour) for colour in pixels.reshape(-1, 3).tolist()} <= {(255, 0, 0), (0, 0, 255)}


def test_transparent_parts_are_no_map(tmp_path: Path) -> None:
    bands = np.full((4, 64, 64), 77, np.uint8)
    bands[3, :, :32], bands[3, :, 32:] = 255, 0
    path = _write_bands(
        tmp_path / "a.tif", bands, [*(getattr(ColorInterp, c) for c in ("red", "green", "blue", "alpha"))]
    )
    pixels, valid = inspect(path).read((0, 0, 64, 64), (64, 64))
    assert valid[:, :32].all() and not valid[:, 32:].any()
    assert (pixels[:, :32] == 77).all() and (pixels[:, 32:] == 0).all()


def test_the_share_of_map_that_a_tile_needs_is_a_choice(small_world: World, tmp_path: Path) -> None:
    pixels = small_world.pixels.copy()
    pixels[:, 400:] = 0
    path = world.write_map(tmp_path / "half.tif", pixels, nodata=0)
    kept = []
    for share in (0.1, 0.5, 1.0):
        source = open_source(path, 60.0, 20.0, SourceOptions(min_valid=share))
        kept.append(len(list(source.cut(0, len(source.tiles), SPEC))))
    assert kept[0] > kept[1] > kept[2] > 0


# --- What is refused


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"crs": MOON, "transform": from_origin(9, 48, 1e-5, 1e-5)}, r"not of the Earth.*1,737,400 m"),
        ({"crs": "EPSG:4326"}, "no place on Earth"),
        ({"transform": Affine(0.5, 0, 500_000, 0, 0.5, 5_300_000)}, "not north up"),
        ({"pixels": np.zeros((64, 64, 3), np.float32)}, "float32, uint8 is needed"),
        ({"pixels": np.zeros((64, 64, 1), np.uint16)}, "uint16, uint8 is needed.*gdal_translate"),
    ],
)
def test_maps_without_a_place_or_colours_are_refused(tmp_path: Path, change: dict[str, object], reason: str) -> None:
    arguments = {"pixels": np.zeros((64, 64, 3), np.uint8), **change}
    path = world.write_map(tmp_path / "map.tif", **arguments)  # type: ignore[arg-type]  # mixed by design
    with pytest.raises(AenetError, match=reason):
        inspect(path)


def test_control_points_alone_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "gcp.tif"
    points = [
        GroundControlPoint(row, column, 9 + column / 1e4, 48 - row / 1e4) for row, column in ((0, 0), (0, 60), (60, 0))
    ]
    with rasterio.open(path, "w", driver="GTiff", height=64, width=64, count=3, dtype="uint8") as dataset:
        dataset.gcps = (points, rasterio.crs.CRS.from_epsg(4326))
        dataset.write(np.zeros((3, 64, 64), np.uint8))
    with pytest.raises(AenetError, match=r"control points alone.*gdalwarp"):
        inspect(path)


def test_a_coordinate_system_without_a_position_is_refused(tmp_path: Path) -> None:
    path = world.write_map(tmp_path / "map.tif", np.zeros((64, 64, 3), np.uint8), transform=Affine.identity())
    with pytest.raises(AenetError, match=r"no position in it.*gdal_edit"):
        inspect(path)


def test_no_byte_of_another_file_gets_into_a_gallery(small_world: World, tmp_path: Path) -> None:
    """Neither by a VRT named .tif, nor by one that poses as a GeoTIFF's overview or mask."""
    marker = bytes(range(200, 256)) * 4000
    (tmp_path / "secret.bin").write_bytes(marker)
    vrt = (
        '<VRTDataset rasterXSize="400" rasterYSize="320"><SRS>EPSG:32632</SRS>'
        "<GeoTransform>500000,0.5,0,5300000,0,-0.5</GeoTransform>{0}</VRTDataset>"
    )
    band = (
        '<VRTRasterBand dataType="Byte" band="{0}" subClass="VRTRawRasterBand"><SourceFilename relativetoVRT="0">'
        + str(tmp_path / "secret.bin")
        + "</SourceFilename></VRTRasterBand>"
    )
    disguised = vrt.format("".join(band.format(number) for number in (1, 2, 3)))
    folder = tmp_path / "maps"
    folder.mkdir()
    (folder / "a.tif").write_text(disguised)
    world.write_map(folder / "b.tif", small_world.pixels)
    for source in (folder / "a.tif", folder):
        with pytest.raises(AenetError, match=r"a\.tif is not a GeoTIFF \(it "):
            build_gallery(source, tmp_path / "gallery", small_world.model, GalleryOptions(**FAST))
    assert not (tmp_path / "gallery").exists()
    (folder / "a.tif").unlink()
    for sibling in ("b.tif.ovr", "b.tif.msk"):
        (folder / sibling).write_text(vrt.format("".join(band.format(number) for number in (1, 2, 3))))
    pixels, valid = Mosaic(folder, [folder / "b.tif"]).read((0, 0, 640, 800), (2, 2))
    want = small_world.pixels.reshape(320, 2, 400, 2, 3).mean(axis=(1, 3))
    assert valid.all() and np.abs(pixels - want).max() <= 1


# --- Tile trees


def _write_tree(root: Path, zoom: int, tms: bool = False, side: int = 256) -> tuple[int, int]:
    """Write 3 x 3 opaque tiles around the world's place, their colours by place; return x and y of the first."""
    longitude, latitude = 9.0, 47.85
    count = 2**zoom
    x = int((longitude + 180) / 360 * count)
    y = int((1 - np.arcsinh(np.tan(np.radians(latitude))) / np.pi) / 2 * count)
    for dx in range(3):
        for dy in range(3):
            tile = np.full((side, side, 3), (40 + 80 * dx, 40 + 80 * dy, 10), np.uint8)
            row = count - 1 - (y + dy) if tms else y + dy
            path = root / str(zoom) / str(x + dx) / f"{row}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(tile).save(path)
    return x, y


def test_a_tile_tree_lies_where_its_numbers_say(tmp_path: Path) -> None:
    """The corner of a tile by the formula of slippy maps (OpenStreetMap wiki), and the colour around it."""
    x, y = _write_tree(tmp_path, 18)
    _write_tree(tmp_path, 16)
    source = open_source(tmp_path, 60.0, 10.0, SourceOptions())
    corner_longitude = (x + 1) / 2**18 * 360 - 180
    corner_latitude = np.degrees(np.arctan(np.sinh(np.pi * (1 - 2 * (y + 2) / 2**18))))
    tiles = source.tiles
    away = distance_m(
        tiles["latitude"].to_numpy(),
        tiles["longitude"].to_numpy(),
        np.full(len(tiles), corner_latitude),
        np.full(len(tiles), corner_longitude),
    )
    row = int(np.argmin(away))
    assert away[row] < 7.2
    (cut,) = source.cut(row, row + 1, ViewSpec.polar(height=32, width=128, tile_size_m=60.0))
    # To the north-east of that corner lies tile (1, 1), to the south-west (0, 2); 5/8 and 1/8 of the width.
    np.testing.assert_array_equal(cut.view[4, 80], (120, 120, 10))
    np.testing.assert_array_equal(cut.view[4, 16], (40, 200, 10))
    # 256 px of zoom 18 are 102.6 m on the ground at this latitude.
    assert source.tile_px(SPEC) == pytest.approx(60 / 102.6 * 256, abs=2)


def test_metres_of_a_tile_tree_are_those_on_the_ground(tmp_path: Path) -> None:
    _write_tree(tmp_path, 18)
    tiles = open_source(tmp_path, 60.0, 20.0, SourceOptions()).tiles
    row = tiles[tiles["northing"] == tiles["northing"].iloc[0]]
    latitude, longitude = row["latitude"].to_numpy(), row["longitude"].to_numpy()
    np.testing.assert_allclose(distance_m(latitude[:-1], longitude[:-1], latitude[1:], longitude[1:]), 20.0, atol=0.02)
    assert len(row) == int((3 * 102.6 - 60) // 20) + 1


def test_a_tms_tree_is_the_same_map(tmp_path: Path) -> None:
    _write_tree(tmp_path / "xyz", 17)
    _write_tree(tmp_path / "tms", 17, tms=True)
    a, b = TileTree(tmp_path / "xyz"), TileTree(tmp_path / "tms", tms=True)
    assert a.frame == b.frame
    box = (0, 0, a.frame.height, a.frame.width)
    np.testing.assert_array_equal(a.read(box)[0], b.read(box)[0])


def test_missing_and_transparent_tiles_are_dropped_and_counted(small_world: World, tmp_path: Path) -> None:
    x, y = _write_tree(tmp_path / "tree", 18)
    (tmp_path / "tree" / "18" / str(x) / f"{y}.png").unlink()
    Image.fromarray(np.zeros((256, 256, 4), np.uint8)).save(tmp_path / "tree" / "18" / str(x + 2) / f"{y + 2}.png")
    model = small_world.model
    made = build_gallery(tmp_path / "tree", tmp_path / "g", model, GalleryOptions(spacing_m=20.0, **FAST)).manifest
    assert made.sources[0].kind == "xyz" and made.dropped > 20 and made.floor is not None
    tiles = Gallery.open(tmp_path / "g", read_card(model)).tiles
    size = 2 * np.pi * 6378137 / 2**18
    column, row = (tiles["easting"] / size + 2**17 - x), (2**17 - tiles["northing"] / size - y)
    assert not ((column < 0.7) & (row < 0.7)).any() and not ((column > 2.3) & (row > 2.3)).any()


@pytest.mark.parametrize(
    ("name", "content", "options", "reason"),
    [
        ("18/9/9.png", None, {"zoom": 12}, r"no zoom 12 \(it has: 18\)"),
        ("3/9/1.png", None, {}, "zoom 3 has 8 tiles a side"),
        ("18/9/9.png", b"torn", {}, "9.png"),
        ("18/9/9.txt", b"", {}, "holds no tiles"),
    ],
)
def test_trees_that_are_none_are_refused(
    tmp_path: Path, name: str, content: bytes | None, options: dict[str, int], reason: str
) -> None:
    (tmp_path / name).parent.mkdir(parents=True)
    (tmp_path / name).write_bytes(encode_jpeg(np.zeros((256, 256, 3), np.uint8)) if content is None else content)
    with pytest.raises(AenetError, match=reason):
        open_source(tmp_path, 60.0, 20.0, SourceOptions(**options))


# --- Tables of tiles


def _write_tiles(small: World, folder: Path, sizes: list[float | None]) -> pd.DataFrame:
    """Write tiles of the world's map with their positions; None leaves the size away."""
    folder.mkdir()
    rows = []
    for number, ((x, y), size) in enumerate(zip([(60, 60), (200, 160), (340, 260)], sizes, strict=False)):
        half = round((size or 60.0) / world.PIXEL_M / 2)
        top, left = round(y / world.PIXEL_M) - half, round(x / world.PIXEL_M) - half
        tile = np.ascontiguousarray(small.pixels[top : top + 2 * half, left : left + 2 * half])
        Image.fromarray(tile).save(folder / f"tile {number}.png")
        latitude, longitude = world.position(x, y)
        row = {"path": f"tile {number}.png", "latitude": latitude, "longitude": longitude}
        rows.append(row | ({"size_m": size} if size else {}))
    return pd.DataFrame(rows)


@pytest.mark.parametrize("sizes", [[60.0, 80.0, 100.0], [None, None, None]])
def test_a_table_of_tiles_is_cut_to_the_tile_size(
    small_world: World, tmp_path: Path, sizes: list[float | None]
) -> None:
    table = _write_tiles(small_world, tmp_path / "tiles", sizes)
    table.to_csv(tmp_path / "tiles" / "positions.csv", index=False)
    source = open_source(tmp_path / "tiles", 60.0, 20.0, SourceOptions())
    cuts = list(source.cut(0, 3, SPEC))
    for cut, (x, y) in zip(cuts, [(60, 60), (200, 160), (340, 260)], strict=True):
        want = world.panorama(small_world.pixels, x, y, world.HEIGHT, world.WIDTH)
        assert np.abs(cut.view.astype(int) - want).max() <= 1
    made = build_gallery(
        tmp_path / "tiles" / "positions.csv", tmp_path / "g", small_world.model, GalleryOptions(**FAST)
    )
    assert made.manifest.floor is None and made.manifest.tiles == 3 and made.manifest.sources[0].kind == "positions"
    unsaid = "nothing says how many metres of ground the tiles of positions.csv cover: they were taken for 60 m a side"
    assert any(unsaid in line and "column size_m" in line for line in made.lines()) == (sizes[0] is None)
    assert any("of how many metres it does not say" in line for line in gallery_lines(tmp_path / "g")) == (
        sizes[0] is None
    )


def test_tables_of_tiles_that_do_not_do_are_refused(small_world: World, tmp_path: Path) -> None:
    table = _write_tiles(small_world, tmp_path / "tiles", [60.0, 50.0])
    for change, reason in (
        ({}, r"tile 1\.png' covers 50\.0 m .* of 60 m"),
        ({"latitude": [91.0, 0.0]}, r"row 1: latitude 91\.0 is outside \+-90"),
        ({"longitude": ["east", 1.0]}, r"row 1: longitude 'east' is no number"),
        ({"longitude": ["", 1.0]}, r"row 1: 'tile 0\.png' has no longitude"),
        ({"path": ["tile 0.png"] * 2}, "twice"),
        ({"path": [None, "b"]}, "row 1: path must be the path of an image"),
    ):
        table.assign(**change).to_csv(tmp_path / "tiles" / "t.csv", index=False)
        with pytest.raises(AenetError, match=reason):
            open_source(tmp_path / "tiles" / "t.csv", 60.0, 20.0, SourceOptions())
    table.drop(columns="latitude").to_csv(tmp_path / "tiles" / "t.csv", index=False)
    with pytest.raises(AenetError, match=r"lacks a column for latitude \(latitude, lat,"):
        open_source(tmp_path / "tiles", 60.0, 20.0, SourceOptions())


def test_a_folder_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AenetError, match="nothing to build from"):
        open_source(tmp_path, 60.0, 20.0, SourceOptions())
    with pytest.raises(AenetError, match="does not exist"):
        open_source(tmp_path / "no.tif", 60.0, 20.0, SourceOptions())
    with pytest.raises(AenetError, match="no file there is a GeoTIFF"):
        open_source(tmp_path / "*.tif", 60.0, 20.0, SourceOptions())


def test_options_of_tile_trees_are_not_ignored_elsewhere(small_world: World) -> None:
    for options in (SourceOptions(zoom=18), SourceOptions(tms=True)):
        with pytest.raises(AenetError, match=r"no tree of map tiles \(raster\)"):
            open_source(small_world.map, 60.0, 20.0, options)


# --- What the manifest says


def test_the_manifest_says_what_the_gallery_is_and_whose(small_world: World, tmp_path: Path) -> None:
    with rasterio.open(world.write_map(tmp_path / "map.tif", small_world.pixels), "r+") as dataset:
        dataset.update_tags(TIFFTAG_COPYRIGHT="Survey of Town, 2024")
    options = GalleryOptions(spacing_m=20.0, dtype="float16", licence="CC BY 4.0", **FAST)
    made = build_gallery(tmp_path / "map.tif", tmp_path / "g", small_world.model, options).manifest
    dim = 3 * (world.HEIGHT // world.BLOCK[0]) * (world.WIDTH // world.BLOCK[1])
    assert made.dtype == "float16" and made.storage.bytes_per_tile == 2 * dim
    assert made.storage.choice == "full float16" and made.storage.gb_per_km2 == pytest.approx(2 * dim * 2500 / 1e9)
    assert made.area_km2 == pytest.approx(18 * 14 * 400 / 1e6)
    assert made.credits == ["Survey of Town, 2024 - CC BY 4.0"]
    assert made.view == SPEC
    table = json.loads((tmp_path / "g" / "manifest.json").read_text())
    assert table["sources"][0]["attribution"] == "Survey of Town, 2024"


def test_a_map_too_coarse_for_the_model_is_said(small_world: World, tmp_path: Path) -> None:
    coarse = np.ascontiguousarray(small_world.pixels[::5, ::5])
    path = world.write_map(tmp_path / "map.tif", coarse, transform=from_origin(world.EAST, world.NORTH, 2.5, 2.5))
    summary = build_gallery(path, tmp_path / "g", small_world.model, GalleryOptions(spacing_m=40.0, **FAST))
    assert any("24 pixels a side" in line and "too coarse" in line for line in summary.lines())


def test_tiles_are_geoparquet(small_world: World) -> None:
    import geopandas

    frame = geopandas.read_parquet(small_world.gallery / "shard-00000" / "tiles.parquet")
    np.testing.assert_array_equal(frame.geometry.x, frame["longitude"])
    np.testing.assert_array_equal(frame.geometry.y, frame["latitude"])
    assert frame.crs.to_epsg() == 4326 or frame.crs.to_authority() == ("OGC", "CRS84")
