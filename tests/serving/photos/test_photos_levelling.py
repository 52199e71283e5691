"""Tilted cameras: directions by hand, and a town's panorama tilted in float64 and levelled back."""

import math
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aenet.data.views import ground_view
from aenet.io.errors import AenetError
from aenet.serving.photos.coverage import Lens, Strip
from aenet.serving.photos.levelling import in_camera, level_sphere
from aenet.serving.photos.metadata.pose import Tilt
from aenet.serving.photos.placement import Placed, place
from aenet.serving.photos.reading import read_photo
from aenet.town.panorama import render_panorama
from aenet.view.spec import NEUTRAL, ViewSpec
from tests.serving.photos.test_photos_metadata import gpano
from tests.town.test_town_views import HERE, scene

SPEC = ViewSpec.polar(height=64, width=256, tile_size_m=70.0)  # elevations of +-45 degrees


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


def axes(pitch_deg: float, roll_deg: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Right, up and ahead of a tilted camera headed north, in east, north and up."""
    pitch, roll = math.radians(pitch_deg), math.radians(roll_deg)
    ahead = np.array([0.0, math.cos(pitch), math.sin(pitch)])
    level_up, level_right = np.array([0.0, -math.sin(pitch), math.cos(pitch)]), np.array([1.0, 0.0, 0.0])
    right = math.cos(roll) * level_right - math.sin(roll) * level_up  # clockwise, seen from behind
    return right, math.cos(roll) * level_up + math.sin(roll) * level_right, ahead


def seen_along(rays: np.ndarray) -> np.ndarray:
    """The sphere's colours (bilinear, float64) in directions of east, north and up."""
    height, width = sphere().shape[:2]
    rays = rays / np.linalg.norm(rays, axis=-1, keepdims=True)
    x = (np.arctan2(rays[..., 0], rays[..., 1]) / (2 * np.pi) + 0.5) * width - 0.5
    y = np.clip((0.5 - np.arcsin(np.clip(rays[..., 2], -1, 1)) / np.pi) * height - 0.5, 0, height - 1.001)
    x0, y0 = np.floor(x).astype(int), np.floor(y).astype(int)
    a, b, values = (x - x0)[..., None], (y - y0)[..., None], sphere().astype(np.float64)
    rows = (values[row, x0 % width] * (1 - a) + values[row, (x0 + 1) % width] * a for row in (y0, y0 + 1))
    upper, lower = rows
    return np.rint(upper * (1 - b) + lower * b).astype(np.uint8)


def tilted(pitch_deg: float, roll_deg: float) -> np.ndarray:
    """What a tilted camera takes of the whole sphere."""
    height, width = sphere().shape[:2]
    i, j = np.mgrid[:height, :width] + 0.5
    azimuth, elevation = (j / width - 0.5) * 2 * np.pi, (0.5 - i / height) * np.pi
    parts = np.cos(elevation) * np.sin(azimuth), np.sin(elevation), np.cos(elevation) * np.cos(azimuth)
    return seen_along(sum(part[..., None] * axis for part, axis in zip(parts, axes(pitch_deg, roll_deg), strict=True)))


def shot(pitch_deg: float, roll_deg: float, fov_deg: float = 80.0) -> np.ndarray:
    """What a tilted lens takes, 600 x 450 pixels."""
    i, j = np.mgrid[:450, :600] + 0.5
    parts = j - 300, 225 - i, np.full(i.shape, 300 / math.tan(math.radians(fov_deg / 2)))
    return seen_along(sum(part[..., None] * axis for part, axis in zip(parts, axes(pitch_deg, roll_deg), strict=True)))


@pytest.mark.parametrize(("pitch", "roll"), [(20.0, 15.0), (-30.0, 0.0), (0.0, -40.0), (75.0, 170.0)])
def test_a_towns_panorama_comes_back_level(pitch: float, roll: float) -> None:
    """Off by what interpolating twice costs; the other signs are off by far more."""
    taken = tilted(pitch, roll)

    def off(tilt: Tilt) -> float:
        back = level_sphere(taken, tilt, 1024).astype(np.float64)
        return float(np.abs(back - sphere())[140:372].mean())

    assert off(Tilt(pitch, roll, "gpano")) < 3
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


def off(placed: Placed, heading_deg: float) -> float:
    """Grey levels from the level panorama where the photo is seen."""
    level = np.roll(ground_view(sphere()[128:384], SPEC), round(heading_deg / 360 * 256), axis=1).astype(float)
    seen = (placed.pixels != np.array(NEUTRAL.colour)).any(axis=2) & placed.columns
    return float(np.abs(placed.pixels.astype(float) - level)[seen].mean())


@pytest.mark.parametrize(("pitch", "roll"), [(-25.0, 0.0), (10.0, 20.0), (-40.0, -15.0), (0.0, 90.0)])
@pytest.mark.parametrize("heading", [0.0, 180.0])
def test_a_tilted_lens_is_put_where_it_looked(pitch: float, roll: float, heading: float) -> None:
    photo = shot(pitch, roll)

    def placed(tilt: Tilt | None) -> Placed:
        return place(photo, Lens(80.0), SPEC, heading, tilt=tilt)

    assert off(placed(Tilt(pitch, roll, "dji")), heading) < 2
    for wrong in {(-pitch, roll), (pitch, -roll)} - {(pitch, roll), (-pitch, -roll)}:
        assert off(placed(Tilt(*wrong, "dji")), heading) > 12
    assert off(placed(None), heading) > 12


def test_a_part_of_a_tilted_panorama_is_put_where_it_looked() -> None:
    """Columns 600 to 900 of 1,024 and the middle rows: the pose counts for the middle of the whole."""
    part = np.ascontiguousarray(tilted(20.0, 15.0)[100:400, 600:900])
    covers = Strip(300 / 1024 * 360, 750 / 1024 * 360 - 180, 90 - 100 / 512 * 180, 90 - 400 / 512 * 180)
    assert off(place(part, covers, SPEC, 0.0, tilt=Tilt(20.0, 15.0, "gpano")), 0.0) < 2
    assert off(place(part, covers, SPEC, 0.0), 0.0) > 12


def test_what_a_tilted_lens_covers() -> None:
    """Rolled by 90 degrees, 80 x 64.4 degrees see 64.4 of the horizon; pitched by 35, more of it than level."""
    assert place(shot(0.0, 0.0), Lens(80.0), SPEC).width_deg == 80
    upright = place(shot(0.0, 90.0), Lens(80.0), SPEC, 90.0, tilt=Tilt(0.0, 90.0, "dji"))
    assert upright.width_deg == pytest.approx(64.4, abs=3) and upright.start_deg == pytest.approx(270 - 32.2, abs=3)
    down = place(shot(-35.0, 0.0), Lens(80.0), SPEC, tilt=Tilt(-35.0, 0.0, "dji"))
    assert 85 < down.width_deg < 120 and down.heading_deg is None
    with pytest.raises(AenetError, match="shows nothing of the model's view"):
        place(shot(-85.0, 0.0, 20.0), Lens(20.0), SPEC, tilt=Tilt(-85.0, 0.0, "dji"))
