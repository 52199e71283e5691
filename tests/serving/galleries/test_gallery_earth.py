"""Maps where the Earth goes round or ends: across 180 degrees, counted to 360, at a pole, of kilometres a pixel."""

from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from pyproj import CRS, Transformer
from rasterio.transform import from_origin

from aenet.data.card import read_card
from aenet.io.errors import AenetError
from aenet.serving.galleries.build import GalleryOptions, build_gallery
from aenet.serving.galleries.extend import AddOptions, add_to_gallery
from aenet.serving.galleries.gallery import Gallery
from aenet.serving.galleries.galleryoptions import SourceOptions, open_source
from aenet.serving.jobs.outputs import read_places
from aenet.serving.localize import LocateOptions, locate
from aenet.serving.maps.coordinates import extent, side_by_side, turn_of, wrap
from aenet.serving.maps.raster import RasterSource
from aenet.serving.report.reportdata import SheetProjection
from aenet.view.images import decode, encode_jpeg
from aenet.view.spec import ViewSpec
from tests.support import world
from tests.support.world import World

SPEC = ViewSpec.polar(height=16, width=64, tile_size_m=60.0)
FAST = {"provider": "cpu", "threads": 1}
LATITUDE = 47.85
DEGREES, MERCATOR = "EPSG:4326", "EPSG:3857"
AROUND = {DEGREES: 360.0, MERCATOR: 2 * np.pi * 6378137.0}
# Half a metre, in the units of the two systems, and the column at which 180 degrees runs in a map of 320 columns.
SIZE = {DEGREES: (0.5 / 74_800, 0.5 / 111_200), MERCATOR: (0.7453, 0.7453)}
CUT = 130


def _height(crs: str) -> float:
    _, y = Transformer.from_crs(DEGREES, crs, always_xy=True).transform(0.0, LATITUDE)
    return float(y)


def _write(path: Path, pixels: np.ndarray, crs: str, longitude: float, columns: tuple[int, int] = (0, 320)) -> Path:
    """Write columns of a map whose column CUT lies at a longitude, beyond 180 degrees if it comes so."""
    width, height = SIZE[crs]
    left = longitude / 360 * AROUND[crs] + (columns[0] - CUT) * width
    path.parent.mkdir(exist_ok=True)
    part = pixels[:, slice(*columns)]
    return world.write_map(path, part, crs=crs, transform=from_origin(left, _height(crs), width, height))


def _across(folder: Path, pixels: np.ndarray, crs: str, how: str) -> Path:
    if how == "from the west":
        return _write(folder / "map.tif", pixels, crs, 180.0)
    if how == "from the east":
        return _write(folder / "map.tif", pixels, crs, -180.0)
    east_first = how == "two files, the eastern first"
    _write(folder / f"{'b' if east_first else 'a'}.tif", pixels, crs, 180.0, (0, CUT))
    _write(folder / f"{'a' if east_first else 'b'}.tif", pixels, crs, -180.0, (CUT, 320))
    return folder


def _open(source: Path) -> RasterSource:
    opened = open_source(source, 60.0, 20.0, SourceOptions())
    assert isinstance(opened, RasterSource)
    return opened


@pytest.mark.parametrize("how", ["from the west", "from the east", "two files", "two files, the eastern first"])
@pytest.mark.parametrize("crs", [DEGREES, MERCATOR])
def test_a_map_across_180_degrees_is_cut_as_elsewhere(tmp_path: Path, crs: str, how: str) -> None:
    """The same pixels at 10 degrees east and across 180: same tiles, same views, places between -180 and 180."""
    pixels = world.make_pixels(240, 320)
    here = _open(_write(tmp_path / "here" / "map.tif", pixels, crs, 10.0))
    there = _open(_across(tmp_path / "there", pixels, crs, how))
    assert len(here.tiles) == len(there.tiles) > 10
    moved = (there.tiles["longitude"] - here.tiles["longitude"]) % 360
    np.testing.assert_allclose(moved, 170.0, atol=1e-9 if crs == DEGREES else 1e-7)
    np.testing.assert_allclose(there.tiles["latitude"], here.tiles["latitude"], atol=1e-9)
    assert there.tiles["longitude"].abs().max() <= 180
    assert (there.tiles["longitude"] > 0).any() and (there.tiles["longitude"] < 0).any()
    for a, b in zip(here.cut(0, len(here.tiles), SPEC), there.cut(0, len(here.tiles), SPEC), strict=True):
        assert np.abs(a.view.astype(int) - b.view).max() <= 1


