"""Photos on the azimuth: a direction in the photo is the same direction on the canvas."""

import math

import cv2
import numpy as np
import pytest

from aenet.data.views import ground_view
from aenet.io.errors import AenetError
from aenet.serving.photos.coverage import Coverage, Lens, Strip, Whole, coverage
from aenet.serving.photos.metadata.lens import Sphere
from aenet.serving.photos.metadata.pose import Photo
from aenet.serving.photos.placement import Placed, place, vertical_span
from aenet.view.images import resize
from aenet.view.spec import NEUTRAL, ViewSpec

SPEC = ViewSpec.polar(height=64, width=256, tile_size_m=70.0)  # +-45 degrees
CVACT = ViewSpec.polar(height=112, width=512, rows=(208, 624), panorama_size=(832, 1664), tile_size_m=70.0)
WHITE = 255


def pole(width: int, height: int, x: float, thick: int = 40) -> np.ndarray:
    """Black, with a white pole whose middle is `x` pixels from the left edge."""
    image = np.zeros((height, width, 3), np.uint8)
    image[:, max(0, round(x - thick / 2)) : round(x + thick / 2)] = WHITE
    return image


def bright(placed: Placed, row: int = 32) -> float:
    """Where the white stands in a row, in columns from the left edge; the neutral grey is darker."""
    weight = np.where(placed.pixels[row, :, 0] > 140, placed.pixels[row, :, 0].astype(float), 0)
    return float((weight * (np.arange(len(weight)) + 0.5)).sum() / weight.sum())


def test_a_pole_in_the_middle_stands_in_the_middle_and_one_at_the_edge_half_a_field_away() -> None:
    """90 degrees wide: 64 of 256 columns, 32 to each side of the centre at 128."""
    middle = place(pole(1200, 900, 600), Lens(90.0), SPEC)
    assert bright(middle) == pytest.approx(128, abs=0.1)
    assert (middle.start_deg, middle.width_deg, middle.heading_deg) == (135.0, 90.0, None)
    assert np.flatnonzero(middle.columns).tolist() == list(range(96, 160))
    right = place(pole(1200, 900, 1160, 80), Lens(90.0), SPEC)
    assert right.pixels[32, 159, 0] > 200 and (right.pixels[:, 160] == NEUTRAL.colour).all()
    left = place(pole(1200, 900, 40, 80), Lens(90.0), SPEC)
    assert left.pixels[32, 96, 0] > 200 and (left.pixels[:, 95] == NEUTRAL.colour).all()


@pytest.mark.parametrize(("heading", "column"), [(0.0, 128), (90.0, 192), (270.0, 64), (350.0, 120.89)])
def test_heading_turns_the_canvas_north(heading: float, column: float) -> None:
    """East is three quarters to the right, west one quarter, as in training's views."""
    placed = place(pole(1200, 900, 600), Lens(60.0), SPEC, heading)
    assert bright(placed) == pytest.approx(column, abs=0.3) and placed.heading_deg == heading


def test_a_photo_to_the_south_goes_over_the_seam() -> None:
    placed = place(pole(1200, 900, 600, 40), Lens(90.0), SPEC, 180.0)
    assert (placed.start_deg, placed.width_deg) == (315.0, 90.0)
    assert np.flatnonzero(~placed.columns).tolist() == list(range(32, 224))
    assert placed.pixels[32, 0, 0] > 200 and placed.pixels[32, 255, 0] > 200


def test_the_horizon_stays_and_rows_are_elevations() -> None:
    """A line 20 degrees above the horizon: row (45 - 20) / 90 * 64 = 17.8, straight ahead and at the side."""
    focal = 600 / math.tan(math.radians(40))
    azimuth = np.radians(np.linspace(-39, 39, 400))
    image = np.zeros((1200, 1200, 3), np.uint8)
    x, y = 600 + focal * np.tan(azimuth), 600 - focal * math.tan(math.radians(20)) / np.cos(azimuth)
    cv2.polylines(image, [np.stack([x, y], 1).round().astype(np.int32)], False, (WHITE,) * 3, 20)
    placed = place(image, Lens(80.0), SPEC)
    for column in (102, 128, 153):
        line = np.where(placed.pixels[:, column, 0] > 30, placed.pixels[:, column, 0], 0).astype(float)
        line[:4] = 0  # above the picture the grey begins
        rows = np.arange(64) + 0.5
        seen = (placed.pixels[:, column] != NEUTRAL.colour).any(axis=1)
        assert (line * rows * seen).sum() / (line * seen).sum() == pytest.approx(17.8, abs=0.4)


