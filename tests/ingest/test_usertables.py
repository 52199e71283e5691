"""The one reader of people's tables: every way in which programs write one gives the same cells, or a sentence."""

import codecs
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from aenet.ingest.usertables import LATITUDE, LONGITUDE, PATH, is_header, named, read_table
from aenet.ingest.usertext import found_name, read_list
from aenet.io.errors import AenetError

NAMES = {"path": PATH, "latitude": LATITUDE, "longitude": LONGITUDE, "heading": ("bearing",)}
WANT = (["a, b.jpg", "0001", "NA"], [54.5, -2.25, np.nan])
PLAIN = 'path,latitude,longitude\n"a, b.jpg",54.5,1\n0001,-2.25,2\nNA,,3\n'
WITH_COMMAS = 'path;latitude;longitude\n"a, b.jpg";54,5;1\n0001;-2,25;2\nNA;;3\n'


def read(path: Path, content: str | bytes) -> tuple[list[str], list[float]]:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    table = named(read_table(path), NAMES, ("path",), (("latitude", "longitude"),))
    return table.texts("path", "a path"), table.numbers("latitude", -90.0, 90.0).tolist()


@pytest.mark.parametrize(
    "content",
    [
        PLAIN,
        PLAIN.replace("\n", "\r\n"),
        PLAIN.replace("\n", "\r"),
        PLAIN.removesuffix("\n"),
        "\n\n" + PLAIN.replace("\n", "\n,,\n\n"),  # rows of nothing
        PLAIN.replace("1\n", "1,\n").replace("2\n", "2,,\n"),  # separators at the end
        PLAIN.replace(",", ";").replace("a; b", "a, b"),
        "sep=;\n" + PLAIN.replace(",", ";").replace("a; b", "a, b"),
        PLAIN.replace(",", "\t").replace('"a\t b.jpg"', "a, b.jpg"),
        WITH_COMMAS,
        PLAIN.replace("54.5", '"54,5"'),
        PLAIN.replace("-2.25", "\u22122.25"),
        PLAIN.replace(",", ", ").replace("a,  b", "a, b"),
        PLAIN.replace(",3", ",NA").replace(",,NA", ",null,n/a"),
        codecs.BOM_UTF8 + PLAIN.encode(),
        codecs.BOM_UTF16_LE + PLAIN.encode("utf-16-le"),
        codecs.BOM_UTF16_BE + WITH_COMMAS.encode("utf-16-be"),
        PLAIN.encode("utf-16-le"),
        PLAIN.encode("utf-16-be"),
        codecs.BOM_UTF32_LE + PLAIN.encode("utf-32-le"),
    ],
)
def test_however_a_table_is_written(tmp_path: Path, content: str | bytes) -> None:
    names, latitudes = read(tmp_path / "a.csv", content)
    assert names == WANT[0]
    np.testing.assert_array_equal(latitudes, WANT[1])


@pytest.mark.parametrize(
    "header",
    ["path,latitude,longitude", "PATH,Latitude,LONGITUDE", '"path", latitude ,"longitude "', "file,lat,lng",
     "Photo,Lat,Long",     "File name,Latitude (deg),Longitude [°]", "image,gps_latitude,GPSLongitude",
     "path,lat_deg,longitude_degrees", "SourceFile,GPSLatitude,GPSLongitude", "path|lat|lon"],
)  # fmt: skip
def test_names_of_columns(tmp_path: Path, header: str) -> None:
    row = "a.jpg,54.5,1\n".replace(",", "|" if "|" in header else ",")
    assert read(tmp_path / "a.csv", f"{header}\n{row}") == (["a.jpg"], [54.5])


