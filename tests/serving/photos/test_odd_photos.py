"""What strangers' photos bring into a job: each is placed all the same, and its row says what was left aside."""

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from aenet.serving.jobs.outputs import read_places
from aenet.serving.localize import LocateOptions, locate
from aenet.view.images import encode_jpeg
from tests.support import world
from tests.support.world import World

GPS = {1: "N", 2: (47.0, 50.0, 0.0), 3: "E", 4: (9.0, 0.0, 0.0)}


def _exif(gps: dict[int, object], date: str | None = None) -> bytes:
    block = Image.Exif()
    block.get_ifd(0x8825).update(gps)
    if date:
        block.get_ifd(0x8769)[0x9003] = f"{date} 12:00:00"
    written: bytes = block.tobytes()
    return written


def _damaged() -> bytes:
    """A block whose first entry points far behind its end, with noise in between."""
    noise = np.random.default_rng(0).integers(0, 256, 400, dtype=np.uint8).tobytes()
    return b"Exif\0\0MM\0*\0\0\0\x08\0\x7f" + noise


@pytest.fixture(scope="module")
def places(small_world: World, tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """Rows of one place seen in many files, by file name."""
    folder = tmp_path_factory.mktemp("photos")
    view = world.panorama(small_world.pixels, *small_world.truth.loc[1, ["x", "y"]])
    files = {
        "plain.jpg": encode_jpeg(view, 95),
        "damaged.jpg": encode_jpeg(view, 95, _damaged()),
        "nowhere.jpg": encode_jpeg(view, 95, _exif(GPS | {2: (95.0, 0.0, 0.0)})),
        "no fix.jpg": encode_jpeg(view, 95, _exif(GPS | {2: (0.0, 0.0, 0.0), 4: (0.0, 0.0, 0.0)})),
        "compass.jpg": encode_jpeg(np.roll(view, -64, axis=1), 95, _exif(GPS | {16: "M", 17: 86.2}, "2025:07:01")),
        "undated.jpg": encode_jpeg(view, 95, _exif(GPS | {16: "M", 17: 200.0})),
        "13312 pixels.jpg": encode_jpeg(cv2.resize(view, (13_312, 3_328), interpolation=cv2.INTER_CUBIC), 90),
        "20000 pixels.jpg": encode_jpeg(cv2.resize(view, (20_000, 5_000), interpolation=cv2.INTER_CUBIC), 90),
        '=HYPERLINK("x")\n<img src=x onerror=alert(1)> \N{GRINNING FACE}\'.jpg': encode_jpeg(view, 95),
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)
    out = tmp_path_factory.mktemp("job") / "out"
    options = LocateOptions(provider="cpu", threads=1, decoders=1, thumbnails=0, formats=("geojson", "gpkg", "kml"))
    summary = locate(folder, small_world.gallery, small_world.model, out, options)
    assert (summary.photos, summary.errors) == (len(files), 0)
    rows = read_places(out / "places.parquet").set_index("photo")
    assert set(rows.index) == set(files)
    return rows


def test_every_one_is_put_where_the_plain_one_is(places: pd.DataFrame) -> None:
    assert set(places["status"]) == {"ok"}
    assert places["latitude"].nunique() == places["longitude"].nunique() == 1
    assert (places["score"] > places.loc["plain.jpg", "score"] - 0.02).all()


@pytest.mark.parametrize(
    ("photo", "note"),
    [
        ("nowhere.jpg", r"95, 9 is no place on Earth"),
        ("no fix.jpg", "before their first fix"),
        ("compass.jpg", r"corrected by a declination of \+3\.[5-9]"),
        ("undated.jpg", r"magnetic heading 200: not corrected, treated as unknown \(there is no date"),
    ],
)
def test_the_row_says_what_was_left_aside(places: pd.DataFrame, photo: str, note: str) -> None:
    assert pd.Series([places.loc[photo, "notes"]]).str.contains(note).all(), places.loc[photo, "notes"]


def test_no_truth_is_made_of_nonsense(places: pd.DataFrame) -> None:
    assert places.loc[["damaged.jpg", "nowhere.jpg", "no fix.jpg"], "error_m"].isna().all()
    assert places.loc["undated.jpg", "heading_from"] == "matched"
    assert places.loc["compass.jpg", "heading_from"] == "photo"
    assert places.loc["compass.jpg", "heading_deg"] == pytest.approx(90, abs=0.5)
