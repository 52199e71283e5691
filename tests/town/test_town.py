"""The town's data set: what a user of the folder relies on."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rasterio
from PIL import Image
from PIL.ExifTags import IFD
from pyproj import Transformer

from aenet.data.pairs import read_pairs
from aenet.io.artifacts import read_manifest, verify_folder
from aenet.io.errors import AenetError
from aenet.io.params import parse, say_renamed
from aenet.town import rendering
from aenet.town.config import Panorama, Places, TownConfig
from aenet.town.dataset import generate
from aenet.town.panorama import Label
from aenet.view import images
from stages.download import DownloadConfig

TINY = TownConfig(
    width_m=400.0,
    height_m=300.0,
    spacing_m=4.0,
    places=Places(train=14, val=4, test=8),
    panorama=Panorama(height=64, width=256),
)


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "town"
    generate(TINY, folder)
    return folder


def test_the_kind_of_the_last_release_is_the_town(caplog: pytest.LogCaptureFixture) -> None:
    say_renamed.cache_clear()
    for _ in range(2):
        read = parse({"download": {"kind": "city", "seed": 3}}, "download", DownloadConfig, "params.yaml").root
        assert read == TownConfig(seed=3) and read.model_dump()["kind"] == "town"
    assert caplog.text.count("kind: city is called kind: town now") == 1, "said once"


@pytest.fixture(scope="module")
def pairs(town: Path) -> pd.DataFrame:
    return read_pairs(town / "pairs.parquet")


def utm(latitude: np.ndarray, longitude: np.ndarray) -> np.ndarray:
    return np.stack(Transformer.from_crs(4326, 32631, always_xy=True).transform(longitude, latitude), axis=1)


def test_folder_is_complete(town: Path, pairs: pd.DataFrame) -> None:
    verify_folder(town)
    assert {path.name for path in town.iterdir()} == {
        "manifest.json", "pairs.parquet", "ground", "aerial", "labels.npy", "visible.npy", "town.tif", "town.png",
    }  # fmt: skip
    assert pairs["split"].value_counts().to_dict() == {"train": 14, "val": 4, "test": 8}
    for row in pairs.itertuples():
        assert images.decode(town / row.ground).shape == (64, 256, 3)
        assert images.decode(town / row.aerial).shape == (TINY.tile_px, TINY.tile_px, 3)
    labels = np.load(town / "labels.npy", mmap_mode="r")
    assert labels.shape == (len(pairs), 64, 256)
    assert labels.max() <= max(Label)
    assert read_manifest(town).meta["labels"]["sky"] == Label.SKY


def test_same_seed_gives_the_same_bytes_in_any_number_of_processes(
    town: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rendering, "FEW", 0)  # so that worker processes are used even for so few places
    monkeypatch.setattr(rendering, "CHUNK", 9)
    monkeypatch.setattr(rendering, "usable_cores", lambda: 2)
    seen = []
    generate(TINY, tmp_path / "again", lambda done, total: seen.append((done, total)))
    assert seen[-1] == (26, 26)
    assert read_manifest(tmp_path / "again").files == read_manifest(town).files


def test_another_seed_gives_another_town(town: Path, tmp_path: Path) -> None:
    generate(TINY.model_copy(update={"seed": 8, "places": Places(train=1, val=1, test=1)}), tmp_path / "other")
    assert read_manifest(tmp_path / "other").files["town.tif"] != read_manifest(town).files["town.tif"]


def test_no_tile_shares_ground_with_another_split(pairs: pd.DataFrame) -> None:
    centre = utm(pairs["aerial_latitude"].to_numpy(), pairs["aerial_longitude"].to_numpy())
    split = pairs["split"].to_numpy()
    apart = np.abs(centre[:, None] - centre[None]).max(axis=2)
    across = split[:, None] != split[None]
    assert apart[across].min() >= TINY.tile_size_m


def test_tiles_are_displaced_from_cameras_but_not_far(pairs: pd.DataFrame) -> None:
    camera = utm(pairs["latitude"].to_numpy(), pairs["longitude"].to_numpy())
    shift = utm(pairs["aerial_latitude"].to_numpy(), pairs["aerial_longitude"].to_numpy()) - camera
    assert np.abs(shift).max() <= TINY.aerial_offset_m + TINY.resolution_m
    assert np.abs(shift).max(axis=0).min() > 2.0


def test_geotiff_shows_each_tile_where_the_table_says(town: Path, pairs: pd.DataFrame) -> None:
    half = TINY.tile_px // 2
    with rasterio.open(town / "town.tif", driver="GTiff") as source:
        assert source.crs.to_epsg() == 32631
        assert source.profile["tiled"]
        assert source.overviews(1)
        whole = source.read().transpose(1, 2, 0).astype(float)
        for row in pairs.iloc[::6].itertuples():
            east, north = utm(np.array([row.aerial_latitude]), np.array([row.aerial_longitude]))[0]
            x, y = ~source.transform * (east, north)
            assert abs(x - round(x)) < 0.01, "a tile's centre is a pixel corner"
            tile = images.decode(town / row.aerial).astype(float)
            error = {
                (dy, dx): np.abs(_window(whole, round(y) + dy, round(x) + dx, half) - tile).mean()
                for dy in (-1, 0, 1)
                for dx in (-1, 0, 1)
            }
            assert min(error, key=lambda at: error[at]) == (0, 0)
            assert error[0, 0] < 5


def _window(whole: np.ndarray, row: int, col: int, half: int) -> np.ndarray:
    return whole[row - half : row + half, col - half : col + half]


def test_exif_position_equals_the_pair_table(town: Path, pairs: pd.DataFrame) -> None:
    for row in pairs.itertuples():
        with Image.open(town / row.ground) as photo:
            gps = photo.getexif().get_ifd(IFD.GPSInfo)
        degrees = [float(d) + float(m) / 60 + float(s) / 3600 for d, m, s in (gps[2], gps[4])]
        assert (gps[1], gps[3]) == ("N", "E")
        assert degrees == pytest.approx([row.latitude, row.longitude], abs=1e-8)


def test_the_town_lies_in_the_north_sea(pairs: pd.DataFrame) -> None:
    assert pairs["latitude"].between(54.9, 55.1).all()
    assert pairs["longitude"].between(2.9, 3.1).all()


def test_a_town_too_small_is_refused_with_both_numbers(tmp_path: Path) -> None:
    with pytest.raises(AenetError, match=r"210 x 300 m .* wider than \d+"):
        generate(TINY.model_copy(update={"width_m": 210.0}), tmp_path / "town")
    with pytest.raises(AenetError, match=r"has room for \d+ places 90 m apart, 14 are asked for"):
        generate(TINY.model_copy(update={"spacing_m": 90.0}), tmp_path / "town")
    assert not (tmp_path / "town").exists()
