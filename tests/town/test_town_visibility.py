"""What of a tile can be seen from the camera: hand-made ground, and a busy town against a plain line of sight."""

from pathlib import Path

import numpy as np
import pytest

from aenet.io.artifacts import read_manifest
from aenet.town.config import Panorama, Places, TownConfig
from aenet.town.dataset import generate
from aenet.town.layers import TERRAIN_STEP, Layers, Surface
from aenet.town.materials import Scene
from aenet.town.panorama import render_panorama, stand
from aenet.town.relief import ident_type
from aenet.town.town import raise_town
from aenet.town.visibility import sight_rays, visible_cells
from tests.town.test_town_views import CONFIG, HERE, scene

EYE = 2.0
HALF, CELL = CONFIG.tile_px // 2, CONFIG.resolution_m


def look(place: Scene, eye: float = EYE) -> np.ndarray:
    rays = sight_rays(CONFIG)
    return visible_cells(CONFIG, place.layers, place.houses, rays, (HERE, HERE, eye), (HERE, HERE))


def at(east: float, north: float) -> tuple[int, int]:
    """Row and column of a tile centred on the camera."""
    return HALF - int(np.floor(north / CELL)) - 1, HALF + int(np.floor(east / CELL))


def test_an_open_field_is_seen_to_its_last_corner() -> None:
    assert look(scene()).all()


def test_a_wall_hides_the_ground_behind_it_and_none_in_front() -> None:
    place = scene()
    row, col = at(10.1, 0.0)
    middle = round(HERE / CELL) - HALF
    # Ten metres to the East, from 5 m South to 5 m North, one cell thick and 3 m high.
    place.layers.surface[middle + row - 10 : middle + row + 11, middle + col] = 3.0
    seen = look(place)
    assert seen[:, : col - 1].all()
    assert not seen[row, col + 1 :].any(), "the wall is higher than the eye: nothing behind it is seen"
    assert not seen[at(30.0, 12.0)], "its shadow widens: 12 m North at 30 m"
    assert seen[at(30.0, 19.0)], "beyond the end of the wall"
    assert seen[at(10.1, 8.0)], "beside it"


def test_over_a_low_wall_the_ground_further_away_is_seen_again() -> None:
    place = scene()
    row, col = at(10.1, 0.0)
    middle = round(HERE / CELL) - HALF
    place.layers.surface[middle + row - 30 : middle + row + 31, middle + col] = 1.0
    seen = look(place)  # from 2 m up, a wall of 1 m at 10 m hides to 20 m
    assert not seen[row, col + 1 : at(19.0, 0.0)[1]].any()
    assert seen[row, at(21.5, 0.0)[1] :].all()


def test_a_roof_is_seen_from_a_tower_and_not_from_the_street() -> None:
    place = scene((20.0, 0.0, 6.0, 8.0))
    roof = slice(at(0.0, 5.0)[0], at(0.0, -5.0)[0]), slice(at(15.0, 0.0)[1], at(25.0, 0.0)[1])
    assert not look(place)[roof].any()
    assert look(place, eye=30.0)[roof].all()


def test_a_line_of_sight_passes_below_a_crown_but_not_through_it() -> None:
    place = scene()
    middle = round(HERE / CELL) - HALF
    rows, cols = (slice(middle + at(0.0, 4.0)[0], middle + at(0.0, -4.0)[0]),), at(8.0, 0.0)[1]
    crown = (*rows, slice(middle + cols, middle + cols + 8))
    place.layers.canopy[0][crown], place.layers.canopy[1][crown] = 90, 40  # from 4 to 9 m
    assert look(place)[at(20.0, 0.0)], "the ground behind is seen below the crown"
    place.layers.canopy[1][crown] = 0  # a bush, down to the ground
    seen = look(place)
    assert not seen[at(20.0, 0.0)]
    assert seen[at(7.0, 0.0)]
    assert not seen[at(11.5, 0.0)], "the back of a flat-topped bush higher than the eye"


