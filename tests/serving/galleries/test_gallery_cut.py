"""Polar views cut straight from maps: what stands north of a centre stands in the middle, in every projection."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
from pyproj import CRS, Geod, Transformer
from rasterio.transform import from_origin

from aenet.serving.maps.mosaic import Mosaic
from aenet.serving.maps.polarcut import cut_view
from aenet.serving.maps.raster import RasterSource
from aenet.view.polar import polar_transform
from aenet.view.spec import ViewSpec
from tests.support import world
from tests.support.world import World

SPEC = ViewSpec.polar(height=64, width=512, tile_size_m=60.0)
PIXEL_M = 0.25


def _source(path: Path, spacing_m: float = 20.0) -> RasterSource:
    return RasterSource(Mosaic(path, [path]), 60.0, spacing_m)


def _blank(path: Path, crs: str, latitude: float, longitude: float) -> tuple[np.ndarray, object]:
    """Write a grey map of about 100 x 100 m around a place, with pixels of 0.25 m to the north."""
    x, y = Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform(longitude, latitude)
    stretch = {"EPSG:3857": 1 / np.cos(np.radians(latitude)), "EPSG:4326": 1 / 111_300.0}.get(crs, 1.0)
    pixel, side = PIXEL_M * stretch, 480
    transform = from_origin(x - pixel * side / 2, y + pixel * side / 2, pixel, pixel)
    columns = side * 2 if crs == "EPSG:4326" else side  # degrees of longitude are half as long at 60 degrees north
    if columns != side:
        transform = from_origin(x - pixel * columns / 2, y + pixel * side / 2, pixel, pixel)
    pixels = np.full((side, columns, 3), 90, np.uint8)
    world.write_map(path, pixels, crs=crs, transform=transform)
    return pixels, transform


def _offsets(crs: str, transform: object, shape: tuple[int, ...], centre: tuple[float, float]) -> np.ndarray:
    """Return metres east and north of a place for every pixel, measured on the ellipsoid."""
    rows, columns = np.mgrid[: shape[0], : shape[1]] + 0.5
    x, y = transform * (columns, rows)  # type: ignore[operator]  # an affine matrix
    longitude, latitude = Transformer.from_crs(crs, "EPSG:4326", always_xy=True).transform(x, y)
    there = np.full(longitude.shape, centre[1]), np.full(latitude.shape, centre[0])
    azimuth, _, metres = Geod(ellps="WGS84").inv(*there, longitude, latitude)
    return np.stack([metres * np.sin(np.radians(azimuth)), metres * np.cos(np.radians(azimuth))])


@pytest.mark.parametrize("crs", ["EPSG:32633", "EPSG:32635", "EPSG:4326", "EPSG:3857"])
@pytest.mark.parametrize(("direction", "column"), [((0, 20), 256), ((20, 0), 384), ((-20, 0), 128)])
def test_a_red_square_20_m_away_stands_where_it_should(
    tmp_path: Path, crs: str, direction: tuple[int, int], column: int
) -> None:
    """At 60 degrees north; in EPSG:32635 grid north is 10 degrees off (15 columns)."""
    path = tmp_path / "map.tif"
    pixels, transform = _blank(path, crs, 60.0, 15.4)
    tile = _source(path).tiles.iloc[4]
    east, north = _offsets(crs, transform, pixels.shape, (tile["latitude"], tile["longitude"]))
    pixels[(np.abs(east - direction[0]) < 2) & (np.abs(north - direction[1]) < 2)] = (255, 0, 0)
    world.write_map(path, pixels, crs=crs, transform=transform)
    (cut,) = _source(path).cut(4, 5, SPEC)
    redness = np.clip(cut.view[..., 0].astype(float) - cut.view[..., 1], 0, None)
    rows, columns = np.mgrid[:64, :512]
    # Row i lies (63 - i) / 64 of 30 m away; the field's formula shifts by half a pixel.
    assert np.average(rows, weights=redness) == pytest.approx(63 - 64 * 20 / 30, abs=0.6)
    assert np.average(columns, weights=redness) == pytest.approx(column, abs=1.2)
    assert redness.max() > 150


def test_where_pixels_agree_it_is_the_transform_of_the_tile(small_world: World) -> None:
    tile = np.ascontiguousarray(small_world.pixels[100:220, 200:320])
    matrix = np.array([[2.0, 0.0], [0.0, -2.0]])
    around = np.ascontiguousarray(small_world.pixels[90:230, 190:330])
    view = cut_view(around, (70.0, 70.0), matrix, SPEC, 60.0, (120, 120))
    difference = np.abs(view.astype(int) - polar_transform(tile, 64, 512))
    assert difference.max() <= 1 and np.mean(difference > 0) < 1e-3  # halves may round the other way


def test_a_tile_half_a_pixel_off_is_not_rounded_to_whole_pixels() -> None:
    """A ramp of 10 grey levels a pixel shows a quarter of a pixel as 2.5 levels."""
    ramp = np.repeat((np.arange(24, dtype=np.uint8) * 10)[None, :, None], 24, axis=0).repeat(3, axis=2)
    matrix = np.array([[1.0, 0.0], [0.0, -1.0]])
    spec = ViewSpec.polar(height=4, width=8, tile_size_m=8.0)
    views = [cut_view(ramp, (12.0, 12.0 + off), matrix, spec, 8.0, (8, 8)).astype(int) for off in (0.0, 0.5, 1.0)]
    np.testing.assert_array_equal(views[1] - views[0], 5)
    np.testing.assert_array_equal(views[2] - views[0], 10)


def test_only_maps_finer_than_memory_allows_are_read_from_their_overviews(tmp_path: Path) -> None:
    """The file's overviews are of another colour than its pixels: what the view shows tells which were read."""
    path = tmp_path / "fine.tif"
    pixels = np.full((1400, 1400, 3), 40, np.uint8)
    world.write_map(path, pixels, transform=from_origin(world.EAST, world.NORTH, 0.05, 0.05), tiled=True)
    with rasterio.open(path, "r+") as dataset:
        dataset.build_overviews([2, 4, 8], rasterio.enums.Resampling.average)
    with rasterio.open(path, "r+") as dataset:
        dataset.write(np.full((3, 1400, 1400), 200, np.uint8))
    small = ViewSpec.polar(height=16, width=64, tile_size_m=60.0)
    source = _source(path)
    assert source.tile_px(small) == 1200  # 75 a row
    (cut,) = source.cut(0, 1, small)
    assert np.abs(cut.view.astype(int) - 40).max() <= 1
    for height in (20, 128):  # 60 and 9 a row
        (cut,) = source.cut(0, 1, ViewSpec.polar(height=height, width=4 * height, tile_size_m=60.0))
        assert cut.view.min() == 200


