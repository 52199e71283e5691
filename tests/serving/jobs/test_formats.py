"""What a geographic information system reads back: every photo, at its place, under its own name."""

from pathlib import Path
from xml.etree import ElementTree

import geopandas
import pyarrow as pa
import pytest

from aenet.serving.jobs.outputs import SCHEMA, Format, write_format

NAMES = ["plain.jpg", "line\nbreak.jpg", "<b>=1+1</b> & \N{GRINNING FACE}.jpg"]


def _places() -> pa.Table:
    rows = [
        {"photo": name, "status": "ok", "latitude": 47.0 + at, "longitude": 8.0, "score": 0.5, "tiles": ["t1", "t2"]}
        for at, name in enumerate(NAMES)
    ]
    lost = {"photo": "lost.jpg", "status": "error", "reason": "empty file"}
    return pa.Table.from_pylist([*rows, lost], schema=SCHEMA)


@pytest.mark.parametrize("kind", ["geojson", "gpkg"])
def test_every_photo_comes_back_with_its_place(tmp_path: Path, kind: Format) -> None:
    back = geopandas.read_file(write_format(tmp_path, _places(), kind))
    assert list(back["photo"]) == [*NAMES, "lost.jpg"]
    assert [(point.x, point.y) for point in back.geometry[:3]] == [(8.0, 47.0), (8.0, 48.0), (8.0, 49.0)]
    assert back.geometry[3] is None and back["reason"][3] == "empty file"
    assert back["tiles"][0] == "t1 t2"
    assert back.crs.to_epsg() == 4326


def test_kml_has_a_named_placemark_for_every_placed_photo(tmp_path: Path) -> None:
    path = write_format(tmp_path, _places(), "kml")
    back = geopandas.read_file(path)
    assert list(back["Name"]) == NAMES
    assert [point.y for point in back.geometry] == [47.0, 48.0, 49.0]
    assert "<b>" not in path.read_text(), "a file name is text, not markup"


def test_no_character_breaks_kml(tmp_path: Path) -> None:
    """XML has not got most control characters, nor U+FFFE and U+FFFF; they come out as Python writes them."""
    row = {"status": "ok", "latitude": 1.0, "longitude": 2.0, "tiles": ["\ufffe"], "scores": [0.5]}
    names = [*map(chr, range(1, 32)), "\x7f", "\x85", "\ufffe", "\uffff", "\ufdd0", "\U0001fffe", "\U0010ffff", "]]>"]
    rows = [{**row, "photo": f"a{name}b", "notes": f"{name}\ufffe"} for name in names]
    path = write_format(tmp_path, pa.Table.from_pylist(rows, schema=SCHEMA), "kml")
    found = ElementTree.fromstring(path.read_bytes()).iter("{http://www.opengis.net/kml/2.2}name")  # noqa: S314  ours
    kept = [element.text for element in found][1:]  # the first is the layer's
    assert kept[names.index("\x07")] == r"a\x07b" and kept[names.index("\ufffe")] == r"a\ufffeb"
    assert kept[names.index("\U0001fffe")] == "a\U0001fffeb" and len(kept) == len(names)
    assert "<b>" not in write_format(tmp_path, _places(), "kml").read_text()


def test_nothing_else_is_left_behind(tmp_path: Path) -> None:
    for kind in ("geojson", "gpkg", "kml"):
        write_format(tmp_path, _places(), kind)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["places.geojson", "places.gpkg", "places.kml"]


def test_the_same_places_make_the_same_file(tmp_path: Path) -> None:
    """Whatever a file is made in first leaves no trace: the layer is named for what it holds."""
    (tmp_path / "again").mkdir()
    for kind in ("geojson", "kml"):
        first, again = (write_format(folder, _places(), kind) for folder in (tmp_path, tmp_path / "again"))
        assert first.read_bytes() == again.read_bytes()
        assert "places" in first.read_text().partition("plain.jpg")[0]