def plain_sight(layers: Layers, res: float, eye: np.ndarray, row: int, col: int) -> bool:
    """A straight line to the top of a cell, every 5 cm, up to where it enters the cell's surroundings."""
    terrain = layers.terrain[row // TERRAIN_STEP, col // TERRAIN_STEP]
    top = max(float(layers.surface[row, col]), float(terrain + 0.1 * layers.canopy[0, row, col]))
    target = np.array([(col + 0.5) * res, (row + 0.5) * res, top + 0.05])
    away = float(np.hypot(*(target - eye)[:2]))
    share = np.arange(0.7, max(away - 0.75 * res, 0.7), 0.05) / away
    x, y, z = eye[:, None] + (target - eye)[:, None] * share
    r, c = (y / res).astype(int), (x / res).astype(int)
    ground = layers.terrain[r // TERRAIN_STEP, c // TERRAIN_STEP]
    crown = layers.canopy[0, r, c] > 0
    leaves = crown & (z < ground + 0.1 * layers.canopy[0, r, c]) & (z > ground + 0.1 * layers.canopy[1, r, c])
    return not ((z < layers.surface[r, c]) | leaves).any()


def test_a_real_town_agrees_with_a_plain_line_of_sight() -> None:
    config = TownConfig(width_m=400.0, height_m=300.0, spacing_m=4.0, places=Places(train=14, val=4, test=8))
    town = raise_town(config)
    place, rays = Scene.of(config, town.layers, town.houses, town.slots), sight_rays(config)
    rng, same, seen_share = np.random.default_rng(0), [], []
    for index in (18, 20, 22, 25):
        x, y = town.places.camera[index]
        camera, centre = stand(place, float(x), float(y), index)[2], town.places.aerial[index]
        seen = visible_cells(config, town.layers, town.houses, rays, camera, (float(centre[0]), float(centre[1])))
        first = np.round(centre[::-1] / config.resolution_m).astype(int) - config.tile_px // 2
        for row, col in rng.integers(0, config.tile_px, (250, 2)):
            expected = plain_sight(town.layers, config.resolution_m, np.array(camera), first[0] + row, first[1] + col)
            same.append(seen[row, col] == expected)
        seen_share.append(seen.mean())
    assert np.mean(same) > 0.97, "the rest are edges, where rays and walls are finer or coarser than the plain line"
    assert 0.1 < np.mean(seen_share) < 0.9


def test_the_data_set_holds_the_test_places_masks(tmp_path: Path) -> None:
    config = TownConfig(
        width_m=400.0,
        height_m=300.0,
        spacing_m=4.0,
        places=Places(train=3, val=2, test=4),
        panorama=Panorama(height=32, width=128),
    )
    generate(config, tmp_path / "town")
    meta = read_manifest(tmp_path / "town").meta["visible"]
    assert meta == {"split": "test", "cells": config.tile_px, "cell_m": config.resolution_m}
    packed = np.load(tmp_path / "town" / "visible.npy")
    assert packed.shape == (4, config.tile_px, config.tile_px // 8)
    town = raise_town(config)
    place = Scene.of(config, town.layers, town.houses, town.slots)
    camera = stand(place, *(float(v) for v in town.places.camera[7]), 7)[2]
    centre = tuple(float(v) for v in town.places.aerial[7])
    seen = visible_cells(config, town.layers, town.houses, sight_rays(config), camera, centre)
    np.testing.assert_array_equal(np.unpackbits(packed[2], axis=1, count=config.tile_px), seen)


@pytest.mark.parametrize("kind", [Surface.HEDGE, Surface.TRUNK])
def test_rays_pass_over_no_cell(kind: Surface) -> None:
    """A ring of single cells around the camera hides everything outside, in every direction."""
    place = scene()
    rows, cols = np.indices(place.layers.kind.shape)
    away = np.hypot(rows + 0.5 - HERE / CELL, cols + 0.5 - HERE / CELL) * CELL
    ring = np.abs(away - 15.0) < CELL
    place.layers.surface[ring], place.layers.kind[ring] = 3.0, kind
    seen = look(place)
    middle = round(HERE / CELL)
    part = away[middle - HALF : middle + HALF, middle - HALF : middle + HALF]
    assert seen[part < 14.0].all()
    assert not seen[part > 16.5].any()


def test_a_large_town_can_number_its_houses() -> None:
    assert ident_type(3000) == ident_type(65535) == np.uint16
    assert ident_type(65536) == np.uint32
    place = scene((20.0, 0.0, 5.0, 8.0))
    wide = place._replace(layers=place.layers._replace(ident=place.layers.ident.astype(np.uint32)))
    np.testing.assert_array_equal(look(place), look(wide))
    for one, other in zip(render_panorama(place, HERE, HERE, 0), render_panorama(wide, HERE, HERE, 0), strict=True):
        np.testing.assert_array_equal(one, other)
