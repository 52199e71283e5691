"""What an image file may cost is known before a pixel of it is decoded, and why it is refused is said in our words."""

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import rasterio
import simplejpeg
from PIL import Image, ImageFile

from aenet.io.errors import UnreadableImage
from aenet.serving.photos.reading import read_photo
from aenet.view import images
from aenet.view.imagebounds import MAX_SCANS, check_scans
from aenet.view.spec import ViewSpec

VIEW = ViewSpec.polar(height=16, width=64, tile_size_m=60.0)
SMALL = Image.fromarray(np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8))
NOISE = os.urandom(1000)


def saved(picture: Image.Image, format_: str, **options: object) -> bytes:
    file = io.BytesIO()
    picture.save(file, format_, **options)  # type: ignore[arg-type]  # Pillow's options depend on the format
    return file.getvalue()


def scanned(scans: int, fill: bytes = b"") -> bytes:
    """A progressive JPEG that ends in so many scans more than the ten it needs."""
    content = saved(SMALL, "JPEG", progressive=True)
    last = content.rindex(b"\xff\xda")
    return content[:-2] + (fill + content[last:-2]) * scans + content[-2:]


def tiled(side: int) -> bytes:
    """The small picture as GDAL writes it where it is asked for tiles larger than it."""
    with rasterio.MemoryFile() as file:
        profile = {"driver": "GTiff", "width": 64, "height": 48, "count": 3, "dtype": "uint8", "photometric": "RGB"}
        with file.open(**profile, tiled=True, blockxsize=side, blockysize=side, compress="deflate") as dataset:
            dataset.write(np.moveaxis(np.asarray(SMALL), -1, 0))
        return bytes(file.read())


def segments(count: int) -> bytes:
    content = saved(SMALL, "JPEG")
    return content[:2] + b"\xff\xfe\0\2" * count + content[2:]


def chunk(kind: bytes, body: bytes = b"") -> bytes:
    return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")


def png_head(width: int, height: int, bits: int = 1) -> bytes:
    size = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size + bytes([bits, 0, 0, 0, 0]))


def png(width: int, height: int) -> bytes:
    return png_head(width, height) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND")


def chunks(count: int, where: str) -> bytes:
    """A PNG with so many empty chunks before, among or behind its pixels."""
    content = saved(SMALL, "PNG")
    at = {"before": content.index(b"IDAT") - 4, "behind": len(content) - 12}.get(where, len(content) - 12)
    return content[:at] + chunk(b"IDAT" if where == "among" else b"teXt") * count + content[at:]


def webp(kind: bytes, width: int, height: int) -> bytes:
    if kind == b"VP8X":
        body = bytes(4) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    elif kind == b"VP8L":
        body = b"\x2f" + (width - 1 | (height - 1) << 14).to_bytes(4, "little") + NOISE
    else:
        body = b"\x30\1\0\x9d\x01\x2a" + struct.pack("<HH", width, height) + NOISE
    inside = b"WEBP" + kind + len(body).to_bytes(4, "little") + body + b"\0" * (len(body) % 2)
    return b"RIFF" + len(inside).to_bytes(4, "little") + inside


