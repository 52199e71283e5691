"""From a source to a finished raw folder: directory or archive, verified, or one sentence that says what is missing."""

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aenet.data.pairs import image_root, read_pairs
from aenet.data.views import open_views, pack
from aenet.ingest.own import OwnConfig
from aenet.io.artifacts import sha256_file, verify_folder
from aenet.io.errors import AenetError
from aenet.progress import progress
from aenet.view import images
from aenet.view.spec import ViewSpec
from stages.download import ingest
from stages.project import Paths
from tests.support.datasets import build_own, make_pointers, make_tar
from tests.support.file_server import FileServer, serving

PAIRS = 12


def own(source: Path | str, **settings: Any) -> OwnConfig:
    return OwnConfig.model_validate({"kind": "own", "source": str(source)} | settings)


def fails(project: Path, config: OwnConfig, sentence: str) -> str:
    """Ingesting stops with the sentence, and what stood at data/raw before still stands."""
    paths = Paths(project)
    paths.raw.mkdir(parents=True)
    (paths.raw / "older").write_text("data set")
    with pytest.raises(AenetError, match=sentence) as caught:
        ingest(config, paths)
    assert [path.name for path in (project / "data").rglob("*")] == ["raw", "older"]
    return str(caught.value)


def test_a_directory_is_used_where_it_lies(tmp_path: Path) -> None:
    root, paths = build_own(tmp_path / "mine", PAIRS), Paths(tmp_path / "project")
    events: list[tuple[int, int, str]] = []
    ingest(own(root), paths, lambda *event: events.append(event))
    manifest = verify_folder(paths.raw)
    assert set(manifest.files) == {"pairs.parquet", "skipped.csv"}
    assert manifest.meta["images"]["files"] == 2 * PAIRS
    assert manifest.meta["images"]["bytes"] == sum(file.stat().st_size for file in root.rglob("*.jpg"))
    assert image_root(paths.raw) == root.resolve()
    assert (paths.raw / "skipped.csv").read_text().splitlines() == ["pair_id,split,file,reason"]
    assert events[-1] == (2 * PAIRS, 2 * PAIRS, "check")
    assert not (paths.state / "datasets").exists()


def test_views_are_packed_from_where_the_images_lie(tmp_path: Path) -> None:
    root, paths = build_own(tmp_path / "mine", PAIRS), Paths(tmp_path / "project")
    ingest(own(root, tile_size_m=70.0), paths)
    spec = ViewSpec.polar(height=16, width=64, tile_size_m=70.0)
    pack(paths.raw, paths.views, spec, threads=1)
    views = open_views(paths.views, "train")
    panorama = images.decode(root / views.pairs["ground"][0])
    # Headed east: rolled by a quarter turn so that north stands in the centre.
    assert np.array_equal(views.ground[0], images.resize(np.roll(panorama, 32, axis=1), 16, 64))
    with pytest.raises(AenetError, match=r"tiles of 70 m, but .* is 90"):
        pack(paths.raw, paths.views, ViewSpec.polar(height=16, width=64, tile_size_m=90.0), threads=1)
    root.rename(tmp_path / "moved")
    with pytest.raises(AenetError, match=r"mine, which is not there.*dvc repro --force --single-item download"):
        pack(paths.raw, paths.views, spec, threads=1)


def test_another_copy_of_the_images_changes_the_manifest_and_the_same_does_not(tmp_path: Path) -> None:
    root, paths = build_own(tmp_path / "mine", PAIRS), Paths(tmp_path / "project")

    def digest() -> str:
        ingest(own(root), paths)
        return str(verify_folder(paths.raw).meta["images"]["sha256_of_listing"])

    before = digest()
    assert digest() == before
    (root / "photos/003.jpg").write_bytes((root / "photos/003.jpg").read_bytes() + b"\0")
    assert digest() != before


@pytest.mark.parametrize("top", ["", "town/"])
@pytest.mark.parametrize("pinned", [True, False])
def test_archives_are_unpacked_once_beside_the_project(tmp_path: Path, top: str, pinned: bool) -> None:
    root, paths, packed = build_own(tmp_path / "town", PAIRS), Paths(tmp_path / "project"), tmp_path / "set.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for file in root.rglob("*.*"):
            archive.write(file, top + file.relative_to(root).as_posix())
        archive.writestr("__MACOSX/._x", b"")
        archive.writestr(".DS_Store", b"")
    config = own(packed, sha256=sha256_file(packed) if pinned else None)
    ingest(config, paths)
    lies_in = image_root(paths.raw)
    assert lies_in.is_relative_to(paths.state.resolve() / "datasets")
    assert {file.name for file in paths.raw.iterdir()} == {"pairs.parquet", "skipped.csv", "manifest.json"}
    assert verify_folder(paths.raw).meta["source"] == {"archive": "set.zip", "sha256": sha256_file(packed)}
    stamp = lies_in.stat().st_ctime_ns
    ingest(config, paths)
    assert lies_in.stat().st_ctime_ns == stamp


def test_a_killed_unpacking_is_begun_again(tmp_path: Path) -> None:
    packed, paths = make_tar(build_own(tmp_path / "mine", PAIRS), tmp_path / "set.tar.gz"), Paths(tmp_path / "project")
    partial = paths.state / "datasets" / f"{sha256_file(packed)[:16]}.partial"
    partial.mkdir(parents=True)
    (partial / "half.jpg").write_bytes(b"half")
    ingest(own(packed), paths)
    assert not partial.exists()
    assert not list(paths.state.rglob("half.jpg"))