def sphere(height: int = 1024) -> np.ndarray:
    """A smooth 2:1 panorama without symmetries."""
    noise = np.random.default_rng(0).integers(0, 256, (24, 48, 3), dtype=np.uint8)
    wide = cv2.resize(
        np.concatenate([noise, noise[:, :8]], axis=1), (height * 2 * 56 // 48, height), interpolation=cv2.INTER_CUBIC
    )
    return np.ascontiguousarray(wide[:, : 2 * height])


def shot(panorama: np.ndarray, azimuth_deg: float, fov_deg: float, width: int, height: int) -> np.ndarray:
    """What a rectilinear lens sees of a 2:1 panorama: written as rays, not as the code under test does."""
    rows, columns = panorama.shape[:2]
    i, j = np.mgrid[0:height, 0:width] + 0.5
    right, up, ahead = j - width / 2, height / 2 - i, width / 2 / math.tan(math.radians(fov_deg / 2))
    azimuth = np.degrees(np.arctan2(right, ahead)) + azimuth_deg
    elevation = np.degrees(np.arctan2(up, np.hypot(right, ahead)))
    x = ((azimuth + 180) % 360) / 360 * columns - 0.5
    y = (90 - elevation) / 180 * rows - 0.5
    return np.asarray(
        cv2.remap(panorama, x.astype(np.float32), y.astype(np.float32), cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    )


@pytest.mark.parametrize("azimuth", [0.0, 37.0, -120.0, 171.0])
@pytest.mark.parametrize("spec", [SPEC, CVACT], ids=["whole", "rows"])
def test_a_perspective_crop_of_a_panorama_comes_back_to_the_panoramas_columns(azimuth: float, spec: ViewSpec) -> None:
    """Within a pixel: the best of all shifts is none, and what is left is small."""
    panorama = sphere()
    middle = panorama[256:768] if spec is SPEC else panorama
    expected = ground_view(middle, spec).astype(float)
    placed = place(shot(panorama, azimuth, 75.0, 1600, 1200), Lens(75.0), spec, azimuth % 360)
    seen = (placed.pixels != NEUTRAL.colour).any(axis=2) & placed.columns
    assert 0.5 < seen.mean() / (75 / 360) <= 1
    left_over = {
        shift: float(np.abs(np.roll(placed.pixels, shift, 1).astype(float) - expected)[np.roll(seen, shift, 1)].mean())
        for shift in range(-3, 4)
    }
    assert min(left_over, key=left_over.__getitem__) == 0
    assert left_over[0] < 3 and left_over[0] < 0.25 * min(left_over[1], left_over[-1])


def test_a_cropped_panorama_lies_where_it_was_cut() -> None:
    """Cut 90 degrees from 30 degrees east of the centre on; the whole looks to 300."""
    panorama = sphere()
    left, width = 1024 + round(30 / 360 * 2048), 512
    strip = panorama[300:800, left : left + width]
    covers = Strip(90.0, (left + width / 2) / 2048 * 360 - 180, 90 - 300 / 1024 * 180, 90 - 800 / 1024 * 180)
    placed = place(np.ascontiguousarray(strip), covers, CVACT, 300.0)
    expected = ground_view(panorama, CVACT, 300.0).astype(float)
    seen = (placed.pixels != NEUTRAL.colour).any(axis=2) & placed.columns
    assert placed.heading_deg == pytest.approx(15.0, abs=0.2)
    assert np.abs(placed.pixels.astype(float) - expected)[seen].mean() < 2
    assert seen.mean() == pytest.approx(0.25 * 1.0 * min(1, 500 / 512), abs=0.02)


def test_whole_panoramas_are_as_training_makes_them() -> None:
    panorama = np.random.default_rng(0).integers(0, 256, (128, 512, 3), dtype=np.uint8)
    for heading in (None, 0.0, 90.0):
        placed = place(panorama, Whole(), SPEC, heading)
        assert np.array_equal(placed.pixels, ground_view(panorama, SPEC, heading or 0.0))
        assert (placed.start_deg, placed.width_deg, placed.heading_deg) == (0.0, 360.0, heading)
        assert placed.columns.all()
    assert np.array_equal(place(panorama, Whole(), SPEC, 0.0, 90.0).pixels, ground_view(panorama, SPEC))
    with pytest.raises(AenetError, match="208:624"):
        place(panorama, Whole(), CVACT)


def test_a_whole_sphere_is_cut_to_the_models_elevations_where_they_are_said() -> None:
    panorama = sphere(512)
    placed = place(panorama, Whole(), SPEC, 0.0, 90.0)
    expected = resize(np.ascontiguousarray(panorama[128:384]), 64, 256).astype(float)
    assert placed.columns.all() and np.abs(placed.pixels.astype(float) - expected).mean() < 2


def test_vertical_span_of_the_three_data_sets() -> None:
    assert vertical_span(SPEC) == (45.0, -45.0, False)
    assert vertical_span(CVACT) == (45.0, -45.0, True)
    assert vertical_span(SPEC, 65.5) == (32.75, -32.75, True)


@pytest.mark.parametrize(
    ("photo", "size", "flag", "expected"),
    [
        (Photo(), (512, 128), None, Whole()),  # the town's
        (Photo(), (1232, 224), None, Whole()),  # CVUSA's
        (Photo(), (1664, 832), 180.0, Strip(180.0, 0.0, 45.0, -45.0)),  # what people say counts before the shape
        (Photo(), (1600, 900), 60.0, Lens(60.0)),
        (Photo(), (1600, 900), 360.0, Whole()),
        (Photo(fov_deg=70.0, fov_from="exif"), (1600, 900), None, Lens(70.0)),
        (Photo(fov_deg=70.0, lens_deg=70.0, fov_from="exif"), (1600, 900), 60.0, Lens(60.0)),
        (Photo(fov_deg=70.0, lens_deg=70.0, fov_from="exif"), (2000, 1000), 360.0, Whole()),
        (Photo(fov_deg=70.0, lens_deg=70.0, fov_from="exif"), (4000, 1000), 200.0, Strip(200.0, 0.0, 25.0, -25.0)),
        (Photo(fov_deg=360.0, fov_from="table"), (800, 600), None, Whole()),
        (Photo(fov_deg=50.0, fov_from="table", sphere=Sphere(0.0, 360.0, 90.0, -90.0)), (800, 600), None, Lens(50.0)),
        (Photo(sphere=Sphere(0.0, 360.0, 90.0, -90.0)), (800, 400), None, Whole()),
        (Photo(sphere=Sphere(0.0, 360.0, 90.0, -90.0)), (800, 400), 60.0, Whole()),
        (Photo(sphere_fault="GPano is odd"), (800, 400), 360.0, Whole()),
        (Photo(sphere_fault="GPano is odd", fov_deg=50.0, fov_from="table"), (800, 400), None, Lens(50.0)),
        (Photo(sphere=Sphere(0.0, 360.0, 45.0, -45.0)), (800, 200), None, Strip(360.0, 0.0, 45.0, -45.0)),
        (Photo(sphere=Sphere(270.0, 90.0, 45.0, -45.0)), (400, 400), None, Strip(90.0, 135.0, 45.0, -45.0)),
    ],
)
def test_what_a_photo_covers(photo: Photo, size: tuple[int, int], flag: float | None, expected: Coverage) -> None:
    assert coverage(photo, *size, flag)[0] == expected


@pytest.mark.parametrize(
    ("photo", "size", "sentence"),
    [
        (Photo(), (800, 600), r"field of view unknown: give `fov`, .* 1\.33:1, at least 1\.5:1"),
        (Photo(), (1600, 900), r"1600 x 900 px is 1\.78:1, the shape of an ordinary photo"),
        (Photo(fov_deg=70.0, lens_deg=70.0), (4000, 800), r"a lens of 70 degrees, stitched or cropped since"),
        (Photo(fov_deg=70.0, lens_deg=70.0), (2000, 1000), r"a lens of 70 degrees, .* 2\.00:1\): give `fov`, 360 if"),
        (Photo(lens_deg=70.0, notes=("cropped",)), (2000, 1000), r"stitched or cropped since .*\(cropped\)$"),
        (Photo(sphere_fault="GPano is odd"), (2000, 1000), r"^GPano is odd: give `fov`, 360 if it goes all round"),
        (Photo(fov_deg=2.0, fov_from="table"), (800, 600), r"covers 2 degrees of the horizon, 3 at least"),
        (Photo(sphere=Sphere(0.0, 0.5, 45.0, -45.0)), (800, 600), r"covers 0\.5 degrees"),
        (Photo(notes=("cropped since",)), (900, 900), r"\(cropped since\)$"),
    ],
)
def test_an_unknown_field_of_view_is_a_reason(photo: Photo, size: tuple[int, int], sentence: str) -> None:
    with pytest.raises(AenetError, match=sentence):
        coverage(photo, *size)


@pytest.mark.parametrize(
    ("photo", "size", "flag", "notes"),
    [
        (Photo(), (512, 128), None, ["taken for 360 degrees by its shape alone (4.00:1): if it is not, give `fov`"]),
        (Photo(), (512, 128), 360.0, []),
        (Photo(), (512, 128), 180.0, ["`fov` 180 counts, not its shape (4.00:1, a panorama's)"]),
        (Photo(sphere=Sphere(0.0, 360.0, 90.0, -90.0)), (800, 400), None, []),
        (Photo(fov_deg=70.0, lens_deg=70.0), (800, 600), None, []),
        (Photo(fov_deg=70.0, lens_deg=70.0), (800, 600), 70.4, []),
        (Photo(fov_deg=70.0, lens_deg=70.0), (800, 400), 360.0, ["`fov` 360 counts, not the lens of 70 degrees"]),
        (Photo(sphere_fault="GPano is odd"), (800, 400), 360.0, ["GPano is odd: left aside"]),
    ],
)  # fmt: skip
def test_what_was_guessed_or_overruled_is_said(
    photo: Photo, size: tuple[int, int], flag: float | None, notes: list[str]
) -> None:
    said = coverage(photo, *size, flag)[1]
    assert len(said) == len(notes) and all(map(str.startswith, said, notes)), said
