"""What scores are worth: fitted on an exported model, and views displaced as polar views of moved tiles are."""

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from serving import world

from aenet.card import Acuity, read_card
from aenet.data.pairs import COLUMNS
from aenet.data.views import Views
from aenet.errors import AenetError
from aenet.export.branches import ExportConfig
from aenet.export.calibration import _offset, _profile, _Trial, calibrate, displace
from aenet.polar import polar_transform


def test_a_displaced_view_is_that_of_the_moved_tile() -> None:
    """Against cutting the tile 6 m to the east and 4 m to the north of it; only within what both views know."""
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    ground = cv2.resize(noise, (400, 400), interpolation=cv2.INTER_CUBIC)

    def view(east_px: int, north_px: int) -> np.ndarray:
        left, top = 100 + east_px, 100 - north_px
        return polar_transform(np.ascontiguousarray(ground[top : top + 200, left : left + 200]), 64, 256)

    moved = displace(view(0, 0), 6.0, 4.0, 50.0).astype(float)  # 4 px a metre
    inner = slice(28, 60)  # the rim of the old tile is not reached there
    wrong = np.abs(view(0, 0).astype(float) - view(24, 16))[inner].mean()
    assert np.abs(moved - view(24, 16))[inner].mean() < 0.15 * wrong
    assert np.array_equal(displace(view(0, 0), 0.0, 0.0, 50.0), view(0, 0))


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
    return Views(split, pd.DataFrame({name: np.zeros(count) for name in COLUMNS}), ground, aerial, spec)


def read_card_spec() -> world.ViewSpec:
    return world.ViewSpec(height=world.HEIGHT, width=world.WIDTH, tile_size_m=world.TILE_M)


def test_every_way_and_spacing_has_a_sharpness_of_its_own(model: Path) -> None:
    card, config = read_card(model), ExportConfig(threads=1, calibration_queries=60)
    val, train = _views("val", 80, 1500.0, 1), _views("train", 200, 1500.0, 2)
    fitted = calibrate(model, card, val, train, config)
    assert fitted is not None and fitted.unknown is not None
    assert (fitted.queries, fitted.references) == (60, 260)
    for acuity in (fitted.known, fitted.unknown):
        assert len(acuity.sharpness) == len(acuity.spacings_m) == 3
        assert acuity.spacings_m[0] == pytest.approx(world.TILE_M / 14)
    assert fitted.unknown.mean > fitted.known.mean + 0.05  # the best of all azimuths
    assert calibrate(model, card, val, train, config) == fitted
    assert calibrate(model, card, val, train, config.model_copy(update={"calibration_queries": 0})) is None


def test_sharpness_between_and_beyond_the_spacings_it_was_fitted_for() -> None:
    """80 at 5 m, 40 at 20 m: 56.6 half way in the logarithm; 28.3 at 40 m and coarser; no more than 80 below 5 m."""
    acuity = Acuity(mean=0.0, rise=0.5, reach_m=9.0, spacings_m=(5.0, 20.0), sharpness=(80.0, 40.0), centred=30.0)
    said = [acuity.sharpness_at(spacing) for spacing in (2.0, 5.0, 10.0, 20.0, 40.0, 400.0, None)]
    assert said == pytest.approx([80.0, 80.0, 56.57, 40.0, 28.28, 28.28, 30.0], rel=1e-3)


def test_a_profile_is_found_again() -> None:
    """0.5 / (1 + (d / 12)^2) with noise: 12 m within 5 %."""
    generator = np.random.default_rng(0)
    away = generator.uniform(0, 14, 4000)
    rise, reach = _profile(0.5 / (1 + (away / 12) ** 2) + 0.05 * generator.standard_normal(4000), away, 70.0)
    assert rise == pytest.approx(0.5, rel=0.02) and reach == pytest.approx(12.0, rel=0.05)


def test_offsets_are_metres_east_and_north() -> None:
    """A ten-thousandth of a degree at 60 degrees north is 11.14 m of latitude and 5.58 m of longitude."""
    pairs = pd.DataFrame(
        {"latitude": [60.0, 60.0], "longitude": [10.0, 10.0], "aerial_latitude": [60.0001, np.nan],
         "aerial_longitude": [9.9999, np.nan]}
    )  # fmt: skip
    assert _offset(pairs) == pytest.approx(np.array([[-5.58, 11.14], [0.0, 0.0]]), abs=0.01)


def _known_world(photos: int, spacing: float) -> tuple[np.ndarray, ...]:
    """Scores of a world in which photos stand out by 0.45 and all fields have spread 0.1 and reach 9 m."""
    generator = np.random.default_rng(5)
    phase = generator.uniform(-0.5, 0.5, (1, photos, 2)) * spacing
    around = np.array([(east, north) for east in (-1, 0, 1) for north in (-1, 0, 1)]) * spacing
    centres = around[:, None] + phase
    apart = np.hypot(*np.moveaxis(around[:, None] - around, -1, 0))
    root = np.linalg.cholesky(0.01 / (1 + (apart / 9) ** 2))
    away = np.hypot(centres[..., 0], centres[..., 1])
    near = 0.45 / (1 + (away / 9) ** 2) + root @ generator.standard_normal((9, photos))
    return near, centres


def test_a_world_where_one_sharpness_is_right_gives_it_back() -> None:
    """Where fields and profile have one reach, b is rise / variance = 45, and the trial finds it."""
    acuity = Acuity(mean=0.0, rise=0.45, reach_m=9.0, centred=1.0)
    for spacing in (10.0, 20.0):
        near, centres = _known_world(1200, spacing)
        far = np.zeros(1200), np.full(1200, 0.1)
        assert _Trial(acuity, spacing, near, centres, far, 9.0).fit() == pytest.approx(45.0, rel=0.2)


def test_similarity_that_knows_nothing_gives_no_calibration(model: Path) -> None:
    val, train = _views("val", 40, 0.0, 1), _views("train", 60, 0.0, 2)
    strangers = Views("val", val.pairs, val.ground[::-1].copy(), val.aerial, val.spec)
    with pytest.raises(AenetError, match="says nothing of their places"):
        calibrate(model, read_card(model), strangers, train, ExportConfig(threads=1, calibration_queries=40))
