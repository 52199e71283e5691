"""What scores are worth: fitted on an exported model, and views displaced as polar views of moved tiles are."""

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from serving import world

from aenet.card import read_card
from aenet.data.pairs import COLUMNS
from aenet.data.views import Views
from aenet.export.branches import ExportConfig
from aenet.export.calibration import calibrate, displace
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


def test_displacement_and_unknown_headings_are_worth_less(model: Path) -> None:
    card, config = read_card(model), ExportConfig(threads=1, calibration_queries=100, calibration_offset_m=0.0)
    val, train = _views("val", 120, 2000.0, 1), _views("train", 300, 2000.0, 2)
    centred = calibrate(model, card, val, train, config)
    moved = calibrate(model, card, val, train, config.model_copy(update={"calibration_offset_m": 6.0}))
    assert centred is not None and moved is not None and centred.unknown is not None
    assert (centred.queries, centred.references) == (100, 400)
    assert moved.known < centred.known
    assert calibrate(model, card, val, train, config) == centred
    assert calibrate(model, card, val, train, config.model_copy(update={"calibration_queries": 0})) is None
