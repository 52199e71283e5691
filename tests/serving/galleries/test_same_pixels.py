"""One door for the aerial view: a tile cut from a map is what training packs of the same tile as a file."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rasterio
from PIL import Image
from rasterio.transform import from_origin

from aenet.data.pairs import COLUMNS, write_pairs
from aenet.data.views import open_views, pack
from aenet.io.artifacts import write_manifest
from aenet.io.errors import AenetError
from aenet.serving.maps.mosaic import Mosaic
from aenet.serving.maps.pairtiles import PairSource
from aenet.serving.maps.positions import PositionSource
from aenet.serving.maps.raster import RasterSource
from aenet.serving.maps.tiletree import TileTree
from aenet.view.spec import ViewSpec
from tests.support import world

SPEC = ViewSpec.polar(height=8, width=32, tile_size_m=60.0)
FINENESS = [2, 5, 14, 28, 56]  # pixels of a tile to a row of its view


@pytest.fixture(scope="module", params=FINENESS)
def tiles(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int, np.ndarray]:
    """A map of noise, its six tiles as files with their pair table, and their views as training packs them."""
    folder, side = tmp_path_factory.mktemp(f"fine{request.param}"), SPEC.aerial.height * request.param
    step = side // 2 + 1  # tiles do not begin on even pixels
    pixels = np.random.default_rng(0).integers(0, 256, (side + step, side + 2 * step, 3), dtype=np.uint8)
    unit = 60.0 * 0.9996 / side  # UTM's scale on the central meridian: a tile has a whole number of pixels
    world.write_map(folder / "map.tif", pixels, transform=from_origin(world.EAST, world.NORTH, unit, unit))
    rows = []
    for number in range(6):
        top, left = step * (number // 3), step * (number % 3)
        Image.fromarray(pixels[top : top + side, left : left + side]).save(folder / f"{number}.png")
        Image.new("RGB", (64, 16)).save(folder / "ground.png")
        said = {"pair_id": str(number), "split": "test", "ground": "ground.png", "aerial": f"{number}.png"}
        rows.append(dict.fromkeys(COLUMNS, np.nan) | said | {"latitude": 0.0, "longitude": number / 1000})
    write_pairs(folder / "pairs.parquet", pd.DataFrame(rows)[list(COLUMNS)])
    pack(folder, folder / "views", SPEC, 1)
    return folder, side, np.array(open_views(folder / "views", "test").aerial)


def views_of(source: RasterSource | PositionSource | PairSource) -> np.ndarray:
    return np.stack([cut.view for cut in source.cut(0, len(source.tiles), SPEC)]).astype(int)


def spacing(side: int) -> float:
    return 60.0 / side * (side // 2 + 1)


def test_a_tile_of_a_map_is_the_tile_as_a_file(tiles: tuple[Path, int, np.ndarray]) -> None:
    folder, side, packed = tiles
    found = views_of(RasterSource(Mosaic(folder / "map.tif", [folder / "map.tif"]), 60.0, spacing(side)))
    assert found.shape == packed.shape and np.abs(found - packed).max() <= 1
    assert packed.std() > 5  # noise, not grey: nothing is alike by itself


def test_a_tile_of_a_mosaic_is_the_tile_as_a_file(tiles: tuple[Path, int, np.ndarray], tmp_path: Path) -> None:
    """Of files that meet within tiles, on odd pixels."""
    folder, side, packed = tiles
    with rasterio.open(folder / "map.tif") as dataset:
        whole, unit = np.moveaxis(dataset.read(), 0, -1), dataset.transform.a
    for number, part in enumerate(np.array_split(np.arange(whole.shape[1]), 3)):
        transform = from_origin(world.EAST + part[0] * unit, world.NORTH, unit, unit)
        world.write_map(tmp_path / f"{number}.tif", np.ascontiguousarray(whole[:, part]), transform=transform)
    found = views_of(RasterSource(Mosaic(tmp_path, sorted(tmp_path.glob("*.tif"))), 60.0, spacing(side)))
    assert found.shape == packed.shape and np.abs(found - packed).max() <= 1


def test_tiles_of_tables_are_the_tiles_as_files(tiles: tuple[Path, int, np.ndarray], tmp_path: Path) -> None:
    """Of a data set, of a table of positions, and of a table of images larger than a tile."""
    folder, side, packed = tiles
    assert np.array_equal(views_of(PairSource(folder, "test", 60.0)), packed)
    table = pd.DataFrame({"path": [f"{number}.png" for number in range(6)], "latitude": 0.0})
    table["longitude"] = np.arange(6) / 1000
    table.to_csv(folder / "tiles.csv", index=False)
    assert np.array_equal(views_of(PositionSource(folder / "tiles.csv", 60.0)), packed)
    for name in table["path"]:
        around = np.pad(np.array(Image.open(folder / name)), ((side // 2,) * 2, (side // 2,) * 2, (0, 0)))
        Image.fromarray(around).save(tmp_path / name)
    table.assign(size_m=120.0).to_csv(tmp_path / "tiles.csv", index=False)
    assert np.array_equal(views_of(PositionSource(tmp_path / "tiles.csv", 60.0)), packed)


@pytest.mark.parametrize("fineness", FINENESS)
def test_a_tile_tree_is_the_map_it_was_made_of(tmp_path: Path, fineness: int) -> None:
    """Web Mercator, where tiles are no squares of pixels; the tree's tiles of 256 px meet within ours."""
    zoom, side = 20, SPEC.aerial.height * fineness
    unit = 2 * np.pi * 6378137 / 2**zoom / 256
    pixels = np.random.default_rng(1).integers(0, 256, (512, 512, 3), dtype=np.uint8)
    x, y = (2**zoom // 2 + 100), (2**zoom // 2 - 100)
    for row in range(2):
        for column in range(2):
            folder = tmp_path / "tree" / str(zoom) / str(x + column)
            folder.mkdir(parents=True, exist_ok=True)
            part = pixels[256 * row : 256 * (row + 1), 256 * column : 256 * (column + 1)]
            Image.fromarray(part).save(folder / f"{y + row}.png")
    transform = from_origin(x * 256 * unit - np.pi * 6378137, np.pi * 6378137 - y * 256 * unit, unit, unit)
    world.write_map(tmp_path / "map.tif", pixels, crs="EPSG:3857", transform=transform)
    metres, apart = side * unit, (512 - side) * unit / 1.01
    tree = views_of(RasterSource(TileTree(tmp_path / "tree", zoom), metres, apart))
    one = views_of(RasterSource(Mosaic(tmp_path / "map.tif", [tmp_path / "map.tif"]), metres, apart))
    assert len(tree) >= 1 and np.abs(tree - one).max() <= 1


def test_tiles_of_a_data_set_are_cut_to_the_metres_asked_for(
    tiles: tuple[Path, int, np.ndarray], tmp_path: Path
) -> None:
    """Its manifest says 120 m: the middle of each is a tile of 60 m, and there is none of 150 m."""
    folder, side, packed = tiles
    shutil.copy(folder / "pairs.parquet", tmp_path)
    for number in range(6):
        around = np.pad(np.array(Image.open(folder / f"{number}.png")), ((side // 2,) * 2, (side // 2,) * 2, (0, 0)))
        Image.fromarray(around).save(tmp_path / f"{number}.png")
    assert not PairSource(tmp_path, "test", 60.0).metres_known
    write_manifest(tmp_path, {"config": {"tile_size_m": 120.0}})
    source = PairSource(tmp_path, "test", 60.0)
    assert source.metres_known and np.array_equal(views_of(source), packed)
    with pytest.raises(AenetError, match=r"has tiles of 120 m, tiles of 150 m cannot be cut .*`tile_size` 120m"):
        PairSource(tmp_path, "test", 150.0)
