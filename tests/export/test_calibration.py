"""What scores are worth: fitted on an exported model, and views displaced as polar views of moved tiles are."""

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from aenet.data.card import Acuity, read_card
from aenet.data.pairs import COLUMNS
from aenet.data.views import Views
from aenet.export import calibration
from aenet.export.calibration import calibrate, displace, fit_acuity, lay_grid, plane_positions
from aenet.export.graphs import ExportConfig
from aenet.export.trial import Trial
from aenet.io.errors import AenetError
from aenet.view.polar import polar_transform
from aenet.view.spec import PolarView, TileView
from tests.support import world

SMALL = PolarView(height=64, width=256, tile_size_m=50.0)


def test_a_displaced_view_is_that_of_the_moved_tile() -> None:
    """Against cutting the tile 6 m to the east and 4 m to the north of it; only within what both views know."""
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    ground = cv2.resize(noise, (400, 400), interpolation=cv2.INTER_CUBIC)

    def view(east_px: int, north_px: int) -> np.ndarray:
        left, top = 100 + east_px, 100 - north_px
        return polar_transform(np.ascontiguousarray(ground[top : top + 200, left : left + 200]), 64, 256)

    moved = displace(view(0, 0), 6.0, 4.0, SMALL).astype(float)  # 4 px a metre
    inner = slice(28, 60)  # the rim of the old tile is not reached there
    wrong = np.abs(view(0, 0).astype(float) - view(24, 16))[inner].mean()
    assert np.abs(moved - view(24, 16))[inner].mean() < 0.15 * wrong
    assert np.array_equal(displace(view(0, 0), 0.0, 0.0, SMALL), view(0, 0))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return world.make_model(tmp_path_factory.mktemp("calibration") / "model")


def _views(split: str, count: int, noise: float, seed: int) -> Views:
    """Pairs of random views; the ground view is the aerial one with noise."""
    generator = np.random.default_rng(seed)
    coarse = generator.integers(0, 256, (count, 4, 8, 3)).repeat(4, axis=1).repeat(8, axis=2)
    ground = np.clip(coarse + noise * generator.standard_normal(coarse.shape), 0, 255).astype(np.uint8)
    shape = count, world.HEIGHT, world.WIDTH, 3
    aerial = coarse.astype(np.uint8)
    assert ground.shape == aerial.shape == shape
    spec = read_card_spec()
    return Views(split, pd.DataFrame({name: np.full(count, np.nan) for name in COLUMNS}), ground, aerial, spec)


def read_card_spec() -> world.ViewSpec:
    return world.ViewSpec.polar(height=world.HEIGHT, width=world.WIDTH, tile_size_m=world.TILE_M)


def test_a_tile_is_displaced_by_its_pixels() -> None:
    """A metre is 2 px: what lay 3 m east and 1 m north of the centre is in the middle afterwards."""
    tile = np.zeros((16, 16, 3), np.uint8)
    tile[6, 14] = 200
    moved = displace(tile, 3.0, 1.0, TileView(transform="tile", height=16, width=16, tile_size_m=8.0))
    assert np.argwhere(moved[..., 0]).tolist() == [[8, 8]]


def test_every_way_has_numbers_of_its_own(model: Path) -> None:
    card, config = read_card(model), ExportConfig(threads=1, calibration_queries=60)
    val, train = _views("val", 80, 1500.0, 1), _views("train", 200, 1500.0, 2)
    fitted = calibrate(model, card, val, train, config)
    assert fitted is not None and fitted.unknown is not None
    assert (fitted.queries, fitted.references) == (60, 260)
    for acuity in (fitted.known, fitted.unknown):
        # Places that stand alone, too: a tile shows the ground of a cell of 4 / 7 of its side.
        assert acuity.spacings_m == pytest.approx([world.TILE_M / 14 * stride for stride in (1, 2, 4, 8)])
        assert len(acuity.sharpness) == len(acuity.circle) == 4
    assert fitted.unknown.mean > fitted.known.mean + 0.05  # the best of all azimuths
    assert calibrate(model, card, val, train, config) == fitted
    assert calibrate(model, card, val, train, config.model_copy(update={"calibration_queries": 0})) is None


def test_sharpness_between_and_beyond_the_spacings_it_was_fitted_for() -> None:
    """80 at 5 m, 40 at 20 m: 56.6 half way in the logarithm; 28.3 at 40 m and coarser; no more than 80 below 5 m."""
    acuity = Acuity(
        mean=0.0, rise=0.5, reach_m=9.0, spacings_m=(5.0, 20.0), sharpness=(80.0, 40.0), centred=30.0, circle=(0.9, 0.8)
    )
    asked = 2.0, 5.0, 10.0, 20.0, 40.0, 400.0, None
    said = [acuity.sharpness_at(spacing) for spacing in asked]
    assert said == pytest.approx([80.0, 80.0, 56.57, 40.0, 28.28, 28.28, 30.0], rel=1e-3)
    assert [acuity.circle_at(spacing) for spacing in asked] == pytest.approx([0.9, 0.9, 0.85, 0.8, 0.8, 0.8, 0.9])