def test_an_archive_is_fetched_with_credentials_that_appear_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("AENET_DOWNLOAD_TOKEN", "s3cret-token")
    packed, paths = make_tar(build_own(tmp_path / "mine", PAIRS), tmp_path / "set.tar.gz"), Paths(tmp_path / "project")
    with serving(FileServer(packed.read_bytes(), wants="Bearer s3cret-token")) as server:
        ingest(own(server.url + "?sig=s3cret-query", sha256=sha256_file(packed)), paths)
    assert len(read_pairs(paths.raw / "pairs.parquet")) == PAIRS
    assert "s3cret" not in (paths.raw / "manifest.json").read_text()


def test_a_digest_of_a_directory_is_refused(tmp_path: Path) -> None:
    config = own(build_own(tmp_path / "mine"), sha256="0" * 64)
    fails(tmp_path / "project", config, "is a directory, download.sha256 is the digest of an archive")


def test_what_does_not_exist_is_named(tmp_path: Path) -> None:
    fails(tmp_path, own(tmp_path / "nowhere"), "nowhere does not exist: set download.source")


def _delete(root: Path) -> None:
    (root / "tiles/003.jpg").unlink()


def _empty(root: Path) -> None:
    (root / "tiles/003.jpg").write_bytes(b"")


def _page(root: Path) -> None:
    (root / "tiles/003.jpg").write_bytes(b"<html>404</html>")


def _oblong(root: Path) -> None:
    (root / "tiles/003.jpg").write_bytes(images.encode_jpeg(np.zeros((64, 65, 3), np.uint8)))


def _png(root: Path) -> None:
    (root / "tiles/003.jpg").rename(root / "tiles/003.png")


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (_delete, "missing"),
        (_empty, "the file is empty"),
        (_page, "not a readable"),
        (_oblong, "65 x 64 px: a satellite tile must be square"),
        (_png, "missing (003.png lies there instead)"),
    ],
)
def test_pairs_with_an_unusable_file_are_left_out_and_listed(
    tmp_path: Path, harm: Callable[[Path], None], reason: str
) -> None:
    root, paths = build_own(tmp_path / "mine", PAIRS), Paths(tmp_path / "project")
    harm(root)
    said = ingest(own(root, max_skipped=0.1), paths)
    assert f"1 of {PAIRS} pairs are left out (1 files, first tiles/003.jpg: {reason}" in said[0]
    assert "photos/003.jpg" not in set(read_pairs(paths.raw / "pairs.parquet")["ground"])
    assert f"photos/003.jpg,train,tiles/003.jpg,{reason}" in (paths.raw / "skipped.csv").read_text()
    said_no = fails(tmp_path / "a", own(root), "1 of 12 pairs cannot be used, 5% may be left out .*complete the copy")
    assert "max_skipped to 0.084 to do without" in said_no
    fails(tmp_path / "b", own(root, max_skipped=0.1, strict=True), "download.strict is set")


def test_a_truncated_file_is_found_by_decoding_alone(tmp_path: Path) -> None:
    root, paths = build_own(tmp_path / "mine", PAIRS), Paths(tmp_path / "project")
    file = root / "photos/003.jpg"
    file.write_bytes(file.read_bytes()[:-200])
    for verify, kept in (("none", PAIRS), ("headers", PAIRS), ("decode", PAIRS - 1)):
        ingest(own(root, verify=verify, max_skipped=0.1), paths)
        assert len(read_pairs(paths.raw / "pairs.parquet")) == kept


@pytest.mark.parametrize("verify", ["none", "headers", "decode"])
def test_one_git_lfs_pointer_stops_it_however_little_is_verified(tmp_path: Path, verify: str) -> None:
    root = build_own(tmp_path / "mine", PAIRS)
    make_pointers([root / "tiles/003.jpg"])
    sentence = r"1 of 24 images are Git-LFS pointers, not images \(tiles/003.jpg\): run `git lfs pull` in .*mine"
    fails(tmp_path / "project", own(root, verify=verify, max_skipped=0.5), sentence)


def test_no_share_of_skipped_pairs_allows_an_empty_data_set(tmp_path: Path) -> None:
    root = build_own(tmp_path / "mine", PAIRS)
    for file in root.glob("tiles/*"):
        file.unlink()
    said = fails(tmp_path / "project", own(root, max_skipped=1.0), "12 of 12 pairs cannot be used")
    assert "max_skipped to" not in said


@pytest.mark.parametrize("name", ["../secret.jpg", "/etc/hostname", "photos/../../x.jpg", "..\\secret.jpg"])
def test_tables_cannot_point_outside(tmp_path: Path, name: str) -> None:
    (tmp_path / "secret.jpg").write_bytes(images.encode_jpeg(np.zeros((8, 8, 3), np.uint8)))
    root = build_own(tmp_path / "mine", change=lambda table: table.assign(ground=[name, *table["ground"][1:]]))
    fails(tmp_path / "project", own(root), "outside the data set")


def test_the_stages_progress_display_takes_the_reports(tmp_path: Path) -> None:
    packed = make_tar(build_own(tmp_path / "mine"), tmp_path / "set.tar.gz")
    with progress("download") as report:
        ingest(own(packed), Paths(tmp_path / "project"), report)
