"""Archives from strangers: whatever they hold, only plain files arrive, only inside, or nothing does."""

import bz2
import errno
import gzip
import io
import lzma
import os
import random
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from aenet.ingest.archive.archiveconfig import SourceConfig
from aenet.ingest.archive.bounds import Inflated, decoder_of
from aenet.ingest.archive.unpack import unpack
from aenet.io.errors import AenetError

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


# --- What an archive may cost


def entries(count: int, beside: int = 0) -> bytes:
    """A zip of empty members with a directory of so many entries, each with so many bytes of extra field."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as packed:
        for number in range(count):
            info = zipfile.ZipInfo(f"{number:06d}")
            info.extra = struct.pack("<HH", 0x7777, beside - 4) + bytes(beside - 4) if beside else b""
            packed.writestr(info, b"")
    return file.getvalue()


def lying(content: bytes) -> bytes:
    """The same zip, which says at its end that it has one member."""
    at = content.rindex(b"PK\5\6")
    return content[: at + 8] + struct.pack("<HH", 1, 1) + content[at + 12 :]


def larger(content: bytes) -> bytes:
    """The same zip, its end written in 64 bits, too."""
    at = content.rindex(b"PK\5\6")
    count, _, size, start = struct.unpack_from("<HHII", content, at + 8)
    end = struct.pack("<4sQHHIIQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, count, count, size, start)
    locator = struct.pack("<4sIQI", b"PK\6\7", 0, at, 1)
    return content[:at] + end + locator + content[at : at + 12] + b"\xff" * 8 + content[at + 20 :]


@pytest.mark.parametrize("told", [bytes, lying, larger, lambda content: content + b"behind it: 21 bytes.."])
def test_b8_members_are_counted_before_a_directory_is_taken_into_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: Callable[[bytes], bytes]
) -> None:
    archive = tmp_path / "a.zip"
    archive.write_bytes(told(entries(200)))
    if told is larger:
        (tmp_path / "ok").mkdir()
        unpack(archive, tmp_path / "ok", caps(max_members=200))
    monkeypatch.setattr(zipfile, "ZipFile", None)
    refused(tmp_path, archive, caps(max_members=199), "more than max_members = 199 members .200 so far.: refused")


def test_b8_a_directory_of_something_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.zip").write_bytes(entries(20, beside=60_000))
    monkeypatch.setattr(zipfile, "ZipFile", None)
    refused(tmp_path, tmp_path / "a.zip", caps(), r"a directory of 1,201,\d+ bytes for 20 members: refused")


def test_b8_a_dictionary_of_a_gibibyte_is_refused(tmp_path: Path) -> None:
    """By the format: (2 | 1) << 29 for the byte 37, at the fifth place of the block's head, which a CRC-32 ends."""
    content = bytearray(lzma.compress(pack(tmp_path / "a.tar", TREE).read_bytes()))
    head = 12, 12 + 4 * (content[12] + 1) - 4
    content[16] = 37
    content[head[1] : head[1] + 4] = zlib.crc32(content[head[0] : head[1]]).to_bytes(4, "little")
    (tmp_path / "a.tar.xz").write_bytes(content)
    refused(tmp_path, tmp_path / "a.tar.xz", caps(), "dictionary needs more than 160 MiB: pack with `xz -9` or less")


@pytest.mark.parametrize("squeeze", [gzip.compress, bz2.compress, lzma.compress, lambda c: lzma.compress(c, preset=9)])
def test_b8_streams_one_after_another_are_one(tmp_path: Path, squeeze: Callable[[bytes], bytes]) -> None:
    plain = pack(tmp_path / "a.tar", TREE).read_bytes()
    parts = [squeeze(plain[at : at + 20_000]) for at in range(0, len(plain), 20_000)]
    (tmp_path / "a.tar.x").write_bytes(squeeze(b"").join(parts) + bytes(512))
    (tmp_path / "out").mkdir()
    unpack(tmp_path / "a.tar.x", tmp_path / "out", caps())
    assert tree_of(tmp_path / "out") == TREE


@pytest.mark.parametrize("squeeze", [gzip.compress, bz2.compress, lambda c: lzma.compress(c, preset=0)])
def test_b8_no_more_is_read_than_is_asked_for(squeeze: Callable[[bytes], bytes]) -> None:
    plain = random.Random(3).randbytes(24 << 20)
    packed = squeeze(plain)
    make, file = decoder_of(packed[:8]), io.BufferedReader(io.BytesIO(packed))  # type: ignore[arg-type]  # BytesIO is raw enough
    assert make is not None
    inflated, out = Inflated(file, make), b""
    while len(out) < 2_000_000:
        out += inflated.read(10_240)
    assert file.tell() < 3_000_000
    while more := inflated.read(1 << 20):
        out += more
    assert out == plain


