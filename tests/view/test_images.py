"""The door to pixels: orientation, damage, limits, colour modes."""

import io
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import simplejpeg
from PIL import Image, ImageOps

from aenet.io.errors import UnreadableImage
from aenet.view import images

PICTURE = np.random.default_rng(0).integers(0, 256, (6, 4, 3), dtype=np.uint8).repeat(16, 0).repeat(16, 1)


def save(path: Path, picture: Image.Image, **options: object) -> Path:
    picture.save(path, **options)  # type: ignore[arg-type]  # Pillow's options depend on the format
    return path


def exif(orientation: int) -> bytes:
    block = Image.Exif()
    block[0x0112] = orientation
    return block.tobytes()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format_", ["jpg", "png", "webp", "tif"])
def test_orientation_equals_pillows(tmp_path: Path, orientation: int, format_: str) -> None:
    path = save(tmp_path / f"a.{format_}", Image.fromarray(PICTURE), exif=exif(orientation))
    with Image.open(path) as opened:
        expected = np.asarray(ImageOps.exif_transpose(opened).convert("RGB"))
    assert np.array_equal(images.decode(path), expected)
    assert images.probe(path) == expected.shape[:2]


def test_orientation_six_turns_the_top_left_to_the_top_right(tmp_path: Path) -> None:
    """By hand: 6 means that the stored picture must be turned clockwise by 90 degrees."""
    picture = np.zeros((40, 80, 3), np.uint8)
    picture[:20, :20] = 255
    upright = images.decode(save(tmp_path / "a.png", Image.fromarray(picture), exif=exif(6)))
    assert upright.shape == (80, 40, 3)
    assert upright[:20, 20:].min() == 255
    assert upright[:20, :20].max() == 0


@pytest.mark.parametrize("sampling", [0, 1, 2])
@pytest.mark.parametrize("progressive", [False, True])
def test_fast_jpeg_path_equals_pillow(tmp_path: Path, sampling: int, progressive: bool) -> None:
    y, x = np.mgrid[:101, :203]
    smooth = np.stack([x, y * 2, (x * y) % 251], -1).astype(np.uint8)
    path = save(tmp_path / "a.jpg", Image.fromarray(smooth), subsampling=sampling, progressive=progressive)
    with Image.open(path) as opened:
        assert np.array_equal(images.decode(path), np.asarray(opened.convert("RGB")))


@pytest.mark.parametrize("mode", ["L", "1", "P", "RGBA", "LA", "CMYK", "YCbCr"])
def test_colour_modes_become_rgb(tmp_path: Path, mode: str) -> None:
    picture = Image.fromarray(PICTURE).convert(mode)
    format_ = "jpg" if mode in ("CMYK", "YCbCr") else "png"
    path = save(tmp_path / f"a.{format_}", picture)
    pixels = images.decode(path)
    with Image.open(path) as opened:
        assert np.array_equal(pixels, np.asarray(opened.convert("RGB")))


def test_grey_jpeg_becomes_three_equal_channels(tmp_path: Path) -> None:
    pixels = images.decode(save(tmp_path / "a.jpg", Image.fromarray(PICTURE).convert("L")))
    assert pixels.shape == PICTURE.shape
    assert (pixels == pixels[..., :1]).all()


@pytest.mark.parametrize("format_", ["png", "tif"])
def test_sixteen_bit_keeps_the_high_byte(tmp_path: Path, format_: str) -> None:
    """Pillow's own conversion clips everything above 255 to white."""
    grey = np.linspace(0, 65535, 32 * 32).astype(np.uint16).reshape(32, 32)
    pixels = images.decode(save(tmp_path / f"a.{format_}", Image.fromarray(grey)))
    assert np.array_equal(pixels[..., 1], (grey >> 8).astype(np.uint8))


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_pixels_of_unknown_range_are_refused(tmp_path: Path, dtype: type) -> None:
    with pytest.raises(UnreadableImage, match="convert it to 8 bits first"):
        images.decode(save(tmp_path / "a.tif", Image.fromarray(np.ones((8, 8), dtype))))


@pytest.mark.parametrize("cut", [0.02, 0.3, 0.6, 0.97])
@pytest.mark.parametrize("format_", ["jpg", "png", "webp", "tif"])
def test_truncated_files_are_refused(tmp_path: Path, format_: str, cut: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 80, 3), dtype=np.uint8)
    path = save(tmp_path / f"a.{format_}", Image.fromarray(noise))
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * cut)])
    with pytest.raises(UnreadableImage, match=str(path)):
        images.decode(path)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "the file is empty"),
        (b"hello", "not a readable"),
        (b"\xff\xd8\xff", "not a readable"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git-LFS pointer"),
        (b"%PDF-1.7 %%EOF", "not a readable"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a readable"),
    ],
)
def test_what_is_no_image_is_refused(tmp_path: Path, content: bytes, sentence: str) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    for read in (images.decode, images.probe):
        with pytest.raises(UnreadableImage, match=f"{path}.*{sentence}"):
            read(path)