def test_what_is_not_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(",path,Wetter, filename,heading (rad),bearing\n0,a.jpg,schön,b,1,2\n")
    table = named(read_table(tmp_path / "a.csv"), NAMES, ("path",))
    assert table.texts("path", "a path") == ["a.jpg"] and table.numbers("heading", 0.0, 360.0).tolist() == [2]
    assert table.notices() == [f"{tmp_path / 'a.csv'}: columns not used: (unnamed), Wetter, filename, heading (rad)"]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("path,lat,lon\na.jpg,1\n", "line 2 has 2 cells, the header 3, separated by commas"),
        ("path,lat,lon\n\na.jpg,1,2\nb, c.jpg,1,2\n", "line 4 has 4 cells, the header 3"),
        ('path;lat;lon\n"a\nb.jpg";1;2\nb.jpg;1\n', "line 4 has 2 cells, the header 3, separated by semicolons"),
        ('path,lat,lon\n"a.jpg,1,2\nb.jpg,1,2\n', "line 3 is not readable as a table"),
        ("path,lat,lon\0\na.jpg,1,2\n", "line 1 holds a NUL byte"),
        (b"path,lat,lon\na.jpg,1,2\nStra\xdfe.jpg,1,2\n", "line 3 is not UTF-8: save the file as UTF-8"),
        ("lat,lon\n1,2\n", "lacks a column for path .*found: lat, lon"),
        ("path,lat\na.jpg,1\n", "has latitude without longitude: add it"),
        ("path lat lon\na.jpg 1 2\n", "found: path lat lon; cells stand between commas, semicolons, tabs, bars"),
        ("path,lat,Latitude,lon\na.jpg,1,1,1\n", "'lat' and 'Latitude' both mean latitude"),
        ("path,lat,lon\na.jpg,N47,9\n", "row 1: latitude 'N47' is no number"),
        ("path,lat,lon\na.jpg,1,9\n\nb.jpg,1.234.5,9\n", r"row 2 \(line 4\): latitude '1.234.5' is no number"),
        ("path,lat,lon\na.jpg,95,9\n", r"row 1: latitude 95.0 is outside \+-90 degrees"),
        ("path,lat,lon\na.jpg,inf,9\n", "latitude 'inf' is no number"),
        ("path,lat,lon\n  ,1,9\n", "row 1: path must be a path"),
        ("x" * 200_000 + ",b\n1,2\n", "line 1 is not readable as a table .a cell of more than 131,072 characters"),
        ('path,lat,lon\n"a.jpg"x,1,2\n', "line 2 .* .a quote is not closed, or something follows a closed one"),
        ("path,lat,lon\n", "has no rows"),
        ("", "has no rows"),
    ],
)  # fmt: skip
def test_what_is_no_table_is_refused_by_its_line(tmp_path: Path, content: str | bytes, sentence: str) -> None:
    with pytest.raises(AenetError, match=sentence):
        read(tmp_path / "a.csv", content)


def test_a_column_that_stands_twice(tmp_path: Path) -> None:
    assert read(tmp_path / "a.csv", "path,lat,lon,path\na.jpg,1,2,b.jpg\n")[0] == ["a.jpg"]
    assert read(tmp_path / "a.csv", "photo,path,lat,lon,year,year\na.jpg,b.jpg,1,2,3,4\n")[0] == ["b.jpg"]
    with pytest.raises(AenetError, match="'lat' and 'lat' both mean latitude"):
        read(tmp_path / "a.csv", "path,lat,lat,lon\na.jpg,1,1,2\n")


def test_parquet_is_read_under_the_same_names(tmp_path: Path) -> None:
    rows = pd.DataFrame({"File": [0, 1], "Lat": [54.5, None], "lon": ["1,5", None], "note": ["", ""]})
    rows.to_parquet(tmp_path / "a.parquet")
    table = named(read_table(tmp_path / "a.parquet"), NAMES, ("path",))
    assert table.texts("path", "a path") == ["0", "1"] and table.unused == ("note",)
    np.testing.assert_array_equal(table.numbers("latitude", -90.0, 90.0), [54.5, np.nan])
    np.testing.assert_array_equal(table.numbers("longitude", -180.0, 180.0), [1.5, np.nan])
    (tmp_path / "b.parquet").write_bytes(b"no table")
    with pytest.raises(AenetError, match="not a readable table"):
        read_table(tmp_path / "b.parquet")


@pytest.mark.parametrize(
    "content",
    [
        b"a b.jpg\nc.jpg\n", b"a b.jpg\r\n\r\nc.jpg", codecs.BOM_UTF8 + b"a b.jpg\nc.jpg", b"a b.jpg\0c.jpg\0",
        codecs.BOM_UTF16_LE + "a b.jpg\r\nc.jpg\r\n".encode("utf-16-le"), "a b.jpg\nc.jpg".encode("utf-16-be"),
    ],
)  # fmt: skip
def test_lists(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.txt").write_bytes(content)
    assert read_list(tmp_path / "a.txt") == ["a b.jpg", "c.jpg"]


def test_names_of_one_letter_end_at_their_nul(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"a\0b\0")
    assert read_list(tmp_path / "a.txt") == ["a", "b"]


def test_names_as_other_systems_write_them(tmp_path: Path) -> None:
    (tmp_path / "day").mkdir()
    for name in ("day/a b.jpg", "c\\d.jpg", " e.jpg"):
        (tmp_path / name).touch()
    for written, lies in (
        ("day\\a b.jpg", "day/a b.jpg"), (' "day/a b.jpg" ', "day/a b.jpg"), ('"day\\a b.jpg"', "day/a b.jpg"),
        ("c\\d.jpg", "c\\d.jpg"), (" e.jpg", " e.jpg"), ("no\\where.jpg", "no\\where.jpg"),
        ("x" * 999 + "\\y", "x" * 999 + "\\y"),
    ):  # fmt: skip
        assert found_name(written, tmp_path) == lies


def test_a_table_that_is_called_a_list_is_known_by_its_header(tmp_path: Path) -> None:
    for content, want in (
        ("path\tlat\tlon\na\t1\t2\n", True),
        ("path\n", False),
        ("a, b.jpg\nlat\n", False),
        ("", False),
    ):
        (tmp_path / "a.txt").write_text(content)
        assert is_header(tmp_path / "a.txt", NAMES) == want