def test_longitudes_to_360_come_out_to_180(small_world: World, tmp_path: Path) -> None:
    """A map at 190 degrees east: tiles, coverage, the photo's place and the report's map."""
    pixels = world.make_pixels(240, 320)
    source = _write(tmp_path / "map.tif", pixels, DEGREES, 190.0)
    made = build_gallery(source, tmp_path / "g", small_world.model, GalleryOptions(spacing_m=10.0, **FAST)).manifest
    assert -170.01 < made.coverage[0] < made.coverage[2] < -169.99
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(encode_jpeg(world.panorama(pixels, 80.0, 60.0)))
    locate(tmp_path / "photos", tmp_path / "g", small_world.model, tmp_path / "out", LocateOptions(**FAST))
    place = read_places(tmp_path / "out" / "places.parquet").iloc[0]
    assert place["longitude"] == pytest.approx(-170 + (160 - CUT) * SIZE[DEGREES][0], abs=1.5e-4)
    column, row = SheetProjection(Gallery.open(tmp_path / "g", read_card(small_world.model)))(
        np.array([place["latitude"]]), np.array([place["longitude"]])
    )
    assert column[0] == pytest.approx(160, abs=22) and row[0] == pytest.approx(120, abs=22)


def test_a_gallery_grows_across_180_degrees_and_so_do_its_map_and_its_areas(small_world: World, tmp_path: Path) -> None:
    pixels = world.make_pixels(240, 320)
    west = _write(tmp_path / "a.tif", pixels, DEGREES, 180.0, (0, 160))
    east = _write(tmp_path / "b.tif", pixels, DEGREES, -180.0, (130, 320))
    build_gallery(west, tmp_path / "g", small_world.model, GalleryOptions(**FAST))
    summary = add_to_gallery(tmp_path / "g", east, small_world.model, AddOptions(**FAST))
    box = summary.manifest.coverage
    assert 179.99 < box[0] < 180 and -180 < box[2] < -179.99
    assert any(line.startswith("coverage: 0.0") and f"{box[0]:.5f}" in line for line in summary.lines())
    gallery = Gallery.open(tmp_path / "g", read_card(small_world.model))
    assert gallery.manifest.backdrop is not None
    picture, projection = decode(tmp_path / "g" / gallery.manifest.backdrop.file), SheetProjection(gallery)
    for column in (60, 250):  # on either side
        longitude = wrap(np.array([180 + (column - CUT) * SIZE[DEGREES][0]]))
        x, y = (int(v[0]) for v in projection(np.array([LATITUDE - 120 * SIZE[DEGREES][1]]), longitude))
        assert np.abs(picture[y, x].astype(int) - pixels[120, column]).max() < 40
    area = open_source(west, 60.0, 20.0, SourceOptions(within_box=(179.9, 47.0, -179.9, 48.0)))
    assert len(area.tiles) == len(open_source(west, 60.0, 20.0, SourceOptions()).tiles)


def test_columns_of_a_tile_tree_on_both_sides_lie_side_by_side(tmp_path: Path) -> None:
    last = 2**18 - 1
    for number, x in enumerate((last - 1, last, 0, 1)):
        for y in (91_000, 91_001, 91_002):
            path = tmp_path / "18" / str(x) / f"{y}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encode_jpeg(np.full((256, 256, 3), 50 * number, np.uint8)))
    source = _open(tmp_path)
    # 256 px of zoom 18 are 102 m here: 4 of them, tiles from 30 m inside.
    assert source.tiles["longitude"].abs().min() > 179.99
    reach = source.tiles["easting"].max() - source.tiles["easting"].min()
    assert reach == pytest.approx(4 * AROUND[MERCATOR] / 2**18 - 80 / 0.67, abs=30)


def test_turns_are_those_of_degrees_and_cylinders() -> None:
    for code, around in ((4326, 360.0), (4807, 400.0), (3857, AROUND[MERCATOR]), (3832, AROUND[MERCATOR])):
        assert turn_of(CRS.from_epsg(code).to_wkt()) == pytest.approx(around, rel=1e-12), code
    for code in (32601, 3413, 3031, 2193, 3035):
        assert turn_of(CRS.from_epsg(code).to_wkt()) is None, code


