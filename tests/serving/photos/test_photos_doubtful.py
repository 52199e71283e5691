"""Photos that say too little or too much of what they show: nothing is guessed without a word."""

from pathlib import Path

import numpy as np
import pytest

from aenet.serving.photos.levelling import is_dual_fisheye
from aenet.serving.photos.reading import PhotoOptions, Reading, read_photo
from aenet.view.images import encode_jpeg
from aenet.view.spec import ViewSpec
from tests.serving.photos.test_photos_metadata import DJI, GPS, RDF, camera, gpano, picture

SPEC = ViewSpec.polar(height=16, width=64, tile_size_m=60.0)


def read(path: Path, content: bytes, fov: float | None = None, view: ViewSpec = SPEC) -> Reading:
    path.write_bytes(content)
    return read_photo(path, path.name, view, options=PhotoOptions(fov_deg=fov))


def said(reading: Reading) -> str:
    return "; ".join(reading.account.notes)


def test_a_panorama_by_its_shape_alone_is_said_to_be_guessed(tmp_path: Path) -> None:
    guessed = read(tmp_path / "a.jpg", picture(160, 80))
    assert guessed.view is not None and "360 degrees by its shape alone (2.00:1)" in said(guessed)
    half = read(tmp_path / "a.jpg", picture(160, 80), 180.0)
    assert half.placed is not None and half.placed.width_deg == 180.0 and "by its shape" not in said(half)


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        ({"FullPanoWidthPixels": 100, "FullPanoHeightPixels": 50, "CroppedAreaImageWidthPixels": 160}, "lies outside"),
        ({"ProjectionType": "cylindrical"}, "only equirectangular is read"),
        ({"FullPanoWidthPixels": 160, "FullPanoHeightPixels": 40}, "not 2:1"),
        ({"FullPanoWidthPixels": 0, "FullPanoHeightPixels": 0}, "FullPanoWidthPixels '0' is no number of pixels"),
        ({"CroppedAreaImageWidthPixels": "wide"}, "CroppedAreaImageWidthPixels 'wide' is no number of pixels"),
        ({"FullPanoWidthPixels": 160, "CroppedAreaLeftPixels": "nan"}, "CroppedAreaLeftPixels 'nan' is no number"),
    ],
)
def test_a_panorama_that_contradicts_itself_needs_fov(tmp_path: Path, values: dict[str, object], fault: str) -> None:
    content = picture(160, 80, xmp=gpano(**({"ProjectionType": "equirectangular"} | values)))
    refused = read(tmp_path / "a.jpg", content)
    assert refused.view is None and fault in (refused.reason or "") and "give `fov`, 360" in (refused.reason or "")
    whole = read(tmp_path / "a.jpg", content, 360.0)
    assert whole.view is not None and f"{fault}" in said(whole) and "left aside" in said(whole)


def test_a_sphere_with_the_lens_of_its_source_needs_fov(tmp_path: Path) -> None:
    content = picture(160, 80, exif=camera(film=24))
    assert "a lens of 78 degrees, stitched or cropped since" in (read(tmp_path / "a.jpg", content).reason or "")
    whole = read(tmp_path / "a.jpg", content, 360.0)
    assert whole.placed is not None and whole.placed.width_deg == 360
    assert "`fov` 360 counts, not the lens of 78 degrees in EXIF" in said(whole)


def test_a_resized_photo_without_a_usable_lens_is_an_error_that_names_it(tmp_path: Path) -> None:
    content = picture(100, 68, exif=camera(focal=135.0, density=4438.0, unit=2, width=100, height=68))
    reason = read(tmp_path / "a.jpg", content).reason or ""
    assert "give `fov`" in reason and "a sensor of 0.69 mm, as where a photo was resized" in reason
    assert read(tmp_path / "a.jpg", content, 60.0).view is not None


