"""The only door to pixels: decode, orient, limit, resize, encode.

Training, evaluation, export and serving all come through here, so that they resize and round alike.
"""

import io
import re
from pathlib import Path
from typing import IO

import cv2
import numpy as np
import simplejpeg
from jaxtyping import UInt8
from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngImageFile

from aenet.errors import UnreadableImage
from aenet.plainfiles import CannotRead, open_plain, read_plain

FORMATS = ("JPEG", "PNG", "TIFF", "WEBP")
# Pillow's own bomb guard refuses real 2:1 panoramas wider than 18,918 px, so we keep our own.
MAX_PIXELS = 300_000_000
MAX_BYTES = 1_500_000_000  # more than any image of that many pixels holds
_EXIF_ORIENTATION = 0x0112
_PNG_SIGNATURE = 8  # bytes before the first chunk
_LFS_POINTER = b"version https://git-lfs"
_ADDRESS = re.compile(r" ?<\S+ object at 0x[0-9a-f]+>")

Image.MAX_IMAGE_PIXELS = None


def decode(path: Path) -> UInt8[np.ndarray, "h w 3"]:
    """Return the RGB pixels of an image file, turned upright as its EXIF orientation says.

    Raises:
        UnreadableImage: the file is missing, empty, truncated, not one of FORMATS, or larger than
            MAX_PIXELS.
    """
    return decode_bytes(read_image(path), str(path))


def read_image(path: Path) -> bytes:
    """Return the bytes of an image file.

    Raises:
        UnreadableImage: missing, forbidden, no regular file, or of more than MAX_BYTES.
    """
    try:
        return read_plain(path, MAX_BYTES)
    except CannotRead as error:
        raise UnreadableImage(f"{path}: {error.reason}") from error


def decode_bytes(content: bytes, name: str) -> UInt8[np.ndarray, "h w 3"]:
    """Decode an image held in memory; `name` stands for it in errors. See `decode`."""
    with open_bytes(content, name) as image:
        return decode_opened(image, content, name)


def open_bytes(content: bytes, name: str) -> Image.Image:
    """Open an image held in memory without decoding a pixel; close it after use.

    Raises:
        UnreadableImage: empty, a Git-LFS pointer, not one of FORMATS, damaged or too large.
    """
    _check_head(content[:512], name)
    try:
        image = Image.open(io.BytesIO(content), formats=FORMATS)
    except Exception as error:  # Pillow raises eight kinds for damaged files
        raise _unreadable(name, error) from error
    try:
        check_size(image, name)
    except UnreadableImage:
        image.close()
        raise
    return image


def decode_opened(image: Image.Image, content: bytes, name: str) -> UInt8[np.ndarray, "h w 3"]:
    """Decode what `open_bytes` opened of `content`. See `decode`."""
    try:
        if image.format == "JPEG" and _is_plain_rgb_jpeg(image):
            return np.asarray(simplejpeg.decode_jpeg(content, "RGB"))
        return _rgb(ImageOps.exif_transpose(image), name)
    except UnreadableImage:
        raise
    except Exception as error:  # Pillow and libjpeg raise eight kinds for damaged files
        raise _unreadable(name, error) from error


