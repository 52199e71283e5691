"""Pipes, devices, files without end and names that no file can have: never opened, whoever names them; one row each."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from aenet.data.pairs import read_pairs
from aenet.ingest.cvact import CvactConfig, list_cvact
from aenet.ingest.cvusa import CvusaConfig, list_cvusa
from aenet.ingest.fetching import SourceConfig, fetch_archive
from aenet.ingest.usertables import read_table
from aenet.ingest.verification import inspect_images
from aenet.io.errors import AenetError
from aenet.io.params import read_yaml
from aenet.io.plainfiles import read_plain
from aenet.serving.galleries.galleryoptions import SourceOptions, open_source
from aenet.serving.jobs.outputs import read_places
from aenet.serving.localize import LocateOptions, locate
from aenet.serving.maps.geotiff import inspect
from aenet.serving.maps.tiletree import TileTree
from aenet.serving.photos.listing import list_photos
from aenet.serving.photos.reading import read_photo
from aenet.view.images import decode, probe
from aenet.view.spec import ViewSpec
from tests.support.datasets import build_cvact, build_cvusa
from tests.support.world import World

VIEW = ViewSpec.polar(height=16, width=64, tile_size_m=60.0)


@pytest.fixture(autouse=True)
def _no_waiting() -> Iterator[None]:
    """A reader that opens a pipe waits for ever: the test then fails where it would hang."""

    def fail(signum: int, frame: FrameType | None) -> None:
        raise TimeoutError("waited for a pipe")

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(20)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def _replace(path: Path, kind: str) -> Path:
    """Put a pipe, a link to a device, or a file of ten terabytes in the place of a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        path.touch()
        os.truncate(path, 10**13)
    return path


def _tree(folder: Path, kind: str) -> None:
    for x in (0, 1):
        (folder / f"1/{x}").mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(folder / f"1/{x}/0.png")
    _replace(folder / "1/1/0.png", kind)
    TileTree(folder).read((0, 0, 8, 16))


def _tiles(folder: Path, kind: str) -> None:
    Image.new("RGB", (8, 8)).save(folder / "a.png")
    _replace(folder / "b.png", kind)
    (folder / "t.csv").write_text("path,latitude,longitude\na.png,1,2\nb.png,1,2\n")
    source = open_source(folder / "t.csv", 60.0, 15.0, SourceOptions())
    assert [cut.row for cut in source.cut(0, 2, VIEW)] == [0], "the other is a dropped tile"
    raise AenetError("dropped")


def _own_images(folder: Path, kind: str) -> None:
    for name in ("a.png", "b.png"):
        _replace(folder / name, kind)
    for how in ("none", "headers", "decode"):
        seen = inspect_images(folder, ["a.png", "b.png", "c\0.png"], how, 1)  # type: ignore[arg-type]  # a literal
        assert all(file.problem for file in seen.values())
    raise AenetError("each is left out")


def _cvusa(folder: Path, kind: str) -> None:
    root = build_cvusa(folder / "CVPR_subset")
    _replace(root / "splits/train-19zl.csv", kind)
    list_cvusa(CvusaConfig(kind="cvusa", source=str(root), validation=2), root)


def _cvact(folder: Path, kind: str) -> None:
    root = build_cvact(folder / "CVACT")
    _replace(root / "ACT_data.mat", kind)
    list_cvact(CvactConfig(kind="cvact", source=str(root), validation=2), root)


def _beside(name: str) -> Callable[[Path, str], None]:
    def check(folder: Path, kind: str) -> None:
        Image.new("RGB", (8, 8)).save(folder / "map.tif")
        _replace(folder / name, kind)
        inspect(folder / "map.tif")  # without a world file it has no position, so that is refused in any case

    return check