@pytest.mark.parametrize("squeeze", [gzip.compress, bz2.compress, lzma.compress])
@pytest.mark.parametrize("at", [0, 20_000])
def test_b8_streams_with_nothing_in_them_have_an_end(
    tmp_path: Path, squeeze: Callable[[bytes], bytes], at: int
) -> None:
    plain = pack(tmp_path / "a.tar", TREE).read_bytes()
    (tmp_path / "a.tar.x").write_bytes(squeeze(plain[:at]) + squeeze(b"") * 100 + squeeze(plain[at:]))
    refused(tmp_path, tmp_path / "a.tar.x", caps(), "more than 64 empty compressed streams in a row")


@pytest.mark.parametrize(
    "records",
    [
        {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "a", "GNU.sparse.realsize": "9"},
        {"GNU.sparse.map": "0,1,2,3", "GNU.sparse.size": "9"},
        {"GNU.sparse.size": "9", "GNU.sparse.numblocks": "1"},
    ],
)
def test_b8_sparse_files_are_refused_by_their_header(tmp_path: Path, records: dict[str, str]) -> None:
    """The map of 999,999,999 pieces that the body promises is not read."""
    info = tarfile.TarInfo("a")
    body = b"999999999\n" + b"1\n2\n" * 2000
    info.size, info.pax_headers = len(body), records
    with tarfile.open(tmp_path / "a.tar", "w", format=tarfile.PAX_FORMAT) as packed:
        packed.addfile(info, io.BytesIO(body))
    refused(tmp_path, tmp_path / "a.tar", caps(), "a.tar: .*link, a device or a sparse file: refused")


@pytest.mark.parametrize("name", ["a/" * 40 + "b", "x" * 2000])
@pytest.mark.parametrize("format_", ["zip", "tar"])
def test_b8_names_without_end_are_refused(tmp_path: Path, format_: str, name: str) -> None:
    refused(tmp_path, pack(tmp_path / f"a.{format_}", {name: b""}), caps(), "the limits are 1,024 and 32: refused")


@pytest.mark.parametrize("kind", ["x", "g"])
def test_b8_long_attributes_are_left_aside(tmp_path: Path, kind: str) -> None:
    """Of a kind that `tar --xattrs` writes; their digits would take Python's reader hours, and a name still counts."""
    notes = {"SCHILY.xattr.user.a": "1" * 400_000, "LIBARCHIVE.xattr.b": "x", "comment": "1 path=evil\n" * 9}
    whole = notes if kind == "g" else None
    with tarfile.open(tmp_path / "a.tar", "w", format=tarfile.PAX_FORMAT, pax_headers=whole) as packed:
        info = tarfile.TarInfo("\u00e4" * 60)
        info.size, info.pax_headers = 3, notes if kind == "x" else {}
        packed.addfile(info, io.BytesIO(b"abc"))
    (tmp_path / "out").mkdir()
    unpack(tmp_path / "a.tar", tmp_path / "out", caps())
    assert tree_of(tmp_path / "out") == {"\u00e4" * 60: b"abc"}


@pytest.mark.parametrize(
    ("block", "said"),
    [
        (b"1" * 500_000, "attributes is damaged"),
        (b"9999999 path=a\n", "attributes is damaged"),
        (b"3 a=\n", "attributes is damaged"),
        (b"12 path=abcd", "attributes is damaged"),
        (b"9010 path=" + b"1" * 8999 + b"\n", "a path of 9010 bytes"),
    ],
)
def test_b8_attributes_that_are_none_are_refused(tmp_path: Path, block: bytes, said: str) -> None:
    info = tarfile.TarInfo("notes")
    info.type, info.size = tarfile.XHDTYPE, len(block)
    body = block + bytes(-len(block) % 512)
    (tmp_path / "a.tar").write_bytes(info.tobuf() + body + pack(tmp_path / "b.tar", TREE).read_bytes())
    refused(tmp_path, tmp_path / "a.tar", caps(), said)


def test_b8_notes_upon_notes_are_refused(tmp_path: Path) -> None:
    """Each is read before the next, one call within another."""
    note = tarfile.TarInfo.create_pax_global_header({"comment": "x"})
    (tmp_path / "a.tar").write_bytes(note * 2000 + pack(tmp_path / "b.tar", TREE).read_bytes())
    refused(tmp_path, tmp_path / "a.tar", caps(), "a.tar cannot be unpacked: it is damaged or cut short")


@pytest.mark.parametrize(("number", "said"), [(errno.ENOSPC, "No space left"), (errno.EACCES, "Permission denied")])
def test_b8_what_the_disk_refuses_is_not_the_archives_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, said: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    archive = pack(tmp_path / "a.zip", TREE)
    monkeypatch.setattr(Path, "mkdir", fail) if number == errno.EACCES else monkeypatch.setattr(Path, "joinpath", fail)
    folder = tmp_path / "out"
    os.makedirs(folder)  # noqa: PTH103  not by what fails
    with pytest.raises(AenetError, match=rf"cannot be unpacked into .* \({said}.*nothing of it is kept"):
        unpack(archive, folder, caps())