def test_averaging_keeps_places_where_they_are(tmp_path: Path) -> None:
    """A red square in a map of 5 cm, of a size that no factor divides, read two to one."""
    path, crs = tmp_path / "fine.tif", "EPSG:32632"
    transform = from_origin(world.EAST, world.NORTH, 0.05, 0.05)
    pixels = np.full((1403, 1401, 3), 90, np.uint8)
    world.write_map(path, pixels, transform=transform)
    tile = _source(path).tiles.iloc[0]
    east, north = _offsets(crs, transform, pixels.shape, (tile["latitude"], tile["longitude"]))
    pixels[(np.abs(east) < 3) & (np.abs(north - 15) < 3)] = (255, 0, 0)
    world.write_map(path, pixels, transform=transform)
    (cut,) = _source(path).cut(0, 1, ViewSpec.polar(height=16, width=64, tile_size_m=60.0))
    redness = np.clip(cut.view[..., 0].astype(float) - cut.view[..., 1], 0, None)
    rows, columns = np.mgrid[:16, :64]
    assert np.average(rows, weights=redness) == pytest.approx(15 - 16 * 15 / 30, abs=0.25)
    assert np.average(columns, weights=redness) == pytest.approx(32, abs=0.4)


def test_the_grid_is_the_same_on_the_ground_at_every_latitude(tmp_path: Path) -> None:
    """A tile of 640 px of zoom 20 is 95 m at the equator and 59 m in London: metres decide, not pixels."""
    for latitude, pixels_a_side in ((0.001, 640), (51.5, 640)):
        metres = 95.55 * np.cos(np.radians(latitude))
        path = tmp_path / f"{latitude}.tif"
        x, y = Transformer.from_crs("EPSG:4326", "EPSG:3857", always_xy=True).transform(0.1, latitude)
        size = 2 * np.pi * 6378137 / 2**20 / 256
        world.write_map(
            path, np.zeros((1000, 1000, 3), np.uint8), crs="EPSG:3857", transform=from_origin(x, y, size, size)
        )
        tile = RasterSource(Mosaic(path, [path]), metres, 20.0).tiles.iloc[0]
        # The mercator of the sphere on the ellipsoid: up to 0.7 % to the north.
        assert 2 * tile["half_width_px"] == pytest.approx(pixels_a_side, rel=0.004)
        assert 2 * tile["half_height_px"] == pytest.approx(pixels_a_side, rel=0.008)


def test_metres_hold_far_from_the_middle_of_the_earths_grids() -> None:
    """The matrix of a centre against the ellipsoid, in a system of feet turned by several degrees."""
    from aenet.serving.maps.polarcut import ground_to_grid

    crs = CRS.from_epsg(2249)
    matrix = ground_to_grid(crs.to_wkt(), np.array([42.3]), np.array([-72.9]), 35.0)[0]
    to_grid = Transformer.from_crs("EPSG:4326", crs, always_xy=True)
    geod = Geod(ellps="WGS84")
    centre = np.array(to_grid.transform(-72.9, 42.3))
    for azimuth in (0.0, 37.0, 200.0):
        longitude, latitude, _ = geod.fwd(-72.9, 42.3, azimuth, 30.0)
        step = 30.0 * np.array([np.sin(np.radians(azimuth)), np.cos(np.radians(azimuth))])
        np.testing.assert_allclose(centre + matrix @ step, to_grid.transform(longitude, latitude), atol=0.01)
