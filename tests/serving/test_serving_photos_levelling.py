"""Tilted cameras: directions by hand, and a town's panorama tilted in float64 and levelled back."""

import math
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from serving.test_serving_photos_metadata import gpano
from test_city_views import HERE, scene

from aenet.card import ViewSpec
from aenet.data.city.panorama import render_panorama
from aenet.serving.photos.levelling import in_camera, level_sphere
from aenet.serving.photos.pose import Tilt
from aenet.serving.photos.reading import read_photo

SPEC = ViewSpec(height=64, width=256, tile_size_m=70.0)


def where(azimuth: float, elevation: float, pitch: float, roll: float) -> tuple[float, float]:
    """Where a direction lies for a tilted camera, degrees."""
    direction = np.radians([[azimuth]]), np.radians([[elevation]])
    return tuple(math.degrees(float(angle[0, 0])) for angle in in_camera(*direction, Tilt(pitch, roll, "gpano")))


@pytest.mark.parametrize(
    ("world", "tilt", "camera"),
    [  # azimuth and elevation, pitch and roll
        (
            (0.0, 0.0),
            (20.0, 0.0),
            (0.0, -20.0),
        ),  # pitch: degrees above the horizon, of the centre: the horizon lies below it
        ((0.0, 20.0), (20.0, 0.0), (0.0, 0.0)),
        ((0.0, 20.0), (20.0, 77.0), (0.0, 0.0)),  # roll turns about that centre
        ((90.0, 0.0), (20.0, 0.0), (90.0, 0.0)),  # what is at right angles stays
        ((180.0, 0.0), (20.0, 0.0), (180.0, 20.0)),
        ((90.0, 0.0), (0.0, 15.0), (90.0, 15.0)),  # roll: the horizon turns counterclockwise, its right end rises
        ((-90.0, 0.0), (0.0, 15.0), (-90.0, -15.0)),
        ((0.0, 0.0), (0.0, 15.0), (0.0, 0.0)),
        ((0.0, -90.0), (-90.0, 0.0), (0.0, 0.0)),
    ],
)
def test_directions_by_hand(world: tuple[float, float], tilt: tuple[float, float], camera: tuple[float, float]) -> None:
    assert where(*world, *tilt) == pytest.approx(camera, abs=1e-9)


@cache
def sphere() -> np.ndarray:
    """A town's panorama (elevations of +-45 degrees) in a whole sphere of 512 x 1024, grey above and below."""
    place = scene((20.0, 5.0, 4.0, 9.0), (-12.0, 16.0, 5.0, 7.0), (-18.0, -20.0, 6.0, 12.0), slots=8)
    panorama, _ = render_panorama(place, HERE, HERE, 3)
    whole = np.full((512, 1024, 3), 128, np.uint8)
    whole[128:384] = panorama.repeat(2, 0).repeat(2, 1)
    return whole


def tilted(pitch_deg: float, roll_deg: float) -> np.ndarray:
    """What a tilted camera takes of that sphere: rays of its axes in east, north and up, all in float64."""
    height, width = sphere().shape[:2]
    pitch, roll = math.radians(pitch_deg), math.radians(roll_deg)
    ahead = np.array([0.0, math.cos(pitch), math.sin(pitch)])
    level_up, level_right = np.array([0.0, -math.sin(pitch), math.cos(pitch)]), np.array([1.0, 0.0, 0.0])
    up = math.cos(roll) * level_up + math.sin(roll) * level_right  # clockwise, seen from behind
    right = math.cos(roll) * level_right - math.sin(roll) * level_up
    i, j = np.mgrid[:height, :width] + 0.5
    azimuth, elevation = (j / width - 0.5) * 2 * np.pi, (0.5 - i / height) * np.pi
    parts = np.cos(elevation) * np.sin(azimuth), np.cos(elevation) * np.cos(azimuth), np.sin(elevation)
    east, north, above = sum(part[..., None] * axis for part, axis in zip(parts, (right, ahead, up), strict=True)).T
    x = (np.arctan2(east, north).T / (2 * np.pi) + 0.5) * width - 0.5
    y = (0.5 - np.arcsin(np.clip(above.T, -1, 1)) / np.pi) * height - 0.5
    x0, y0 = np.floor(x).astype(int), np.clip(np.floor(y).astype(int), 0, height - 2)
    a, b = (x - x0)[..., None], np.clip(y - y0, 0, 1)[..., None]
    values = sphere().astype(np.float64)
    near, far = (values[rows, x0 % width] * (1 - a) + values[rows, (x0 + 1) % width] * a for rows in (y0, y0 + 1))
    return np.rint(near * (1 - b) + far * b).astype(np.uint8)


@pytest.mark.parametrize(("pitch", "roll"), [(20.0, 15.0), (-30.0, 0.0), (0.0, -40.0), (75.0, 170.0)])
def test_a_towns_panorama_comes_back_level(pitch: float, roll: float) -> None:
    """Off by what interpolating twice costs; the other signs are off by far more."""
    taken = tilted(pitch, roll)

    def off(tilt: Tilt) -> float:
        back = level_sphere(taken, tilt, 1024).astype(np.float64)
        return float(np.abs(back - sphere())[140:372].mean())

    assert off(Tilt(pitch, roll, "gpano")) < 4
    for wrong in {(-pitch, roll), (pitch, -roll), (0.0, 0.0)} - {(pitch, roll)}:
        assert off(Tilt(*wrong, "gpano")) > 12


def test_a_level_camera_changes_nothing() -> None:
    assert np.abs(level_sphere(sphere(), Tilt(0.0, 0.0, "gpano"), 1024).astype(int) - sphere()).max() <= 1


def test_a_tilted_sphere_is_read_as_the_level_one(tmp_path: Path) -> None:
    views = []
    for name, pixels, pose in (("level", sphere(), {}), ("tilted", tilted(20.0, 15.0), {"Pitch": 20, "Roll": 15})):
        xmp = gpano(ProjectionType="equirectangular", **{f"Pose{axis}Degrees": angle for axis, angle in pose.items()})
        Image.fromarray(pixels).save(tmp_path / name, "JPEG", quality=95, xmp=xmp)
        reading = read_photo(tmp_path / name, name, SPEC)
        assert reading.view is not None and reading.placed is not None and reading.placed.width_deg == 360
        views.append(reading.view.astype(float))
        assert ("levelled: it was taken at a pitch of 20 and a roll of 15" in "; ".join(reading.account.notes)) == (
            name == "tilted"
        )
    assert np.abs(views[0] - views[1]).mean() < 3