DOORS: dict[str, Callable[[Path, str], object]] = {
    "photo": lambda folder, kind: decode(_replace(folder / "a.jpg", kind)),
    "header of a photo": lambda folder, kind: probe(_replace(folder / "a.jpg", kind)),
    "list of photos": lambda folder, kind: list_photos(_replace(folder / "a.txt", kind)),
    "table of photos": lambda folder, kind: list_photos(_replace(folder / "a.csv", kind)),
    "Parquet": lambda folder, kind: read_table(_replace(folder / "a.parquet", kind)),
    "table": lambda folder, kind: read_table(_replace(folder / "a.csv", kind)),
    "pairs": lambda folder, kind: read_pairs(_replace(folder / "pairs.parquet", kind)),
    "params.yaml": lambda folder, kind: read_yaml(_replace(folder / "params.yaml", kind)),
    "the only table of a folder": lambda folder, kind: open_source(
        _replace(folder / "t/a.csv", kind).parent, 60.0, 15.0, SourceOptions()
    ),
    "GeoTIFF": lambda folder, kind: inspect(_replace(folder / "a.tif", kind)),
    "archive": lambda folder, kind: fetch_archive(
        SourceConfig(source=str(_replace(folder / "a.zip", kind)), max_bytes=1000), folder
    ),
    "tile of a tree": _tree,
    "tile of a table": _tiles,
    "image of a data set": _own_images,
    "split of CVUSA": _cvusa,
    "variables of CVACT": _cvact,
    **{f"beside a map: {end}": _beside(f"map{end}") for end in (".tfw", ".prj", ".tif.msk", ".tif.aux.xml")},
}  # fmt: skip


@pytest.mark.parametrize("kind", ["pipe", "device", "endless"])
@pytest.mark.parametrize("door", DOORS)
def test_b10_what_is_no_plain_file_is_a_sentence(tmp_path: Path, door: str, kind: str) -> None:
    with pytest.raises(AenetError) as caught:
        DOORS[door](tmp_path, kind)
    assert len(str(caught.value)) < 500


def test_b10_a_file_of_the_system_that_says_no_size_is_not_read_on_and_on() -> None:
    """/proc/self/pagemap is a regular file of no bytes by its size, and of terabytes by reading."""
    if Path("/proc/self/pagemap").exists():
        assert read_plain(Path("/proc/self/pagemap"), 1000) == b""


def _photos(folder: Path, world: World, how: str) -> Path:
    (folder / "good.jpg").write_bytes((world.photos / "0001.jpg").read_bytes())
    _replace(folder / "pipe.jpg", "pipe")
    _replace(folder / "huge.jpg", "endless")
    names = ["good.jpg", "pipe.jpg", "huge.jpg", "/dev/zero", "a\0b.jpg", "missing.jpg", "x" * 300]
    if how == "csv":
        (folder / "t.csv").write_text("path,heading\n" + "".join(f"{name},\n" for name in names))
    else:
        pd.DataFrame({"path": names}).to_parquet(folder / "t.parquet")
    return folder / f"t.{how}"


@pytest.mark.parametrize("how", ["csv", "parquet"])
def test_b10_and_c11_each_of_them_costs_its_own_row_of_a_job(small_world: World, tmp_path: Path, how: str) -> None:
    table = _photos(tmp_path, small_world, how)
    options = LocateOptions(provider="cpu", threads=1, decoders=1, formats=("geojson", "gpkg", "kml"))
    locate(table, small_world.gallery, small_world.model, tmp_path / "out", options)
    rows = read_places(tmp_path / "out/places.parquet").set_index("photo")
    assert list(rows["status"]) == ["ok"] + ["error"] * 6
    reasons = dict(zip(rows.index, rows["reason"], strict=True))
    assert "not a regular file" in reasons["pipe.jpg"] and "not a regular file" in reasons["/dev/zero"]
    assert "10,000,000 MB" in reasons["huge.jpg"]
    assert "NUL" in reasons["a\\x00b.jpg"]


def test_c11_a_name_with_a_nul_is_a_reason(tmp_path: Path) -> None:
    reading = read_photo(tmp_path / "a\0b.jpg", "a", VIEW)
    assert reading.view is None and "NUL" in str(reading.reason)


@pytest.mark.parametrize("metres", ["1e308", "1e999", "1e6"])
def test_c11_sizes_that_are_none_are_sentences(tmp_path: Path, metres: str) -> None:
    (tmp_path / "t.csv").write_text(f"path,latitude,longitude,size_m\na.png,1,2,{metres}\n")
    with pytest.raises(AenetError, match=r"row 1: size_m .* is outside 0 to 100000 metres"):
        open_source(tmp_path / "t.csv", 60.0, 15.0, SourceOptions())


def test_c11_a_tile_smaller_than_a_pixel_is_dropped(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "a.png")
    (tmp_path / "t.csv").write_text("path,latitude,longitude,size_m\na.png,1,2,99999\n")
    source = open_source(tmp_path / "t.csv", 60.0, 15.0, SourceOptions())
    assert list(source.cut(0, 1, VIEW)) == []
