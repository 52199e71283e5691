"""Galleries: tiles where they say they are, of inputs that can be trusted, finished or not there."""

import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rasterio
from affine import Affine
from pyproj import Transformer
from rasterio.crs import CRS
from rasterio.transform import from_origin
from rasterio.warp import calculate_default_transform, reproject

from aenet.data.card import read_card
from aenet.data.distance import distance_m
from aenet.data.pairs import write_pairs
from aenet.io.errors import AenetError, CorruptArtifact
from aenet.serving.galleries.build import GalleryOptions, build_gallery
from aenet.serving.galleries.gallery import Gallery
from aenet.serving.galleries.galleryoptions import SourceOptions, open_source
from aenet.serving.galleries.manifest import grid_floor
from aenet.serving.jobs.plan import plan
from aenet.serving.maps.mosaic import Mosaic
from aenet.serving.maps.raster import RasterSource
from aenet.serving.photos.reading import read_photo
from aenet.serving.search.bruteforce import search
from aenet.serving.sessions.session import OnnxBranch
from aenet.view.images import decode_bytes, encode_jpeg
from aenet.view.spec import ViewSpec
from tests.support import world
from tests.support.world import CPU, World

FAST = {"provider": "cpu", "threads": 1}


def _open(small: World, folder: Path | None = None) -> Gallery:
    return Gallery.open(folder or small.gallery, read_card(small.model))


def _raster(path: Path, tile_size_m: float, spacing_m: float) -> RasterSource:
    return RasterSource(Mosaic(path, [path]), tile_size_m, spacing_m)


def test_floor_is_what_random_places_measure() -> None:
    floor = grid_floor(20.0)
    offsets = np.random.default_rng(0).uniform(-10, 10, (400_000, 2))
    distances = np.hypot(*offsets.T)
    measured = np.median(distances), np.percentile(distances, 95)
    np.testing.assert_allclose((floor.median, floor.p95), measured, rtol=0.01)
    np.testing.assert_allclose((floor.median, floor.p95, floor.max), (8.0, 12.0, 14.2), atol=0.1)


def test_grid_is_metric_and_inside_the_map(small_world: World) -> None:
    tiles = _open(small_world).tiles
    assert len(tiles) == 23 * 18  # (400 - 60) // 15 + 1 columns, (320 - 60) // 15 + 1 rows
    first, right, below = tiles.iloc[0], tiles.iloc[1], tiles.iloc[23]
    for other in (right, below):
        there = (np.array([other["latitude"]]), np.array([other["longitude"]]))
        metres = distance_m(np.array([first["latitude"]]), np.array([first["longitude"]]), *there)
        np.testing.assert_allclose(metres, 15.0, atol=0.001)
    assert tiles["easting"].min() >= world.EAST + 29.97 and tiles["easting"].max() <= world.EAST + 370.03
    assert tiles["northing"].max() <= world.NORTH - 29.97 and tiles["northing"].min() >= world.NORTH - 290.03


def test_thumbnail_shows_the_map_at_the_tiles_position(small_world: World) -> None:
    gallery = _open(small_world)
    row = 5 * 23 + 7
    tile = gallery.tiles.iloc[row]
    x = round((tile["easting"] - world.EAST) / world.PIXEL_M)
    y = round((world.NORTH - tile["northing"]) / world.PIXEL_M)
    shown = decode_bytes(gallery.thumbnail(row), "thumbnail")
    middle = small_world.pixels[y - 3 : y + 3, x - 3 : x + 3].reshape(-1, 3).mean(axis=0)
    np.testing.assert_allclose(shown[45:51, 45:51].reshape(-1, 3).mean(axis=0), middle, atol=12)


