"""The colour histograms that a learned descriptor has to beat."""

import numpy as np
import pandas as pd
import pytest

from aenet.data.pairs import COLUMNS
from aenet.data.views import Views
from aenet.retrieval.baseline import colour_baseline, colour_histograms
from aenet.view.spec import GroundView, TileView, ViewSpec


def r1(pixels: np.ndarray, sectors: int = 1) -> float:
    """R@1 where each place's two views are the same picture."""
    n, height, width, _ = pixels.shape
    pairs = pd.DataFrame({name: [f"{row}" for row in range(n)] for name in COLUMNS})
    pairs = pairs.assign(latitude=1e-4 * np.arange(n), longitude=0.0, aerial_latitude=0.0, aerial_longitude=0.0)
    views = Views("test", pairs, pixels, pixels, ViewSpec.polar(height=height, width=width, tile_size_m=70.0))
    return colour_baseline(views, sectors).values["recall_at_1"]


def test_ties_are_misses_and_distinct_colours_are_found() -> None:
    flat = np.full((8, 4, 16, 3), 90, np.uint8)
    assert r1(flat) == 0.0
    steps = flat + 0
    steps[...] = (np.arange(8, dtype=np.uint8) * 32)[:, None, None, None]
    assert r1(steps) == 100.0


def test_sectors_tell_the_same_colours_in_other_directions_apart() -> None:
    halves = np.zeros((2, 4, 16, 3), np.uint8)
    halves[0, :, :8], halves[1, :, 8:] = 255, 255
    assert r1(halves) == 0.0
    assert r1(halves, sectors=2) == 100.0


def test_azimuths_of_a_tile_are_those_of_its_panorama() -> None:
    """Four colours by direction: in slices of the horizon a square tile is like the panorama from its middle."""
    colours = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 0]], np.uint8)  # S, W, N, E
    panorama = np.roll(colours.repeat(16, 0), -8, axis=0)[None].repeat(16, 0)  # each about its direction
    at = np.arange(32) + 0.5 - 16
    east, south = np.meshgrid(at, at)
    tile = colours[np.where(abs(east) > abs(south), np.where(east > 0, 3, 1), np.where(south > 0, 0, 2))]
    aerial = TileView(transform="tile", height=32, width=32, tile_size_m=70.0)
    ground = colour_histograms(panorama[None], GroundView(height=16, width=64).azimuths(), 8)
    turned = colour_histograms(np.rot90(tile).copy()[None], aerial.azimuths(), 8)
    assert (ground @ colour_histograms(tile[None], aerial.azimuths(), 8).T).item() == pytest.approx(1, abs=0.02)
    assert (ground @ turned.T).item() < 0.1, "the diagonals, which are of one side or the other"