def _rgb(image: Image.Image, name: str) -> UInt8[np.ndarray, "h w 3"]:
    if image.mode.startswith("I;16"):  # Pillow's own conversion would make everything above 255 white
        grey = (np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    if image.mode in ("I", "F"):
        raise UnreadableImage(f"{name}: 32 bits a pixel, of unknown range: convert it to 8 bits first")
    return np.asarray(image.convert("RGB"))


def probe(path: Path) -> tuple[int, int]:
    """Return (height, width) of the upright image without decoding a pixel.

    Raises:
        UnreadableImage: the file is missing, empty, a Git-LFS pointer, not one of FORMATS or too large. A truncated
            file passes; only decoding or a digest finds that.
    """
    try:
        with open_plain(path) as file:
            _check_head(file.read(512), str(path))
            file.seek(0)
            with Image.open(file, formats=FORMATS) as image:
                check_size(image, str(path))
                # Pillow gives a TIFF's size already upright.
                turned = image.format != "TIFF" and header_exif(image).get(_EXIF_ORIENTATION, 1) in (5, 6, 7, 8)
                return (image.width, image.height) if turned else (image.height, image.width)
    except CannotRead as error:
        raise UnreadableImage(f"{path}: {error.reason}") from error
    except UnreadableImage:
        raise
    except Exception as error:  # Pillow raises eight kinds for damaged files
        raise _unreadable(str(path), error) from error


def header_exif(image: Image.Image) -> Image.Exif:
    """Return an opened image's EXIF without decoding a pixel.

    Pillow's own `getexif` decodes a whole PNG, for its block may lie behind the pixels.
    """
    if isinstance(image, PngImageFile) and image.fp and "exif" not in image.info:
        image.info["exif"] = _late_exif(image.fp)
    return Image.Image.getexif(image)


def _late_exif(file: IO[bytes] | io.BytesIO) -> bytes | None:
    """Find a PNG's eXIf chunk wherever it lies, stepping over the others; the file's position is kept."""
    before = file.tell()
    try:
        file.seek(_PNG_SIGNATURE)
        while len(head := file.read(8)) == 8:
            length, kind = int.from_bytes(head[:4], "big"), head[4:]
            if kind == b"eXIf":
                return file.read(length)
            file.seek(length + 4, io.SEEK_CUR)  # 4: the checksum
        return None
    finally:
        file.seek(before)


def said_by(error: Exception) -> str:
    """Return a library's words on one line, less addresses in memory: those would make equal reasons differ."""
    return " ".join(_ADDRESS.sub("", str(error)).split())


def _unreadable(name: str, error: Exception) -> UnreadableImage:
    return UnreadableImage(f"{name}: not a readable {'/'.join(FORMATS)} image ({said_by(error)})")


def _check_head(head: bytes, name: str) -> None:
    if not head:
        raise UnreadableImage(f"{name}: the file is empty")
    if head.startswith(_LFS_POINTER):
        raise UnreadableImage(f"{name}: a Git-LFS pointer, not the image: run `git lfs pull` where it comes from")


def check_size(image: Image.Image, name: str) -> None:
    """Raise UnreadableImage for an image of more than MAX_PIXELS; `name` stands for it."""
    pixels = image.width * image.height
    if pixels > MAX_PIXELS:
        raise UnreadableImage(
            f"{name}: {image.width} x {image.height} is {pixels / 1e6:.0f} Mpx, "
            f"the limit is {MAX_PIXELS / 1e6:.0f} Mpx: make it smaller first"
        )


def _is_plain_rgb_jpeg(image: Image.Image) -> bool:
    """True where simplejpeg's pixels equal Pillow's: upright and three channels; it is twice as fast."""
    return image.mode == "RGB" and header_exif(image).get(_EXIF_ORIENTATION, 1) == 1


def resize(image: UInt8[np.ndarray, "h w 3"], height: int, width: int) -> UInt8[np.ndarray, "h2 w2 3"]:
    """Resize to `height` x `width`: area average when both sides shrink, else bilinear."""
    if image.shape[:2] == (height, width):
        return image
    shrinks = height <= image.shape[0] and width <= image.shape[1]
    filter_ = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (width, height), interpolation=filter_), dtype=np.uint8)


def encode_jpeg(image: UInt8[np.ndarray, "h w 3"], quality: int = 92, exif: bytes | None = None) -> bytes:
    """Return JPEG bytes (4:4:4) of an RGB image, with an EXIF block (`Exif\\0\\0...`) spliced in if given."""
    content = simplejpeg.encode_jpeg(np.ascontiguousarray(image), quality, "RGB", "444")
    if exif is None:
        return bytes(content)
    # APP1 goes right after the start-of-image marker; its length counts itself but not the marker.
    segment = b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif
    return bytes(content[:2]) + segment + bytes(content[2:])