def tiff(big: bool = False, tags: tuple[tuple[int, int, int, int], ...] = (), width: int = 8, height: int = 8) -> bytes:
    """A TIFF of grey pixels, its tags (number, type, count, value) as they are given."""
    row = ((256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (273, 4, 1, 400),
           (277, 3, 1, 1), (278, 4, 1, height), (279, 4, 1, 64), *tags)  # fmt: skip
    if big:
        head, entry = b"II+\0\x08\0\0\0" + struct.pack("<QQ", 16, len(row)), "<HHQQ"
    else:
        head, entry = b"II*\0" + struct.pack("<IH", 8, len(row)), "<HHII"
    return (head + b"".join(struct.pack(entry, *tag) for tag in row)).ljust(400, b"\0") + bytes(64)


@pytest.fixture
def _nothing_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise AssertionError("pixels were decoded")

    monkeypatch.setattr(simplejpeg, "decode_jpeg", fail)
    for owner in (Image.Image, ImageFile.ImageFile):
        monkeypatch.setattr(owner, "load", fail)


DEAR = {
    "500 scans": (scanned(500), "scans of 64 x 48 px, about 10 are usual"),
    "scans behind fill bytes": (scanned(40, fill=b"\xff" * 9), "scans of"),
    "scans behind rubbish": (scanned(40, fill=b"\0rubbish\xff\0"), "scans of"),
    "scans behind restarts": (scanned(40, fill=b"\xff\xd0\xff\xd7"), "scans of"),
    "scans and a picture behind them": (scanned(40) + saved(SMALL, "JPEG"), "scans of"),
    "5,000 segments": (segments(5_000), "segments in"),
    "rubbish between segments": (b"\xff\xd8\xff\xe0\0\2" + bytes(100_000) + segments(0)[2:], "is no JPEG"),
    "5,000 chunks before the pixels": (chunks(5_000, "before"), "chunks in"),
    "5,000 chunks behind the pixels": (chunks(5_000, "behind"), "chunks in"),
    "5,000 chunks of no pixels": (chunks(5_000, "among"), "chunks in"),
    "300,000,000 x 1": (png(300_000_000, 1), "a side of more than 100,000 px"),
    "1 x 300,000,000": (png(1, 300_000_000), "a side of more than 100,000 px"),
    "150,000 x 20 as TIFF": (tiff(width=150_000, height=20), "a side of more than 100,000 px"),
    "200 Mpx in a kilobyte": (png(20_000, 10_000), "no photo is packed so densely"),
    "268 Mpx of WebP": (webp(b"VP8X", 16_384, 16_383), "no photo is packed so densely"),
    "WebP of 2^48 pixels": (webp(b"VP8X", 1 << 24, 1 << 24), "a side of more than"),
    "lossless WebP": (webp(b"VP8L", 16_383, 16_383), "16383 x 16383 px in"),
    "lossy WebP": (webp(b"VP8 ", 16_383, 16_383), "16383 x 16383 px in"),
    "TIFF tag of 2^31 numbers": (tiff(tags=((700, 3, 1 << 31, 8),)), "TIFF tag of 2,147,483,648 values"),
    "BigTIFF tag of 2^40 numbers": (tiff(True, tags=((700, 4, 1 << 40, 8),)), "TIFF tag of 1,099,511,627,776 values"),
    "TIFF tile of 900 Mpx": (tiff(tags=((322, 4, 1, 30_000), (323, 4, 1, 30_000))), "tile of 30000 x 30000"),
}


@pytest.mark.usefixtures("_nothing_is_decoded")
@pytest.mark.parametrize("what", DEAR)
def test_b7_what_costs_too_much_is_refused_before_decoding(tmp_path: Path, what: str) -> None:
    content, sentence = DEAR[what]
    (tmp_path / "a.img").write_bytes(content)
    reading = read_photo(tmp_path / "a.img", "a", VIEW)
    assert reading.view is None and sentence in str(reading.reason)
    with pytest.raises(UnreadableImage, match=f"{tmp_path}/a.img: "):
        images.decode(tmp_path / "a.img")


HONEST = {
    "progressive": scanned(0),
    "marks of scans inside a comment": segments(0)[:2] + b"\xff\xfe\0\xca" + b"\xff\xda" * 100 + segments(0)[2:],
    "a second picture behind it": scanned(0) + b"".join(saved(SMALL, "JPEG") for _ in range(20)),
    "a film behind it": scanned(0) + b"\0\0\0\x18ftypmp42" + b"\xff\xda" * 50_000,
    "1,500 segments": segments(1_500),
    "1,500 chunks": chunks(1_500, "before"),
    "a tile of 256 x 256 px": tiled(256),
    "a tile of 4096 x 4096 px": tiled(4096),
}


@pytest.mark.parametrize("what", HONEST)
def test_b7_what_cameras_and_encoders_write_is_read(what: str) -> None:
    assert images.decode_bytes(HONEST[what], "a").shape == (48, 64, 3)


def test_b7_scans_are_weighed_with_the_pixels_they_pass_over() -> None:
    """By hand: 22 scans are 6 more than usual; of 30 Mpx they pass over 180 Mpx, of 36 Mpx over 216."""
    content = scanned(12)
    check_scans(scanned(6), 20_000, 15_000)  # 16: a thorough encoder's
    check_scans(content, 6000, 5000)
    with pytest.raises(UnreadableImage, match="22 scans of 6000 x 6000"):
        check_scans(content, 6000, 6000)
    check_scans(scanned(MAX_SCANS - 10), 64, 48)
    with pytest.raises(UnreadableImage, match="33 scans"):
        check_scans(scanned(MAX_SCANS - 9), 64, 48)


@pytest.mark.parametrize("begin", [saved(SMALL, "PNG"), saved(SMALL, "JPEG"), b""])
def test_b7_a_gigabyte_of_nothing_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, begin: bytes) -> None:
    monkeypatch.setattr(images, "read_opened", None)
    (tmp_path / "a.img").write_bytes(begin)
    os.truncate(tmp_path / "a.img", 10**9)
    with pytest.raises(UnreadableImage, match="most of the file is no image" if begin else "begins as none"):
        images.decode(tmp_path / "a.img")


def test_b7_a_block_of_exif_without_end_costs_the_exif_alone(tmp_path: Path) -> None:
    wide = SMALL.resize((96, 48))
    (tmp_path / "a.png").write_bytes(saved(wide, "PNG", exif=b"Exif\0\0II*\0\x08\0\0\0\0\0" + bytes(1 << 21)))
    reading = read_photo(tmp_path / "a.png", "a", VIEW)
    assert reading.view is not None
    assert any(note.startswith("EXIF of 2,097,1") and "left aside" in note for note in reading.account.notes)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (saved(SMALL, "JPEG")[:700], "its pixels are damaged or cut short"),
        (saved(SMALL, "PNG")[:-3000], "its pixels are damaged or cut short"),
        (saved(SMALL, "TIFF", compression="tiff_lzw")[:2000], "its head is damaged or cut short"),
        (saved(SMALL, "WEBP")[:200], "its head is damaged or cut short"),
        (b"\x89PNG\r\n\x1a\n" + NOISE, "its head is damaged or cut short"),
        (b"\xff\xd8\xff\xe0", "its head is damaged or cut short"),
        (b"%PDF-1.7", "it is a PDF"),
        (b"GIF89a" + NOISE, "it is a GIF"),
        (b" \n<!DOCTYPE html>", "it is a web page"),
        (b"\0\0\0\x18ftypavif" + NOISE, "it is a film, or a picture of another kind (AVIF, CR3)"),
        (b"hello", "it begins as none of them does"),
    ],
)
def test_c14_reasons_are_ours_and_not_a_decoders(tmp_path: Path, content: bytes, why: str) -> None:
    (tmp_path / "a.jpg").write_bytes(content)
    assert read_photo(tmp_path / "a.jpg", "a", VIEW).reason == f"not a readable JPEG/PNG/TIFF/WEBP image ({why})"