@pytest.mark.parametrize("crs", ["EPSG:3857", "EPSG:4326", "EPSG:2249"])
def test_metres_are_real_in_every_coordinate_system(tmp_path: Path, crs: str) -> None:
    """Web Mercator at 48 degrees north stretches by half, degrees are no squares, EPSG:2249 counts feet."""
    if crs == "EPSG:2249":
        transform, pixels = from_origin(770_000, 2_960_000, 2.0, 2.0), np.full((500, 500, 3), 90, np.uint8)
        path = world.write_map(tmp_path / "map.tif", pixels, crs=crs, transform=transform)
        spacing_units = 20 / 0.3048006
    else:
        edges = (world.EAST, world.NORTH - 320, world.EAST + 400, world.NORTH)
        transform, width, height = calculate_default_transform(world.UTM, crs, 800, 640, *edges)
        pixels = np.full((height, width, 3), 90, np.uint8)
        path = world.write_map(tmp_path / "map.tif", pixels, crs=crs, transform=transform)
        spacing_units = None
    tiles = _raster(path, 60.0, 20.0).tiles
    row = tiles[tiles["northing"] == tiles["northing"].iloc[0]]
    latitude, longitude = row["latitude"].to_numpy(), row["longitude"].to_numpy()
    metres = distance_m(latitude[:-1], longitude[:-1], latitude[1:], longitude[1:])
    np.testing.assert_allclose(metres, 20.0, atol=0.02)
    column = tiles.drop_duplicates("northing")
    latitude, longitude = column["latitude"].to_numpy(), column["longitude"].to_numpy()
    np.testing.assert_allclose(distance_m(latitude[:-1], longitude[:-1], latitude[1:], longitude[1:]), 20.0, atol=0.02)
    if spacing_units:
        np.testing.assert_allclose(np.diff(row["easting"]), spacing_units, rtol=1e-3)


def test_the_same_place_looks_the_same_in_degrees_and_far_from_the_meridian(small_world: World, tmp_path: Path) -> None:
    """A map in degrees and one in a UTM zone where grid north is 3 degrees off must place a photo alike."""
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(encode_jpeg(world.panorama(small_world.pixels, 200.0, 160.0)))
    here = np.array([world.position(200.0, 160.0)])
    for crs in ("EPSG:4326", "EPSG:32631"):
        with rasterio.open(small_world.map) as source:
            transform, width, height = calculate_default_transform(
                source.crs, crs, source.width, source.height, *source.bounds, resolution=None
            )
            warped = np.zeros((3, height, width), np.uint8)
            reproject(
                source.read(),
                warped,
                src_transform=source.transform,
                src_crs=source.crs,
                dst_transform=transform,
                dst_crs=CRS.from_string(crs),
            )
        path = world.write_map(tmp_path / "map.tif", np.moveaxis(warped, 0, -1), crs=crs, transform=transform)
        build_gallery(path, tmp_path / crs[5:], small_world.model, GalleryOptions(spacing_m=10.0, **FAST))
        gallery = _open(small_world, tmp_path / crs[5:])
        branch = OnnxBranch(small_world.model, "ground", CPU)
        view = read_photo(photo, "photo", branch.card.view, heading="north").view
        assert view is not None
        scores, rows = search(gallery.descriptors, branch.embed(view[None]), 1, 1)
        best = gallery.tiles.iloc[int(rows[0, 0])]
        found = np.array([best["latitude"]]), np.array([best["longitude"]])
        assert distance_m(here[:, 0], here[:, 1], *found)[0] < 10, crs
        assert scores[0, 0] > 0.8, crs


