"""The polar view: the published formula, and the compass."""

import numpy as np
import pytest

from aenet.view.polar import averaged_px, polar_transform, sampling_maps

SIDE, HEIGHT, WIDTH = 200, 32, 128


def by_formula(tile: np.ndarray, height: int, width: int) -> np.ndarray:
    """The published formula, one pixel at a time, in float64."""
    side, out = len(tile), np.empty((height, width, 3))
    for i in range(height):
        for j in range(width):
            reach = side / 2 / height * (height - 1 - i)
            row = side / 2 + reach * np.cos(2 * np.pi * j / width)
            col = side / 2 - reach * np.sin(2 * np.pi * j / width)
            r, c = int(row // 1), int(col // 1)
            r1, c1 = min(r + 1, side - 1), min(c + 1, side - 1)
            a, b, d, e = (tile[at].astype(np.float64) for at in ((r, c), (r, c1), (r1, c), (r1, c1)))
            top, bottom = a + (b - a) * (col - c), d + (e - d) * (col - c)
            out[i, j] = top + (bottom - top) * (row - r)
    return out


@pytest.mark.parametrize(
    ("side", "height", "expected"),
    [
        (750, 128, 1),
        (1200, 128, 1),
        (200, 64, 1),
        (1799, 128, 1),
        (1801, 128, 2),
        (3584, 128, 3),
        (896, 64, 1),
        (904, 64, 2),
    ],
)
def test_only_tiles_finer_than_the_published_ones_are_averaged(side: int, height: int, expected: int) -> None:
    """CVUSA's and CVACT's keep the published formula; from 1.5 times CVACT's 4.7 pixels a row on there are means."""
    assert averaged_px(side, height) == expected


@pytest.mark.parametrize(("side", "averaged"), [(16 * 28, 3), (16 * 28 + 1, 3), (16 * 60, 6)])
def test_fine_tiles_are_means_about_the_samples_of_the_formula(side: int, averaged: int) -> None:
    """The formula, on a tile whose every value is the mean over `averaged` pixels about it, in float64."""
    tile = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    assert averaged_px(side, 16) == averaged
    sums = np.pad(tile.astype(np.float64).cumsum(0).cumsum(1), ((1, 0), (1, 0), (0, 0)))
    whole = sums[averaged:, averaged:] - sums[:-averaged, averaged:] - sums[averaged:, :-averaged]
    means = (whole + sums[:-averaged, :-averaged]) / averaged**2  # [i, j] is about i + (averaged - 1) / 2, likewise j
    map_x, map_y = (at - (averaged - 1) / 2 for at in sampling_maps(16, 64, side))
    x, y = np.floor(map_x).astype(int), np.floor(map_y).astype(int)
    right, down = (map_x - x)[..., None], (map_y - y)[..., None]
    upper = means[y, x] * (1 - right) + means[y, x + 1] * right
    lower = means[y + 1, x] * (1 - right) + means[y + 1, x + 1] * right
    found = polar_transform(tile, 16, 64)
    assert np.abs(found - (upper * (1 - down) + lower * down)).max() <= 0.5 + 1e-3


@pytest.mark.parametrize("side", [SIDE, 201, 40])
def test_every_pixel_is_within_half_a_grey_level_of_the_formula(side: int) -> None:
    tile = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    view = polar_transform(tile, HEIGHT, WIDTH)
    assert np.abs(view - by_formula(tile, HEIGHT, WIDTH)).max() <= 0.5 + 1e-4


@pytest.mark.parametrize(
    ("row", "col", "column"),
    [(30, 100, WIDTH // 2), (100, 170, 3 * WIDTH // 4), (170, 100, 0), (100, 30, WIDTH // 4)],
    ids=["north", "east", "south", "west"],
)
def test_a_red_square_lands_in_its_compass_column(row: int, col: int, column: int) -> None:
    tile = np.zeros((SIDE, SIDE, 3), np.uint8)
    tile[row - 5 : row + 6, col - 5 : col + 6, 0] = 255
    red = polar_transform(tile, HEIGHT, WIDTH)[..., 0].astype(float)
    angles = np.exp(2j * np.pi * np.arange(WIDTH) / WIDTH)
    centre = np.angle((red.sum(0) * angles).sum()) / (2 * np.pi) * WIDTH % WIDTH
    assert abs((centre - column + WIDTH / 2) % WIDTH - WIDTH / 2) < 0.5
    # 70 px from the centre of a tile of 100 px radius: seven tenths of the way up from the bottom row.
    assert abs(np.average(np.arange(HEIGHT), weights=red.sum(1)) - (HEIGHT - 1 - 0.7 * HEIGHT)) < 0.5


def test_turning_the_tile_rolls_the_columns_by_a_quarter() -> None:
    """The turn is about S/2, so rows and columns 0..S are kept and each sample takes its nearest pixel."""
    tile = np.random.default_rng(1).integers(0, 256, (SIDE + 1, SIDE + 1, 3), dtype=np.uint8)
    map_x, map_y = sampling_maps(HEIGHT, WIDTH, SIDE)
    rows, columns = np.rint(map_y).astype(int), np.rint(map_x).astype(int)
    east_is_north = np.rot90(tile)  # counter-clockwise: what was East is now North
    agree = (east_is_north[rows, columns] == np.roll(tile[rows, columns], -WIDTH // 4, axis=1)).all(2)
    assert agree.mean() > 0.99  # where a sample falls between two pixels it may round to either


def test_a_turned_smooth_tile_rolls_the_view() -> None:
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    tile = (127 + 120 * np.stack([np.sin(5 * x + 2 * y), np.cos(3 * y), np.sin(4 * x * y)], -1)).astype(np.uint8)
    view, turned = polar_transform(tile, HEIGHT, WIDTH), polar_transform(np.rot90(tile).copy(), HEIGHT, WIDTH)
    # Turning an even tile moves its pixels' centre by one pixel, here at most 5 grey levels.
    assert np.abs(turned.astype(int) - np.roll(view, -WIDTH // 4, axis=1)).max() <= 6
    assert np.abs(turned.astype(int) - view).max() > 60


def test_bottom_row_is_the_centre_and_top_row_the_edge() -> None:
    map_x, map_y = sampling_maps(HEIGHT, WIDTH, SIDE)
    assert np.allclose(map_x[-1], SIDE / 2)
    assert np.allclose(map_y[-1], SIDE / 2)
    radius = np.hypot(map_x[0] - SIDE / 2, map_y[0] - SIDE / 2)
    assert np.allclose(radius, SIDE / 2 * (HEIGHT - 1) / HEIGHT)


def test_taps_stay_inside_real_tiles() -> None:
    for side in (750, 1200):
        for taps in sampling_maps(128, 512, side):
            assert taps.min() >= 0
            assert taps.max() + 1 <= side - 1