def test_files_stay_where_they_are_unless_going_round_is_shorter() -> None:
    assert side_by_side([(8.0, 9.0), (9.0, 10.0), (-3.0, -2.0)], 360.0) == [0, 0, 0]
    assert side_by_side([(179.0, 180.0), (-180.0, -179.0), (178.0, 179.0)], 360.0) == [0, 1, 0]
    assert side_by_side([(-180.0, -179.0), (179.0, 180.0)], 360.0) == [0, -1]
    assert side_by_side([(190.0, 191.0), (-169.0, -168.0)], 360.0) == [0, 1]
    assert side_by_side([(179.0, 180.0), (-180.0, -179.0)], None) == [0, 0]


def test_the_box_of_places_on_both_sides_goes_across() -> None:
    latitude = np.array([-17.0, -16.0, -18.0])
    assert extent(latitude, np.array([179.0, -179.5, 178.0])) == (178.0, -18.0, -179.5, -16.0)
    assert extent(latitude, np.array([9.0, -1.0, 3.0])) == (-1.0, -18.0, 9.0, -16.0)
    assert extent(latitude[:1], np.array([9.0])) == (9.0, -17.0, 9.0, -17.0)


def test_a_grid_ends_at_the_pole(tmp_path: Path) -> None:
    """Ten kilometres with the pole as top edge: rows within 3 km of it, 30 m / 1 %, are left out and said."""
    pixels = np.full((2500, 40, 3), 90, np.uint8)
    path = world.write_map(tmp_path / "a.tif", pixels, crs=DEGREES, transform=from_origin(0, 90, 0.05, 0.09 / 2500))
    source = _open(path)
    assert source.tiles["latitude"].max() == pytest.approx(90 - 3_000 / 111_694, abs=20 / 111_694)
    assert any("rows of tiles so near a pole" in note for note in source.notes)


@pytest.mark.parametrize(
    ("crs", "transform", "size"),
    [
        (DEGREES, from_origin(-180, 90, 0.5, 0.5), r"55,6\d\d x 55,2\d\d m"),
        (MERCATOR, from_origin(-20037508, 20037508, 111_319, 111_319), r"111,\d\d\d x 110,\d\d\d m"),
        ("EPSG:32632", from_origin(500_000, 5_300_000, 20, 20), r"20\.0 x 20\.0 m"),
    ],
)
def test_a_map_coarser_than_its_tiles_is_refused_with_both_numbers(
    tmp_path: Path, crs: str, transform: Affine, size: str
) -> None:
    path = world.write_map(tmp_path / "world.tif", np.zeros((360, 720, 3), np.uint8)[:, :360], crs, transform)
    with pytest.raises(AenetError, match=rf"a pixel of .*world\.tif is ({size}).* a tile 60 m: at least 4 pixels"):
        _open(path)


@pytest.mark.parametrize(("turn", "ok"), [(6e-17, True), (5e-6, True), (5e-4, False)])
def test_rotation_below_a_hundredth_of_a_pixel_is_none(tmp_path: Path, turn: float, ok: bool) -> None:
    """640 rows and 800 columns of half a metre: 5e-6 moves the far corner by 0.008 px, 5e-4 by 0.8."""
    transform = Affine(0.5, turn, world.EAST, -turn, -0.5, world.NORTH)
    path = world.write_map(tmp_path / "map.tif", world.make_pixels(), transform=transform)
    if ok:
        straight = world.write_map(tmp_path / "straight.tif", world.make_pixels())
        assert _open(path).tiles.equals(_open(straight).tiles)
    else:
        with pytest.raises(AenetError, match="rotated or not north up"):
            _open(path)


@pytest.mark.parametrize(
    "systems", [("EPSG:32632", "EPSG:32632+5773"), ("EPSG:32632+5773", "EPSG:32632"), ("EPSG:32632+5773",) * 2]
)
def test_heights_do_not_keep_files_of_a_mosaic_apart(tmp_path: Path, systems: tuple[str, str]) -> None:
    pixels = world.make_pixels()
    whole = _open(world.write_map(tmp_path / "whole.tif", pixels))
    (tmp_path / "m").mkdir()
    for name, crs, columns in zip("ab", systems, ((0, 400), (400, 800)), strict=True):
        transform = from_origin(world.EAST + columns[0] / 2, world.NORTH, 0.5, 0.5)
        world.write_map(tmp_path / "m" / f"{name}.tif", pixels[:, slice(*columns)], crs=crs, transform=transform)
    parts = _open(tmp_path / "m")
    np.testing.assert_allclose(
        parts.tiles[["latitude", "longitude"]], whole.tiles[["latitude", "longitude"]], atol=1e-9
    )
