"""Archives from strangers: whatever they hold, only plain files arrive, only inside, or nothing does."""

import bz2
import gzip
import io
import lzma
import os
import random
import stat
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from aenet.data.archive.config import SourceConfig
from aenet.data.archive.unpack import unpack
from aenet.errors import AenetError

TREE = {
    "pairs.parquet": b"table",
    "ground/0.jpg": os.urandom(3000),
    "ground/leer.txt": b"",
    "aerial/ä b.jpg": b"x" * 70_000,
}
FORMATS = ("zip", "stored.zip", "tar", "tar.gz", "tar.bz2", "tar.xz")


def caps(**limits: int) -> SourceConfig:
    return SourceConfig.model_validate({"source": "x", "sha256": "0" * 64} | limits)


def pack(path: Path, tree: dict[str, bytes]) -> Path:
    if path.suffix == ".zip":
        method = zipfile.ZIP_STORED if "stored" in path.name else zipfile.ZIP_DEFLATED
        with zipfile.ZipFile(path, "w", method) as packed:
            for name, content in tree.items():
                packed.writestr(name, content)
        return path
    mode = "w:" + path.suffix.removeprefix(".").replace("tar", "")
    with tarfile.open(path, mode) as packed:  # type: ignore[call-overload]  # the mode is computed
        for name, content in tree.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            packed.addfile(info, io.BytesIO(content))
    return path