@pytest.mark.parametrize("format_", ["gif", "bmp", "ppm", "ico"])
def test_formats_we_do_not_accept_are_refused(tmp_path: Path, format_: str) -> None:
    """Each decoder is a way in; fewer are safer."""
    path = save(tmp_path / f"a.{format_}", Image.fromarray(PICTURE))
    with pytest.raises(UnreadableImage, match="JPEG/PNG/TIFF/WEBP"):
        images.decode(path)


def test_missing_file_and_folder_are_sentences(tmp_path: Path) -> None:
    for path in (tmp_path / "none.jpg", tmp_path):
        for read in (images.decode, images.probe):
            with pytest.raises(UnreadableImage, match=str(path)):
                read(path)


def test_huge_images_are_refused_by_their_header(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", Image.new("1", (20_000, 15_001)))  # 300 Mpx and one row, 37 kB on disk
    for read in (images.decode, images.probe):
        with pytest.raises(UnreadableImage, match="20000 x 15001 is 300 Mpx, the limit is 300 Mpx"):
            read(path)


def _white_png(width: int, height: int) -> bytes:
    """A complete PNG of one bit a pixel, written without ever holding its pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")

    row, packer = b"\0" + b"\xff" * (-(-width // 8)), zlib.compressobj()
    body = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([1, 0, 0, 0, 0])
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


_MEASURE = """
import sys
from pathlib import Path
from aenet.view.images import probe
from aenet.data.card import ViewSpec
from aenet.io.errors import UnreadableImage
from aenet.serving.photos.reading import read_photo

def peak_mb():
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024

path = Path(sys.argv[1])
before = peak_mb()
try:
    probe(path)
except UnreadableImage:
    pass
read_photo(path, "it", ViewSpec.polar(height=16, width=64, tile_size_m=70.0))
print(peak_mb() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells a process its peak of memory")
def test_a_whole_image_above_the_limit_is_never_decoded(tmp_path: Path) -> None:
    """50 kB that decode to 400 MB: Pillow decodes a PNG even to look for its EXIF block."""
    path = tmp_path / "bomb.png"
    path.write_bytes(_white_png(20_050, 20_000))
    ran = subprocess.run([sys.executable, "-c", _MEASURE, str(path)], capture_output=True, text=True, check=True)
    assert float(ran.stdout) < 100


@pytest.mark.parametrize("format_", ["jpg", "png"])
def test_probing_looks_at_no_pixel(tmp_path: Path, format_: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 80, 3), dtype=np.uint8)
    path = save(tmp_path / f"a.{format_}", Image.fromarray(noise))
    path.write_bytes(path.read_bytes()[:1500])
    assert images.probe(path) == (64, 80)


def test_exif_behind_the_pixels_of_a_png_counts(tmp_path: Path) -> None:
    """The format allows it anywhere, and some programs append it."""
    path = save(tmp_path / "a.png", Image.fromarray(PICTURE), exif=exif(6))
    content = path.read_bytes()
    at = content.index(b"eXIf") - 4
    end = at + 12 + int.from_bytes(content[at : at + 4], "big")
    late = tmp_path / "late.png"
    late.write_bytes(content[:at] + content[end:-12] + content[at:end] + content[-12:])
    assert images.probe(late) == images.probe(path) == (PICTURE.shape[1], PICTURE.shape[0])
    assert np.array_equal(images.decode(late), images.decode(path))


def test_wide_panoramas_are_not_refused(tmp_path: Path) -> None:
    """Pillow's own limit refuses 2:1 panoramas wider than 18,918 px."""
    path = tmp_path / "a.png"
    path.write_bytes(_white_png(20_000, 10_000) + bytes(100_000))  # more bytes than a picture of one bit has
    assert images.probe(path) == (10_000, 20_000)


def test_resize_is_area_average_down_and_bilinear_up() -> None:
    checker = np.indices((8, 8)).sum(0) % 2 * np.uint8(255)
    image = np.repeat(checker[..., None], 3, axis=2).astype(np.uint8)
    small = images.resize(image, 4, 2)
    assert small.shape == (4, 2, 3)
    assert (np.abs(small.astype(int) - 127.5) <= 0.5).all()  # every area holds as many black as white pixels
    ramp = np.tile(np.array([0, 100], np.uint8)[None, :, None], (2, 1, 3))
    assert images.resize(ramp, 2, 4)[0, :, 0].tolist() == [0, 25, 75, 100]  # centres at -1/4, 1/4, 3/4, 5/4
    assert images.resize(image, 8, 8) is image


@pytest.mark.parametrize("quality", [80, 95])
def test_encoded_jpeg_decodes_near(quality: int) -> None:
    content = images.encode_jpeg(PICTURE, quality)
    assert np.abs(images.decode_bytes(content, "x").astype(int) - PICTURE).mean() < 4


def test_exif_is_spliced_in_whole() -> None:
    block = exif(6)
    content = images.encode_jpeg(PICTURE, exif=block)
    with Image.open(io.BytesIO(content)) as opened:
        assert opened.getexif()[0x0112] == 6
    plain = simplejpeg.decode_jpeg(images.encode_jpeg(PICTURE), "RGB")
    assert np.array_equal(images.decode_bytes(content, "x"), np.rot90(plain, -1))