def test_a_field_that_covers_no_column_is_no_answer(tmp_path: Path) -> None:
    """Columns of 64 are 5.6 degrees wide: a photo of 4 to the south lies between the centres of two."""
    content = picture(80, 60, GPS | {16: "T", 17: 180.0}, camera(film=300))
    assert "covers 5.5 degrees of the horizon" not in (read(tmp_path / "a.jpg", content).reason or "")
    narrow = read(tmp_path / "a.jpg", content, 4.0)
    assert narrow.view is None and "it covers 4 degrees of azimuth, a column of the view is 5.62" in (
        narrow.reason or ""
    )


def test_a_photo_straight_down_is_an_error(tmp_path: Path) -> None:
    xmp = f"<rdf:Description xmlns:d='{DJI}' d:GimbalPitchDegree='-90.00' d:GimbalYawDegree='+10.00'/>"
    content = picture(120, 90, GPS, camera(film=24), RDF.format(xmp).encode())
    reading = read(tmp_path / "a.jpg", content)
    assert reading.view is None and "looks steeply down (gimbal pitch -90 degrees)" in (reading.reason or "")
    assert reading.account.latitude == pytest.approx(47.66)


@pytest.mark.parametrize(("pitch", "placed"), [(-60.0, False), (60.0, False), (-120.0, False), (-59.9, True)])
def test_a_photo_steep_by_60_degrees_is_an_error(tmp_path: Path, pitch: float, placed: bool) -> None:
    """Though the sine of 60 degrees is rounded."""
    xmp = f"<rdf:Description xmlns:d='{DJI}' d:GimbalPitchDegree='{pitch}' d:GimbalYawDegree='10'/>"
    reading = read(tmp_path / "a.jpg", picture(120, 90, GPS, camera(film=24), RDF.format(xmp).encode()))
    assert (reading.view is not None) == placed and ("looks steeply" in (reading.reason or "")) != placed


def test_a_drones_photo_is_no_panorama_by_its_shape(tmp_path: Path) -> None:
    """Cropped to 2:1 it would be a sphere, and the gimbal's pose that of another picture."""
    xmp = f"<rdf:Description xmlns:d='{DJI}' d:GimbalPitchDegree='-90.00' d:GimbalYawDegree='+10.00'/>"
    content = picture(160, 80, GPS, xmp=RDF.format(xmp).encode())
    reason = read(tmp_path / "a.jpg", content).reason or ""
    assert "a panorama's shape and the pose of a drone's gimbal, stitched or cropped since" in reason
    assert "looks steeply down" in (read(tmp_path / "a.jpg", content, 70.0).reason or "")
    whole = read(tmp_path / "a.jpg", content, 360.0)
    assert whole.placed is not None and "left aside: those of another picture" in said(whole)


def fisheyes(side: int = 200, black: int = 0, seed: int = 0) -> np.ndarray:
    """Two circles of noise in black squares."""
    noise = np.random.default_rng(seed).integers(60, 256, (side, 2 * side, 3), dtype=np.uint8)
    y, x = np.mgrid[:side, : 2 * side] + 0.5
    outside = np.hypot(x % side - side / 2, y - side / 2) > 0.49 * side
    noise[outside] = black
    return noise


def test_two_fisheye_circles_are_named(tmp_path: Path) -> None:
    assert is_dual_fisheye(fisheyes()) and is_dual_fisheye(fisheyes(black=12))
    for content in (encode_jpeg(fisheyes()), encode_jpeg(fisheyes(640))):
        assert "two fisheye circles side by side" in (read(tmp_path / "a.jpg", content).reason or "")
        assert "two fisheye circles side by side" in (read(tmp_path / "a.jpg", content, 360.0).reason or "")


def test_what_is_no_pair_of_fisheye_circles() -> None:
    """Panoramas; those whose upper and lower rows are black; at night; of one circle; of another shape."""
    banded, one = np.full((200, 400, 3), 128, np.uint8), fisheyes()
    banded[:60] = banded[140:] = 0
    one[:, 200:] = 128
    for other in (
        np.full((200, 400, 3), 128, np.uint8),
        np.zeros((200, 400, 3), np.uint8),
        banded,
        one,
        fisheyes()[:150],
    ):
        assert not is_dual_fisheye(other)
