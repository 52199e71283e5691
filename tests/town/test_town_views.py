"""Both views of hand-made ground: compass, occlusion, sky, transients."""

import numpy as np
import pytest

from aenet.town.aerial import SUNS, Sun, cast_shadow, render_orthophoto
from aenet.town.config import TownConfig
from aenet.town.houses import BUILDING
from aenet.town.layers import TERRAIN_STEP, Layers, Rasters, Surface
from aenet.town.materials import Scene
from aenet.town.panorama import Label, render_panorama
from aenet.town.rays import march
from aenet.town.transients import SLOT, occupied
from aenet.view.polar import polar_transform

CONFIG = TownConfig(width_m=200.0, height_m=200.0, resolution_m=0.5)
HERE = 100.0  # the camera stands in the middle
WIDTH, HEIGHT = CONFIG.panorama.width, CONFIG.panorama.height


def scene(*houses: tuple[float, float, float, float], slots: int = 0) -> Scene:
    """A flat meadow with square red houses: metres East and North of the camera, half side, height."""
    rows, cols = CONFIG.shape
    table = np.zeros(len(houses), BUILDING)
    surface, kind = np.zeros((rows, cols), np.float32), np.full((rows, cols), Surface.GRASS, np.uint8)
    ident, albedo = np.zeros((rows, cols), np.uint16), np.full((rows, cols, 3), 120, np.uint8)
    for index, (east, north, half, height) in enumerate(houses):
        x, y = HERE + east, HERE - north
        box = (slice(int((y - half) * 2), int((y + half) * 2)), slice(int((x - half) * 2), int((x + half) * 2)))
        surface[box], kind[box], ident[box], albedo[box] = height, Surface.BUILDING, index + 1, (220, 20, 20)
        for name, value in {"x": x, "y": y, "half_u": half, "half_v": half, "eaves": height, "ridge": height}.items():
            table[name][index] = value
        table["storey"][index], table["pitch"][index] = 3.0, 2.0
        table["facade"][index] = table["roof_rgb"][index] = (220, 20, 20)
    shadow = np.full((len(SUNS), rows // 2, cols // 2), 255, np.uint8)
    canopy, terrain = np.zeros((3, rows, cols), np.uint8), np.zeros((rows // TERRAIN_STEP + 1,) * 2, np.float32)
    cars = np.zeros(slots, SLOT)
    around = np.linspace(0, 2 * np.pi, slots, endpoint=False)
    cars["x"], cars["y"], cars["busy"] = HERE + 14 * np.cos(around), HERE + 14 * np.sin(around), 0.9
    cars["walk_x"], cars["walk_y"] = HERE + 9 * np.cos(around), HERE + 9 * np.sin(around)
    return Scene.of(CONFIG, Layers(surface, kind, ident, albedo, canopy, shadow, terrain), table, cars)


@pytest.mark.parametrize(
    ("east", "north", "column"),
    [(25.0, 0.0, 3 * WIDTH // 4), (0.0, 25.0, WIDTH // 2), (-25.0, 0.0, WIDTH // 4)],
)
def test_a_tower_appears_in_the_same_column_of_both_views(east: float, north: float, column: int) -> None:
    place = scene((east, north, 4.0, 30.0))
    _, label = render_panorama(place, HERE, HERE, 0)
    seen = np.flatnonzero((label == Label.BUILDING).any(axis=0))
    assert abs(seen.mean() - column) < 1.5
    width = np.rad2deg(2 * np.arctan(4 / 21)) / 360 * WIDTH
    assert abs(len(seen) - width) < 3
    photo = render_orthophoto(CONFIG, place.layers, np.zeros((0, 3)), Rasters())
    half = CONFIG.tile_px // 2
    middle = round(HERE / CONFIG.resolution_m)
    tile = np.ascontiguousarray(photo[middle - half : middle + half, middle - half : middle + half])
    polar = polar_transform(tile, HEIGHT, WIDTH).astype(int)
    red = np.flatnonzero((polar[..., 0] - polar[..., 1] > 60).any(axis=0))
    assert abs(red.mean() - column) < 2


def test_a_tower_in_the_south_wraps_around_the_edges() -> None:
    _, label = render_panorama(scene((0.0, -25.0, 4.0, 30.0)), HERE, HERE, 0)
    seen = (label == Label.BUILDING).any(axis=0)
    assert seen[0]
    assert seen[-1]
    assert not seen[WIDTH // 4 : 3 * WIDTH // 4].any()


def seen_houses(place: Scene) -> set[int]:
    view = march(place.layers, place.houses, place.rays, HERE, HERE, 2.0, CONFIG.resolution_m)
    shown = np.isfinite(view.depth)
    return set(np.unique(place.layers.ident.reshape(-1)[view.cell[shown]]).tolist()) - {0}


def test_a_near_wall_hides_a_lower_one_behind_it_but_not_a_tower() -> None:
    near = (14.0, 0.0, 4.0, 8.0)  # its top at 31 degrees
    assert seen_houses(scene(near, (60.0, 0.0, 4.0, 12.0))) == {1}
    assert seen_houses(scene(near, (60.0, 0.0, 4.0, 60.0))) == {1, 2}
    assert seen_houses(scene(near, (-60.0, 0.0, 4.0, 12.0))) == {1, 2}


def test_a_wall_rises_to_the_elevation_of_its_top() -> None:
    place = scene((20.0, 0.0, 5.0, 12.0))
    view = march(place.layers, place.houses, place.rays, HERE, HERE, 2.0, CONFIG.resolution_m)
    top = int(np.flatnonzero(np.isfinite(view.depth[:, 3 * WIDTH // 4]))[0])
    expected = (45 - np.rad2deg(np.arctan(10.5 / 15))) / 90 * HEIGHT  # with its parapet 10.5 m above the eye, 15 m away
    assert abs(top - expected) <= 1


def test_open_ground_is_sky_above_the_horizon_and_ground_below() -> None:
    _, label = render_panorama(scene(), HERE, HERE, 3)
    assert (label[: HEIGHT // 2] == Label.SKY).all()
    assert not (label[HEIGHT // 2 :] == Label.SKY).any()


def test_cars_and_people_move_between_two_visits() -> None:
    place = scene(slots=24)
    first, second = (render_panorama(place, HERE, HERE, index)[1] for index in (1, 2))
    for label in (first, second):
        assert (label == Label.CAR).any()
    assert ((first == Label.CAR) != (second == Label.CAR)).any()
    assert any((render_panorama(place, HERE, HERE, index)[1] == Label.PEDESTRIAN).any() for index in range(4))


def test_a_wall_hides_the_cars_behind_it() -> None:
    walls = tuple((7.0 * east, 7.0 * north, 3.49, 9.0) for east in (-1, 0, 1) for north in (-1, 0, 1) if east or north)
    _, label = render_panorama(scene(*walls, slots=24), HERE, HERE, 1)
    assert not (label == Label.CAR).any()


def test_no_two_cars_stand_in_the_same_spot() -> None:
    slots = np.zeros(2, SLOT)
    slots["busy"], slots["x"], slots["y"] = 1.0, (10.0, 10.9), (10.0, 10.0)
    assert len(occupied(np.random.default_rng(0), slots)) == 1


def test_shadows_fall_away_from_the_sun() -> None:
    height = np.zeros((80, 80), np.float32)
    height[40, 40] = 10.0
    lit = cast_shadow(height, 1.0, Sun(azimuth=180.0, elevation=45.0))  # from the South: shadow to the North
    assert lit[36, 40] < 255
    assert (lit[44:, 40] == 255).all()
    assert lit[25, 40] == 255, "ten metres at 45 degrees reach ten metres"