def tree_of(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def refused(tmp_path: Path, archive: Path, config: SourceConfig, sentence: str) -> None:
    """The archive is refused in a sentence, its folder is empty, and nothing outside was touched."""
    folder = tmp_path / "parent" / "folder"
    folder.mkdir(parents=True)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(AenetError, match=sentence):
        unpack(archive, folder, config)
    assert sorted(tmp_path.rglob("*")) == before
    assert not Path("/tmp/aenet-escaped").exists()  # noqa: S108  where the evil members below would land


@pytest.mark.parametrize("format_", FORMATS)
def test_every_format_comes_out_as_it_went_in(tmp_path: Path, format_: str) -> None:
    (tmp_path / "out").mkdir()
    unpack(pack(tmp_path / f"a.{format_}", TREE), tmp_path / "out", caps())
    assert tree_of(tmp_path / "out") == TREE


@pytest.mark.parametrize("format_", FORMATS)
def test_half_an_archive_is_refused(tmp_path: Path, format_: str) -> None:
    archive = pack(tmp_path / f"a.{format_}", TREE | {"last.bin": random.Random(0).randbytes(200_000)})
    archive.write_bytes(archive.read_bytes()[:150_000])
    refused(tmp_path, archive, caps(), "a[.].*")


@pytest.mark.parametrize("format_", ["zip", "tar"])
@pytest.mark.parametrize(
    "names",
    [
        ["/tmp/aenet-escaped"],  # noqa: S108  an attack, not a path of ours
        ["../aenet-escaped"],
        ["a/../../aenet-escaped"],
        ["a/.."],
        ["..\\aenet-escaped"],
        ["C:/aenet-escaped"],
        ["bad\nname"],
        ["same", "same"],
        ["./same", "same"],
        ["Name.jpg", "name.jpg"],
        ["e\u0301.jpg", "\u00e9.jpg"],
        ["A/x", "a/y"],
        ["a", "a/b"],
        ["a/b", "a"],
    ],
)
def test_names_that_escape_or_collide_are_refused(tmp_path: Path, format_: str, names: list[str]) -> None:
    archive = tmp_path / f"a.{format_}"
    if format_ == "zip":
        with zipfile.ZipFile(archive, "w") as packed, pytest.MonkeyPatch.context() as patch:
            patch.setattr("warnings.warn", lambda *args, **kwargs: None)  # zipfile warns of duplicates, as it should
            for name in ["first", *names]:
                packed.writestr(name, b"evil")
    else:
        with tarfile.open(archive, "w") as packed:
            for name in ["first", *names]:
                info = tarfile.TarInfo(name)
                info.size = 4
                packed.addfile(info, io.BytesIO(b"evil"))
    refused(tmp_path, archive, caps(), "refused")


@pytest.mark.parametrize(
    "kind",
    [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.GNUTYPE_SPARSE],
)
def test_tar_links_devices_and_sparse_files_are_refused(tmp_path: Path, kind: bytes) -> None:
    archive = tmp_path / "a.tar"
    with tarfile.open(archive, "w") as packed:
        info = tarfile.TarInfo("plain")
        info.type, info.linkname = kind, "/etc/passwd"
        packed.addfile(info)
    refused(tmp_path, archive, caps(), "link, a device or a sparse file")


def test_zip_symlinks_are_refused(tmp_path: Path) -> None:
    archive = tmp_path / "a.zip"
    info = zipfile.ZipInfo("link")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr(info, "/etc/passwd")
    refused(tmp_path, archive, caps(), "link or a device")


def test_encrypted_zip_is_refused(tmp_path: Path) -> None:
    archive = pack(tmp_path / "a.zip", {"secret": b"x"})
    content = bytearray(archive.read_bytes())
    content[content.index(b"PK\1\2") + 8] |= 1  # general purpose flag, bit 0, of the central directory
    archive.write_bytes(content)
    refused(tmp_path, archive, caps(), "encrypted")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_zip_methods_of_unbounded_memory_are_refused(tmp_path: Path, method: int) -> None:
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w", method) as packed:
        packed.writestr("a", b"x" * 1000)
    refused(tmp_path, archive, caps(), "zip method")


@pytest.mark.parametrize("format_", FORMATS)
def test_bombs_stop_at_the_cap(tmp_path: Path, format_: str) -> None:
    archive = pack(tmp_path / f"a.{format_}", {"a": bytes(600_000), "b": bytes(600_000)})
    refused(tmp_path, archive, caps(max_unpacked_bytes=1_000_000), "max_unpacked_bytes = 1000000")


def test_zip_that_lies_about_its_size_is_refused(tmp_path: Path) -> None:
    archive = pack(tmp_path / "a.zip", {"a": bytes(5_000_000)})
    content = archive.read_bytes().replace(struct.pack("<L", 5_000_000), struct.pack("<L", 10))
    archive.write_bytes(content)
    refused(tmp_path, archive, caps(max_unpacked_bytes=1_000_000), "cannot be unpacked|max_unpacked_bytes")


@pytest.mark.parametrize("squeeze", [gzip.compress, bz2.compress, lzma.compress])
def test_tar_whose_headers_are_the_bomb_is_refused(tmp_path: Path, squeeze: Callable[[bytes], bytes]) -> None:
    """A pax header is read into memory whole; 40 MB of it must be refused by its size."""
    info = tarfile.TarInfo("././@PaxHeader")
    info.type, info.size = tarfile.XHDTYPE, 40_000_000
    archive = tmp_path / "a.tar.x"
    archive.write_bytes(squeeze(info.tobuf(tarfile.USTAR_FORMAT) + bytes(info.size)))
    refused(tmp_path, archive, caps(max_unpacked_bytes=100_000_000), "tar header of 40000000 bytes")


@pytest.mark.parametrize("format_", ["zip", "tar.gz"])
def test_too_many_members_are_refused(tmp_path: Path, format_: str) -> None:
    archive = pack(tmp_path / f"a.{format_}", {str(n): b"" for n in range(11)})
    refused(tmp_path, archive, caps(max_members=10), "max_members = 10")
    (tmp_path / "ok").mkdir()
    unpack(archive, tmp_path / "ok", caps(max_members=11))


def test_permissions_are_not_taken_from_the_archive(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with tarfile.open(tmp_path / "a.tar", "w") as packed:
        info = tarfile.TarInfo("root-me")
        info.mode, info.uid = 0o4777, 0
        packed.addfile(info)
    unpack(tmp_path / "a.tar", tmp_path / "out", caps())
    assert stat.S_IMODE((tmp_path / "out/root-me").stat().st_mode) & 0o7133 == 0


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"\x28\xb5\x2f\xfd" + bytes(600), b"\x1f\x8bnot gzip", b"PK\3\4junk"]
)
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.bin").write_bytes(content)
    refused(tmp_path, tmp_path / "a.bin", caps(), "neither zip nor tar|cannot be unpacked")


def test_interrupt_leaves_nothing(tmp_path: Path) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    (tmp_path / "out").mkdir()
    archive = pack(tmp_path / "a.zip", TREE)
    with pytest.raises(KeyboardInterrupt):
        unpack(archive, tmp_path / "out", caps(), interrupt)
    assert list((tmp_path / "out").iterdir()) == []