def test_polar_views_look_to_true_north_where_grid_north_is_not(small_world: World, tmp_path: Path) -> None:
    """One zone away grid north is 4.4 degrees off: six columns of 512, which the view must turn back."""
    with rasterio.open(small_world.map) as source:
        transform, width, height = calculate_default_transform(
            source.crs, "EPSG:32631", source.width, source.height, *source.bounds
        )
        warped = np.zeros((3, height, width), np.uint8)
        reproject(
            source.read(),
            warped,
            src_transform=source.transform,
            src_crs=source.crs,
            dst_transform=transform,
            dst_crs=CRS.from_string("EPSG:32631"),
        )
    path = world.write_map(tmp_path / "map.tif", np.moveaxis(warped, 0, -1), crs="EPSG:32631", transform=transform)
    tilted = _raster(path, 60.0, 4.0)
    latitude, longitude = world.position(200.0, 160.0)
    away = np.hypot(tilted.tiles["latitude"] - latitude, (tilted.tiles["longitude"] - longitude) * 0.67)
    row = int(away.argmin())
    x, y = Transformer.from_crs("EPSG:4326", world.UTM, always_xy=True).transform(
        tilted.tiles["longitude"].iloc[row], tilted.tiles["latitude"].iloc[row]
    )
    upright = world.panorama(small_world.pixels, x - world.EAST, world.NORTH - y, 64, 512).astype(float)
    (cut,) = tilted.cut(row, row + 1, ViewSpec.polar(height=64, width=512, tile_size_m=60.0))
    view = cut.view.astype(float)
    difference = [np.abs(np.roll(view, shift, axis=1) - upright).mean() for shift in range(-12, 13)]
    assert abs(int(np.argmin(difference)) - 12) <= 1


def test_a_tile_the_model_cannot_embed_is_named(small_world: World, tmp_path: Path) -> None:
    model = world.make_model(tmp_path / "model", bias=0.0)
    pixels = small_world.pixels.copy()
    pixels[200:440, 200:440] = 128
    path = world.write_map(tmp_path / "map.tif", pixels)
    with pytest.raises(AenetError, match=r"map\.tif, tile \S+: the model gives a descriptor of length") as raised:
        build_gallery(path, tmp_path / "gallery", model, GalleryOptions(spacing_m=20.0, batch_size=5, **FAST))
    tiles = _raster(path, 60.0, 20.0).tiles.set_index("tile_id")
    tile = tiles.loc[re.search(r"tile (\S+):", str(raised.value))[1]]
    assert 129 < tile["easting"] - world.EAST < 191 and 129 < world.NORTH - tile["northing"] < 191


def test_mostly_empty_tiles_are_dropped_and_counted(small_world: World, tmp_path: Path) -> None:
    pixels = small_world.pixels.copy()
    pixels[:, 400:] = 0
    path = world.write_map(tmp_path / "half.tif", pixels, nodata=0)
    summary = build_gallery(path, tmp_path / "gallery", small_world.model, GalleryOptions(spacing_m=20.0, **FAST))
    tiles = _open(small_world, tmp_path / "gallery").tiles
    assert summary.manifest.dropped > 0
    assert len(tiles) + summary.manifest.dropped == 18 * 14
    assert tiles["easting"].max() <= world.EAST + 200
    assert any("dropped" in line for line in summary.lines())


def test_a_disguised_vrt_is_refused(small_world: World, tmp_path: Path) -> None:
    """Opened by any driver it would hand out the bytes of a local file as pixels."""
    secret = tmp_path / "secret.bin"
    secret.write_bytes(bytes(range(256)) * 16)
    vrt = tmp_path / "town.tif"
    vrt.write_text(
        '<VRTDataset rasterXSize="64" rasterYSize="64"><SRS>EPSG:32632</SRS>'
        "<GeoTransform>500000,1,0,5300000,0,-1</GeoTransform>"
        '<VRTRasterBand dataType="Byte" band="1" subClass="VRTRawRasterBand"><SourceFilename relativetoVRT="0">'
        f"{secret}</SourceFilename></VRTRasterBand></VRTDataset>"
    )
    with pytest.raises(AenetError, match="not a GeoTIFF"):
        build_gallery(vrt, tmp_path / "gallery", small_world.model, GalleryOptions(**FAST))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"crs": None}, "no coordinate system.*gdal_edit"),
        ({"transform": Affine.rotation(10) @ from_origin(0, 0, 0.5, 0.5)}, "rotated.*gdalwarp"),
        ({"crs": 'LOCAL_CS["site",UNIT["metre",1]]'}, "without a place on Earth"),
        (
            {"pixels": np.zeros((640, 800, 2), np.uint8), "photometric": "minisblack", "alpha": "no"},
            "2 bands without colours",
        ),
        ({"pixels": np.zeros((640, 800, 3), np.uint16)}, "uint16.*gdal_translate"),
        ({"pixels": np.zeros((100, 800, 3), np.uint8)}, r"400\.\d x 50\.\d m, too little for one tile of 60 m"),
    ],
)
def test_unusable_maps_are_refused_with_the_way_out(
    small_world: World, tmp_path: Path, change: dict[str, object], reason: str
) -> None:
    arguments = {"pixels": small_world.pixels, **change}
    path = world.write_map(tmp_path / "map.tif", **arguments)  # type: ignore[arg-type]  # mixed by design
    with pytest.raises(AenetError, match=reason):
        _raster(path, 60.0, 20.0)