def test_positions_are_metres_east_and_north() -> None:
    """A ten-thousandth of a degree at 60 degrees north is 11.14 m of latitude and 5.58 m of longitude."""
    pairs = pd.DataFrame(
        {"latitude": [60.0, 60.0, np.nan, np.nan], "longitude": [10.0, 10.0, np.nan, np.nan],
         "aerial_latitude": [60.0001, np.nan, np.nan, np.nan], "aerial_longitude": [9.9999, np.nan, np.nan, np.nan]}
    )  # fmt: skip
    cameras, centres = plane_positions(pairs)
    assert (centres - cameras)[:2] == pytest.approx(np.array([[-5.58, 11.14], [0.0, 0.0]]), abs=0.01)
    assert np.array_equal(cameras[2:], centres[2:])
    assert np.hypot(*(cameras[2] - cameras[3])) > 1e5 and np.hypot(*(cameras[2] - cameras[0])) > 1e5


def test_offsets_are_true_east_and_north_wherever_a_data_set_lies() -> None:
    """Cities far apart, both sides of 180 degrees: each tile 12 m north of its camera, and neighbours 100 m apart."""
    latitude = np.array([47.6, 40.7, -17.8, -17.8, 25.8])
    longitude = np.array([-122.3, -74.0, 179.9995, -179.9996, -80.2])
    frame = pd.DataFrame({"latitude": latitude, "longitude": longitude, "aerial_longitude": longitude})
    cameras, centres = plane_positions(frame.assign(aerial_latitude=latitude + 12 / 111_000))
    assert (centres - cameras) == pytest.approx(np.tile([0.0, 12.0], (5, 1)), abs=0.15)
    assert np.hypot(*(cameras[2] - cameras[3])) == pytest.approx(95.4, abs=1.0)
    assert np.hypot(*(cameras[0] - cameras[1])) > 1e5


def test_few_close_places_of_several_photos_are_no_fault() -> None:
    """Grids of which some beginnings have no photo's own tile, and photos that are sought in all of them."""
    generator = np.random.default_rng(0)
    centres = np.array([[0.0, 0.0], [28.0, 0.0]])
    photos = np.repeat(centres, 10, axis=0) + generator.uniform(-1, 1, (20, 2))
    grid = lay_grid(centres, 70.0, generator.uniform(0, 5, 2))
    away = np.hypot(*np.moveaxis(grid.at[None] - photos[:, None], -1, 0))
    scores = (0.7 / np.sqrt(1 + (away / 9) ** 2) + 0.05 * generator.standard_normal(away.shape)).astype(np.float32)
    similarity = (0.7 * np.eye(20, 60) + 0.05 * generator.standard_normal((20, 60))).astype(np.float32)
    acuity = fit_acuity(similarity, scores, photos, grid, 70.0)
    assert len(acuity.sharpness) == len(acuity.circle) == len(acuity.spacings_m)
    assert all(np.isfinite(acuity.sharpness)) and all(0 <= share <= 1 for share in acuity.circle)


def test_a_grid_covers_all_that_the_places_tiles_show_and_is_made_from_the_nearest() -> None:
    """Two places 10 m apart, 5 m between tiles: every one within 10.5 m of a place, every second one within 35 m."""
    centres, origin = np.array([[100.0, 50.0], [110.0, 50.0]]), np.array([1.2, 3.9])
    grid = lay_grid(centres, 70.0, origin)
    assert grid.at == pytest.approx(origin + 5.0 * grid.axes)
    assert grid.at == pytest.approx(centres[grid.place] + grid.moved)
    away = np.hypot(*np.moveaxis(grid.at[:, None] - centres, -1, 0))
    assert np.array_equal(away.argmin(1), grid.place)
    index = np.stack(np.meshgrid(np.arange(10, 33), np.arange(0, 20)), -1).reshape(-1, 2)
    near = np.hypot(*np.moveaxis((origin + 5.0 * index)[:, None] - centres, -1, 0)).min(1)
    wanted = index[(near <= 10.5) | ((index % 2 == 0).all(1) & (near <= 35.0))]
    assert sorted(grid.axes.tolist()) == sorted(wanted.tolist())


def test_photos_are_sought_among_tiles_off_the_streets() -> None:
    """Photos along one street: the tiles 35 m beside it are there, and every photo's own in every grid."""
    generator = np.random.default_rng(1)
    photos = np.column_stack([np.arange(0.0, 1400.0, 14.0), np.zeros(100)])
    grid = lay_grid(photos, 70.0, generator.uniform(0, 5, 2))
    away = np.hypot(*np.moveaxis(grid.at[None] - photos[:, None], -1, 0))
    wide = (grid.axes % 2 == 0).all(1)
    assert wide.sum() == pytest.approx(70.0 * 1400.0 / 10.0**2, rel=0.1)  # all ground of a strip of 70 m
    for stride, first in ((8, 0), (8, 4), (4, 2), (2, 0), (1, 0)):
        tiles = ((grid.axes - first) % stride == 0).all(1)
        assert away[:, tiles].min(1).max() <= 5.0 * stride * 0.5**0.5 + 1e-9


