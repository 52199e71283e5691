"""From an archive to a finished data set folder, or to one sentence that says what is missing."""

import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from aenet import images
from aenet.artifacts import sha256_file, verify_folder
from aenet.data.fetch import ArchiveConfig, ingest
from aenet.data.pairs import COLUMNS, read_pairs, write_pairs
from aenet.errors import AenetError
from aenet.progress import progress

PAIRS = 4


def files(tmp_path: Path, pairs: pd.DataFrame | None = None) -> dict[str, bytes]:
    """A right data set of four pairs."""
    if pairs is None:
        pairs = table()
    write_pairs(tmp_path / "table.parquet", pairs)
    picture = images.encode_jpeg(np.full((8, 16, 3), 90, np.uint8))
    tree = {f"{view}/{n}.jpg": picture for view in ("ground", "aerial") for n in range(PAIRS)}
    return {"pairs.parquet": (tmp_path / "table.parquet").read_bytes()} | tree


def table() -> pd.DataFrame:
    rows = [(str(n), "train", f"ground/{n}.jpg", f"aerial/{n}.jpg", 50.0, 8.0, 50.0, 8.0, 0.0) for n in range(PAIRS)]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def archive(tmp_path: Path, tree: dict[str, bytes]) -> ArchiveConfig:
    path = tmp_path / "set.zip"
    with zipfile.ZipFile(path, "w") as packed:
        for name, content in tree.items():
            packed.writestr(name, content)
    return ArchiveConfig(kind="archive", url=str(path), sha256=sha256_file(path))


def fails(tmp_path: Path, tree: dict[str, bytes], sentence: str) -> None:
    """Ingesting stops with the sentence, and what stood at `out` before still stands."""
    out = tmp_path / "data" / "set"
    out.mkdir(parents=True)
    (out / "older").write_text("data set")
    with pytest.raises(AenetError, match=sentence):
        ingest(archive(tmp_path, tree), out, tmp_path / "cache")
    assert [path.name for path in (tmp_path / "data").rglob("*")] == ["set", "older"]


@pytest.mark.parametrize("top", ["", "town/"])
def test_root_or_single_top_folder_becomes_the_data_set(tmp_path: Path, top: str) -> None:
    tree = {top + name: content for name, content in files(tmp_path).items()} | {"__MACOSX/._x": b"", ".DS_Store": b""}
    events: list[tuple[int, int, str]] = []
    out = tmp_path / "data" / "set"
    ingest(archive(tmp_path, tree), out, tmp_path / "cache", lambda *event: events.append(event))
    manifest = verify_folder(out)
    assert set(files(tmp_path)) <= set(manifest.files)
    assert manifest.meta["sha256"] == sha256_file(tmp_path / "set.zip")
    assert len(read_pairs(out / "pairs.parquet")) == PAIRS
    assert events[-1] == (2 * PAIRS, 2 * PAIRS, "check")
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["set"]


def test_the_stages_progress_display_takes_the_reports(tmp_path: Path) -> None:
    with progress("download") as report:
        ingest(archive(tmp_path, files(tmp_path)), tmp_path / "out", tmp_path / "cache", report)


def test_a_top_folder_may_hold_a_folder_of_its_own_name(tmp_path: Path) -> None:
    tree = {f"town/{name}": content for name, content in files(tmp_path).items()} | {"town/town/x.txt": b"x"}
    ingest(archive(tmp_path, tree), tmp_path / "out", tmp_path / "cache")
    assert (tmp_path / "out/town/x.txt").read_bytes() == b"x"


def test_missing_files_are_counted_and_named(tmp_path: Path) -> None:
    tree = files(tmp_path)
    for n in range(PAIRS):
        del tree[f"aerial/{n}.jpg"]
    fails(
        tmp_path,
        tree,
        r"of 8 images 4 are missing \(aerial/0.jpg, aerial/1.jpg, aerial/2.jpg, ...\) and 0 are unreadable",
    )


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "ground/2.jpg: a Git-LFS pointer"),
        (b"", "ground/2.jpg: the file is empty"),
        (b"<html>404</html>", "ground/2.jpg: not a readable"),
    ],
)
def test_files_that_are_no_images_are_named(tmp_path: Path, content: bytes, sentence: str) -> None:
    fails(tmp_path, files(tmp_path) | {"ground/2.jpg": content}, f"1 are unreadable.*{sentence}")


@pytest.mark.parametrize("name", ["../../secret.jpg", "/etc/hostname", "ground/../../x.jpg"])
def test_pair_tables_cannot_point_outside(tmp_path: Path, name: str) -> None:
    (tmp_path / "secret.jpg").write_bytes(images.encode_jpeg(np.zeros((8, 8, 3), np.uint8)))
    pairs = table()
    pairs.loc[0, "ground"] = name
    fails(tmp_path, files(tmp_path, pairs), "outside the data set")


def test_without_a_pair_table_it_says_what_it_found(tmp_path: Path) -> None:
    fails(tmp_path, {"a/x.jpg": b"", "b/x.jpg": b""}, "no pairs.parquet.*found: a, b")


def test_a_folder_in_the_manifests_place_is_refused(tmp_path: Path) -> None:
    fails(tmp_path, files(tmp_path) | {"manifest.json/x": b""}, "folder named manifest.json")


def test_a_broken_pair_table_is_refused(tmp_path: Path) -> None:
    fails(tmp_path, files(tmp_path) | {"pairs.parquet": b"PAR1 not"}, "pairs.parquet")