def test_a_gallery_of_another_model_is_refused(small_world: World, tmp_path: Path) -> None:
    other = world.make_model(tmp_path / "other", seed=1)
    with pytest.raises(AenetError, match=r"embedded by model .* build the gallery again"):
        Gallery.open(small_world.gallery, read_card(other))
    with pytest.raises(AenetError, match=r"embedded by model .* build the gallery again"):
        plan(small_world.photos, small_world.gallery, other, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_damaged_shard_is_refused_and_built_again(small_world: World, tmp_path: Path) -> None:
    copy = shutil.copytree(small_world.gallery, tmp_path / "gallery")
    with (copy / "shard-00001" / "descriptors.npy").open("r+b") as stream:
        stream.seek(4000)
        stream.write(b"\xff\xff")
    with pytest.raises(CorruptArtifact, match="shard-00001"):
        _open(small_world, copy)
    (copy / "manifest.json").unlink()
    options = GalleryOptions(spacing_m=15.0, shard_size=200, **FAST)
    assert build_gallery(small_world.map, copy, small_world.model, options).computed == 1
    assert len(_open(small_world, copy).tiles) == 23 * 18


def test_other_inputs_do_not_overwrite_a_gallery_unasked(small_world: World, tmp_path: Path) -> None:
    copy = shutil.copytree(small_world.gallery, tmp_path / "gallery")
    options = GalleryOptions(spacing_m=30.0, **FAST)
    with pytest.raises(AenetError, match=r"other inputs .* `overwrite`"):
        build_gallery(small_world.map, copy, small_world.model, options)
    forced = build_gallery(small_world.map, copy, small_world.model, options.model_copy(update={"overwrite": True}))
    assert forced.manifest.spacing_m == 30.0 and len(_open(small_world, copy).tiles) == forced.manifest.tiles
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.docx").write_text("irreplaceable")
    with pytest.raises(AenetError, match="holds other files"):
        build_gallery(small_world.map, mine, small_world.model, options.model_copy(update={"overwrite": True}))


def test_gallery_of_a_data_sets_split(small_world: World, tmp_path: Path) -> None:
    root = tmp_path / "town"
    (root / "aerial").mkdir(parents=True)
    rows = []
    for number, (x, y) in enumerate([(60, 60), (200, 160), (340, 260), (100, 250)]):
        left, top = round(x / world.PIXEL_M) - 60, round(y / world.PIXEL_M) - 60
        tile = np.ascontiguousarray(small_world.pixels[top : top + 120, left : left + 120])
        (root / "aerial" / f"{number}.jpg").write_bytes(encode_jpeg(tile, 95) if number != 2 else b"broken")
        latitude, longitude = world.position(x, y)
        rows.append(
            (
                f"p{number}",
                "test" if number < 3 else "train",
                "none.jpg",
                f"aerial/{number}.jpg",
                latitude,
                longitude,
                np.nan,
                np.nan,
                0.0,
            )
        )
    columns = [
        "pair_id",
        "split",
        "ground",
        "aerial",
        "latitude",
        "longitude",
        "aerial_latitude",
        "aerial_longitude",
        "heading_deg",
    ]
    write_pairs(root / "pairs.parquet", pd.DataFrame(rows, columns=columns))
    summary = build_gallery(root, tmp_path / "gallery", small_world.model, GalleryOptions(split="test", **FAST))
    assert summary.manifest.floor is None and summary.manifest.spacing_m is None
    assert list(_open(small_world, tmp_path / "gallery").tiles["tile_id"]) == ["p0", "p1"]
    assert summary.manifest.dropped == 1
    with pytest.raises(AenetError, match="split 'tset' is unknown"):
        build_gallery(root, tmp_path / "other", small_world.model, GalleryOptions(split="tset", **FAST))


def test_search_is_exact_across_shards_and_halves() -> None:
    generator = np.random.default_rng(5)
    tiles = generator.normal(size=(501, 24)).astype(np.float32)
    tiles /= np.linalg.norm(tiles, axis=1, keepdims=True)
    tiles[400] = tiles[7]  # a tie across shards goes to the lower row
    queries = tiles[[7, 300, 500]]
    want = np.argsort(-(queries @ tiles.T), axis=1, kind="stable")[:, :9]
    cut = [tiles[:200], tiles[200:200], tiles[200:203], tiles[203:]]
    scores, rows = search(cut, queries, 9)
    np.testing.assert_array_equal(rows, want)
    np.testing.assert_allclose(scores, np.take_along_axis(queries @ tiles.T, want, 1), atol=1e-6)
    assert search(cut, queries, 5000)[1].shape == (3, 501)
    np.testing.assert_array_equal(search([part.astype(np.float16) for part in cut], queries, 1)[1][:, 0], want[:, 0])


def test_a_killed_build_goes_on_where_it_stopped(small_world: World, tmp_path: Path) -> None:
    out = tmp_path / "gallery"
    code = (
        "import sys; from pathlib import Path; from aenet.serving.galleries.build import *;"
        "s, o, m = map(Path, sys.argv[1:]);"
        "build_gallery(s, o, m, GalleryOptions(spacing_m=8.0, shard_size=150, provider='cpu', threads=1))"
    )
    # Twice: while its plan is written, and when the third shard is embedded but not yet there.
    for moment in (("os.rename", "plan.json"), ("os.rename", "shard-00002")):
        arguments = (*moment, str(small_world.map), str(out), str(small_world.model))
        ran = subprocess.run([sys.executable, "-c", world.KILL_AT + code, *arguments], check=False)
        assert ran.returncode == -signal.SIGKILL
    with pytest.raises(AenetError, match=r"not a finished gallery .* finish it by running the same"):
        _open(small_world, out)
    whole = {path.name: (path / "manifest.json").stat().st_mtime_ns for path in out.glob("shard-*")}
    assert len(whole) == 2
    options = GalleryOptions(spacing_m=8.0, shard_size=150, **FAST)
    summary = build_gallery(small_world.map, out, small_world.model, options)
    after = {path.name: (path / "manifest.json").stat().st_mtime_ns for path in out.glob("shard-*")}
    assert {name: after[name] for name in whole} == whole
    assert summary.computed == len(after) - len(whole)
    assert not [path for path in out.iterdir() if path.name.endswith(".tmp")]
    assert build_gallery(small_world.map, out, small_world.model, options).computed == 0
    assert _open(small_world, out).tiles["tile_id"].is_unique


def test_an_area_keeps_the_tiles_centred_in_it(small_world: World, tmp_path: Path) -> None:
    whole = open_source(small_world.map, 60.0, 20.0, SourceOptions()).tiles
    west, east = whole["longitude"].quantile([0.25, 0.75])
    south, north = whole["latitude"].quantile([0.25, 0.75])
    part = open_source(small_world.map, 60.0, 20.0, SourceOptions(within_box=(west, south, east, north))).tiles
    assert 0 < len(part) < len(whole)
    assert part["longitude"].between(west, east).all() and part["latitude"].between(south, north).all()
    inside = whole["longitude"].between(west, east) & whole["latitude"].between(south, north)
    assert part["tile_id"].tolist() == whole.loc[inside, "tile_id"].tolist()
    with pytest.raises(AenetError, match=r"no tile in the box .* reach from"):
        open_source(small_world.map, 60.0, 20.0, SourceOptions(within_box=(0.0, 0.0, 1.0, 1.0)))
