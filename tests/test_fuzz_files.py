"""Damaged archives, tables, images with EXIF and GPano, and settings: bytes changed by thousands, and no traceback.

Seeded, so that a failure comes again; `AENET_FUZZ` multiplies the rounds.
"""

import io
import os
import random
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aenet.card import ViewSpec
from aenet.data.archive.config import SourceConfig
from aenet.data.archive.unpack import unpack
from aenet.errors import AenetError
from aenet.images import encode_jpeg
from aenet.params import read_yaml
from aenet.serving.photos.listing import list_photos
from aenet.serving.photos.reading import read_photo

ROUNDS = 100 * int(os.environ.get("AENET_FUZZ", "1"))
VIEW = ViewSpec(height=16, width=64, tile_size_m=60.0)
PIXELS = np.random.default_rng(0).integers(0, 256, (32, 64, 3), dtype=np.uint8)
PANO = b"""<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description xmlns:GPano="http://ns.google.com/photos/1.0/panorama/" GPano:ProjectionType="equirectangular"
GPano:PoseHeadingDegrees="12" GPano:FullPanoWidthPixels="64" GPano:CroppedAreaImageWidthPixels="64"
GPano:FullPanoHeightPixels="32" GPano:CroppedAreaImageHeightPixels="32" GPano:CroppedAreaLeftPixels="0"
GPano:CroppedAreaTopPixels="0"/></rdf:RDF></x:xmpmeta>"""


def mutated(content: bytes, seed: int) -> bytes:
    """Some bytes changed, a piece cut out, doubled, or put in the place of another."""
    generator, body = random.Random(seed), bytearray(content)
    for _ in range(generator.choice((1, 2, 8, 40))):
        at = generator.randrange(len(body))
        body[at] = generator.choice(
            (0, 0x7F, 0x80, 0xFF, generator.randrange(256), body[at] ^ 1 << generator.randrange(8))
        )
    start, length = generator.randrange(len(body)), generator.choice((0, 0, 1, 4, 50, 4000))
    piece = bytes(body[start : start + length])
    match generator.randrange(4):
        case 0:
            del body[start : start + length]
        case 1:
            body[start:start] = piece * generator.choice((1, 3))
        case 2:
            body[generator.randrange(len(body)) :] = piece
        case _:
            pass
    return bytes(body)


def _exif() -> bytes:
    block = Image.Exif()
    block[0x0112], block[0x9003] = 1, "2024:05:06 07:08:09"
    block[0x8825] = {1: "N", 2: (47.0, 30.0, 1.5), 3: "E", 4: (9.0, 0.0, 0.0), 16: "M", 17: 33.0}
    block.get_ifd(0x8769).update({0xA405: 28, 0x920A: 4.2})
    written: bytes = block.tobytes()
    return written


def _photo(format_: str) -> bytes:
    file = io.BytesIO()
    if format_ == "JPEG":
        content = encode_jpeg(PIXELS, 90, _exif())
        packet = b"http://ns.adobe.com/xap/1.0/\0" + PANO
        return content[:2] + b"\xff\xe1" + (len(packet) + 2).to_bytes(2, "big") + packet + content[2:]
    options = {"progressive": True} if format_ == "progressive" else {}
    Image.fromarray(PIXELS).save(file, "JPEG" if options else format_, exif=_exif(), **options)
    return file.getvalue()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("format_", ["JPEG", "progressive", "PNG", "TIFF", "WEBP"])
def test_fuzzed_photos_are_rows(tmp_path: Path, format_: str) -> None:
    whole, path = _photo(format_), tmp_path / "a.img"
    path.write_bytes(whole)
    assert "readable" not in str(read_photo(path, "a", VIEW).reason)  # what GPano, lens and shape say need not agree
    for seed in range(ROUNDS):
        path.write_bytes(mutated(whole, seed))
        reading = read_photo(path, "a", VIEW)
        assert (reading.view is None) == (reading.reason is not None), seed
        assert "object at 0x" not in (reading.reason or "") and "decoder" not in (reading.reason or "")


def _archive(format_: str) -> bytes:
    file = io.BytesIO()
    if format_ == "zip":
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
            for name in ("a/b.txt", "c.bin"):
                packed.writestr(name, name * 50)
    else:
        with tarfile.open(fileobj=file, mode=f"w:{format_}", format=tarfile.PAX_FORMAT) as tar:  # type: ignore[call-overload]  # the mode is computed
            for name in ("a/b.txt", "\u00fc" * 120, "c.bin"):
                info = tarfile.TarInfo(name)
                info.size = 50
                tar.addfile(info, io.BytesIO(name.encode()[:50].ljust(50)))
    return file.getvalue()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("format_", ["zip", "", "gz", "bz2", "xz"])
def test_fuzzed_archives_are_unpacked_or_refused(tmp_path: Path, format_: str) -> None:
    whole, config = _archive(format_), SourceConfig(source="x", max_unpacked_bytes=10**6, max_members=100)
    archive, folder = tmp_path / "a.bin", tmp_path / "in" / "out"
    folder.mkdir(parents=True)
    for seed in range(-1, ROUNDS):
        archive.write_bytes(whole if seed < 0 else mutated(whole, seed))
        try:
            unpack(archive, folder, config)
            for file in sorted(folder.rglob("*"), reverse=True):
                file.rmdir() if file.is_dir() else file.unlink()
        except AenetError as error:
            assert seed >= 0 and "a.bin" in str(error), seed
        assert not list(folder.iterdir()) and {path.name for path in tmp_path.iterdir()} == {"a.bin", "in"}, seed


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "latin-1"])
def test_fuzzed_tables_are_read_or_refused(tmp_path: Path, encoding: str) -> None:
    rows = "".join(f'"b\u00fc {n}.jpg",{n / 7},{-n / 3},{n * 30},"1,5"\n' for n in range(12))
    whole = ("path,latitude,longitude,heading,note\n" + rows).encode(encoding)
    for seed in range(ROUNDS):
        (tmp_path / "t.csv").write_bytes(mutated(whole, seed))
        try:
            listed = list_photos(tmp_path / "t.csv")
        except AenetError as error:
            assert len(str(error)) < 5000, seed
        else:
            assert listed["true_latitude"].abs().max(skipna=True) <= 90 or listed["true_latitude"].isna().all(), seed


def test_fuzzed_settings_are_read_or_refused(tmp_path: Path) -> None:
    whole = (Path(__file__).parents[1] / "params.yaml").read_bytes()[:1500]
    for seed in range(ROUNDS):
        (tmp_path / "params.yaml").write_bytes(mutated(whole, seed))
        try:
            assert isinstance(read_yaml(tmp_path / "params.yaml"), dict)
        except AenetError as error:
            assert len(str(error)) < 2000, seed
