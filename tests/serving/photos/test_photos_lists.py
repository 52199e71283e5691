"""Tables, lists and folders of photos as people have them, and what a job says of what it left aside."""

import codecs
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from aenet.io.errors import AenetError
from aenet.serving.galleries.galleryoptions import SourceOptions, open_source
from aenet.serving.localize import LocateOptions, locate
from aenet.serving.photos.listing import list_photos
from tests.support.world import World

TOLD = ["true_latitude", "true_longitude", "heading_deg", "fov_deg"]
WANT = [[54.5, 2.25, 0.0, np.nan], [-54.5, -2.25, 90.0, 70.0]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("p0.jpg", "day 1/p1.jpg", "0000"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", "path,latitude,longitude,heading,fov\np0.jpg,54.5,2.25,0,\nday 1/p1.jpg,-54.5,-2.25,90,70\n"),
        ("a.csv", "path, latitude, longitude, heading, fov\np0.jpg, 54.5, 2.25, 0,\nday 1/p1.jpg, -54.5,-2.25,90,70\n"),
        ("a.csv", "path,lat,lon,heading_deg,fov_deg\np0.jpg,54.5,2.25,0,\nday 1\\p1.jpg,-54.5,-2.25,90,70\n"),
        ("a.csv", "Path;Latitude;Longitude;Bearing;FOV\np0.jpg;54,5;2,25;0;\nday 1\\p1.jpg;-54,5;-2,25;90;70\n"),
        ("a.tsv", "photo\tLAT\tLNG\theading\thfov\np0.jpg\t54.5\t2.25\t0\tNA\nday 1/p1.jpg\t-54.5\t-2.25\t90\t70\n"),
        ("a.txt", "path\tlat\tlon\theading\tfov\r\np0.jpg\t54.5\t2.25\t0\t\r\nday 1/p1.jpg\t-54.5\t-2.25\t90\t70\r\n"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_table_in_every_manner(folder: Path, name: str, content: str, encoding: str) -> None:
    (folder / name).write_bytes(content.encode(encoding))
    listed = list_photos(folder / name)
    np.testing.assert_array_equal(listed[TOLD].to_numpy(np.float64), WANT)
    assert list(listed["bytes"]) == [1, 1] and list(listed["photo"]) == ["p0.jpg", "day 1/p1.jpg"]
    assert listed.attrs["notices"] == []


@pytest.mark.parametrize(
    "content",
    [
        b"p0.jpg\r\nday 1\\p1.jpg\r\n", b'"p0.jpg"\n"day 1/p1.jpg"\n', b" p0.jpg\nday 1/p1.jpg \n",
        codecs.BOM_UTF16_LE + "p0.jpg\r\nday 1/p1.jpg\r\n".encode("utf-16-le"),
    ],
)  # fmt: skip
def test_a_list_in_every_manner(folder: Path, content: bytes) -> None:
    (folder / "a.txt").write_bytes(content)
    assert list(list_photos(folder / "a.txt")["photo"]) == ["p0.jpg", "day 1/p1.jpg"]


def test_a_list_that_is_not_what_its_mark_says(folder: Path) -> None:
    (folder / "a.txt").write_bytes(codecs.BOM_UTF16_LE + b"p0.jpg\n!\xd8")
    with pytest.raises(AenetError, match="is not UTF-16-LE: save the file as UTF-8"):
        list_photos(folder / "a.txt")


def test_a_workbook_is_named_as_one(folder: Path) -> None:
    (folder / "a.xlsx").write_bytes(b"PK")
    with pytest.raises(AenetError, match=r"a\.xlsx is a spreadsheet's own file: save the table in it as CSV"):
        list_photos(folder / "a.xlsx")


def test_linked_folders_are_followed_each_real_one_once(tmp_path: Path) -> None:
    for name in ("photos/a/1.jpg", "photos/b/2.jpg", "elsewhere/3.jpg", "elsewhere/deep/4.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    photos = tmp_path / "photos"
    for link, target in (
        ("day 2", "../elsewhere"), ("day 3", "../elsewhere/deep"), ("a/again", "../b"), ("b/round", "."), ("up", ".."),
        ("a/root", "/"), ("gone", "nowhere"), ("file.jpg", "a/1.jpg"),
    ):  # fmt: skip
        (photos / link).symlink_to(target)
    (tmp_path / "elsewhere/back").symlink_to(photos)
    listed = list_photos(photos)
    assert list(listed["photo"]) == ["a/1.jpg", "b/2.jpg", "day 2/3.jpg", "day 2/deep/4.jpg", "file.jpg"]
    assert listed.attrs["notices"] == [f"3 links to folders that hold {photos} were not followed"]
    assert listed.attrs["ignored"] == 1  # the broken link
    (tmp_path / "there").symlink_to(photos)
    assert list(list_photos(tmp_path / "there")["photo"]) == list(listed["photo"])


def test_a_link_that_a_copy_made_into_text_is_counted(tmp_path: Path) -> None:
    """As git writes links where there are none."""
    for name in ("photos/a/1.jpg", "elsewhere/2.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    for name, text in (("day 2", "../elsewhere"), ("notes", "a day out\n"), ("empty", ""), ("gone", "../nowhere")):
        (tmp_path / "photos" / name).write_text(text)
    listed = list_photos(tmp_path / "photos")
    assert list(listed["photo"]) == ["a/1.jpg"] and listed.attrs["ignored"] == 4
    assert listed.attrs["notices"] == [
        "1 links to folders, which a copy has made into files of text, were not followed"
    ]


def test_a_pattern_meets_each_photo_once(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/1.jpg").touch()
    (tmp_path / "a/round").symlink_to(".")
    listed = list_photos(tmp_path / "**/*.jpg")
    assert list(listed["photo"]) == ["1.jpg"] and "photos were met again by links" in listed.attrs["notices"][0]


def test_tiles_whose_names_are_numbers_and_columns_that_were_not_used(small_world: World, folder: Path) -> None:
    (folder / "t.csv").write_text("path,latitude,longitude,year\n0000,55.1,2.9,2020\np0.jpg,55.2,2.9,2021\n")
    source = open_source(folder / "t.csv", 60.0, 20.0, SourceOptions())
    assert list(source.tiles["tile_id"]) == ["0000", "p0.jpg"]
    assert source.notes == (f"{folder / 't.csv'}: columns not used: year",)
    (folder / "t.csv").write_text("tile;lat;lon;size (m)\nday 1\\p1.jpg;55,1;2,9;120\n")
    source = open_source(folder / "t.csv", 60.0, 20.0, SourceOptions())
    assert source.tiles[["file", "latitude", "share"]].to_numpy().tolist() == [["day 1/p1.jpg", 55.1, 0.5]]


def test_a_job_names_the_columns_that_it_did_not_use(small_world: World, tmp_path: Path) -> None:
    rows = pd.DataFrame({"path": [small_world.photos / "0000.jpg"], "heading": [0], "weather": ["fair"]})
    rows.to_csv(tmp_path / "a.csv", index=False)
    options = LocateOptions(provider="cpu", threads=1, decoders=1, thumbnails=0)
    for _ in range(2):  # also when asked again
        summary = locate(tmp_path / "a.csv", small_world.gallery, small_world.model, tmp_path / "out", options)
        assert f"{tmp_path / 'a.csv'}: columns not used: weather" in summary.lines()
    assert "columns not used: weather" in (tmp_path / "out" / "report.html").read_text()