def _known_world(spacing: float, side: int, photos: int, seed: int) -> tuple[np.ndarray, ...]:
    """Scores of a world in which photos stand out by 0.45; all fields have spread 0.1 and the profile's own kappa."""
    generator = np.random.default_rng(seed)
    along = np.minimum(np.arange(side), side - np.arange(side)) * spacing
    kappa = 1 / np.sqrt(1 + (np.hypot(along[:, None], along) / 9) ** 2)
    root = np.sqrt(np.maximum(np.fft.fft2(kappa).real, 0))
    noise = np.fft.fft2(generator.standard_normal((photos, side, side)))
    fields = 0.1 * np.fft.ifft2(noise * root).real.reshape(photos, -1)
    tiles = spacing * np.stack(np.meshgrid(np.arange(side), np.arange(side), indexing="ij"), -1).reshape(-1, 2)
    stand = generator.uniform(0, side * spacing, (photos, 2))
    span = side * spacing
    off = (tiles[None] - stand[:, None] + span / 2) % span - span / 2
    return fields + 0.45 / np.sqrt(1 + (np.hypot(off[..., 0], off[..., 1]) / 9) ** 2), stand, tiles


@pytest.mark.parametrize(("error_m", "sharpness"), [(0.0, 5000.0), (1000.0, 0.05)])
def test_scores_that_tell_nothing_have_the_sharpness_of_the_end(error_m: float, sharpness: float) -> None:
    """All tiles alike and all photos placed: no sharpness gives such a confidence; of none, no bluntness does."""
    tiles = 10.0 * np.stack(np.meshgrid(np.arange(5), np.arange(5)), -1).reshape(-1, 2)
    trial = Trial(Acuity(mean=0.0, rise=0.45, reach_m=9.0, centred=30.0), 10.0)
    trial.seek(np.full((40, 25), 0.2, np.float32), np.tile(tiles[0] + error_m, (40, 1)), tiles, np.arange(40))
    assert trial.fit()[0] == pytest.approx(sharpness, rel=1.0)


@pytest.mark.parametrize("spacing", [10.0, 20.0])
def test_a_world_where_one_sharpness_is_right_gives_it_back(spacing: float) -> None:
    """Where fields and profile fall off alike b is rise / variance = 45, and a circle of 90 % holds 90 %."""
    acuity = Acuity(mean=0.0, rise=0.45, reach_m=9.0, centred=1.0)
    trial = Trial(acuity, spacing)
    scores, photos, tiles = _known_world(spacing, 40, 300, 5)
    trial.seek(scores.astype(np.float32), photos, tiles, np.arange(300))
    sharpness, circle = trial.fit()
    assert sharpness == pytest.approx(45.0, rel=0.25) and circle == pytest.approx(0.9, abs=0.05)


def test_a_circle_errs_to_the_safe_side_by_a_standard_error_of_the_photos_it_is_fitted_on() -> None:
    """Of 100 photos a circle is to hold 93 %: 90 % and sqrt(0.9 0.1 / 100)."""
    scores, photos, tiles = _known_world(20.0, 30, 100, 7)
    trial = Trial(Acuity(mean=0.0, rise=0.45, reach_m=9.0, centred=40.0), 20.0)
    trial.seek(scores.astype(np.float32), photos, tiles, np.arange(100))
    sharpness, circle = trial.fit()
    error = np.hypot(*(tiles[scores.argmax(1)] - photos).T)
    assert (trial._held(sharpness, error) <= circle).mean() == pytest.approx(0.93, abs=0.011)


def test_more_places_than_tiles_are_thinned(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """120 places that stand alone have some 55 tiles each: of 1,000 tiles there is room for fewer places."""
    monkeypatch.setattr("aenet.export.calibration._TILES", 1000)
    made = []
    embed = calibration.run_onnx

    def counted(file: Path, images: np.ndarray, batch: int, threads: int) -> np.ndarray:
        made.append((file.name, len(images)))
        return embed(file, images, batch, threads)

    monkeypatch.setattr("aenet.export.calibration.run_onnx", counted)
    val, train = _views("val", 120, 1500.0, 1), _views("train", 60, 1500.0, 2)
    assert calibrate(model, read_card(model), val, train, ExportConfig(threads=1)) is not None
    (grid, _) = (count for name, count in made if name == "aerial.onnx")
    assert 700 <= grid <= 1000


def test_similarity_that_knows_nothing_gives_no_calibration(model: Path) -> None:
    val, train = _views("val", 40, 0.0, 1), _views("train", 60, 0.0, 2)
    mismatched = Views("val", val.pairs, val.ground[::-1].copy(), val.aerial, val.spec)
    with pytest.raises(AenetError, match="says nothing of their places"):
        calibrate(model, read_card(model), mismatched, train, ExportConfig(threads=1, calibration_queries=40))
