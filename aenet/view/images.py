"""The only door to pixels: decode, orient, limit, resize, encode.

Training, evaluation, export and serving all come through here, so that they resize and round alike.
"""

import io
import os
from pathlib import Path
from typing import IO

import cv2
import numpy as np
import simplejpeg
from jaxtyping import UInt8
from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile

from aenet.io.errors import UnreadableImage
from aenet.io.plainfiles import CannotRead, open_plain, read_opened, size_within
from aenet.io.terminal import is_short
from aenet.view.imagebounds import (
    MAX_BYTES,
    check_head,
    check_pixels,
    check_scans,
    check_tiles,
    kind_of,
    what_else,
)

FORMATS = ("JPEG", "PNG", "TIFF", "WEBP")
_EXIF_ORIENTATION, _TILE_WIDTH, _TILE_LENGTH = 0x0112, 322, 323
_PNG_SIGNATURE = 8  # bytes before the first chunk
_WORTH_A_LOOK = 64 << 20  # bytes: before so many are read, their head is
_HEIC = b"ftyp"
_LFS_POINTER = b"version https://git-lfs"
_HEAD, _PIXELS = "its head is damaged or cut short", "its pixels are damaged or cut short"

# Pillow's own bomb guard refuses real 2:1 panoramas wider than 18,918 px: the bounds are those of `imagebounds`.
Image.MAX_IMAGE_PIXELS = None


def decode(path: Path) -> UInt8[np.ndarray, "h w 3"]:
    """Return the RGB pixels of an image file, turned upright as its EXIF orientation says.

    Raises:
        UnreadableImage: the file is missing, empty, truncated, not one of FORMATS, or beyond `imagebounds`.
    """
    return decode_bytes(read_image(path), str(path))


def read_image(path: Path) -> bytes:
    """Return the bytes of an image file.

    Raises:
        UnreadableImage: missing, forbidden, no regular file, of more than MAX_BYTES, or of many more than its pixels.
    """
    try:
        with open_plain(path) as file:
            size = size_within(path, file, MAX_BYTES)
            if size > _WORTH_A_LOOK:
                _look(file, size, str(path))
            return read_opened(path, file, size)
    except CannotRead as error:
        raise UnreadableImage(f"{path}: {error.reason}") from error


def _look(file: io.BufferedReader, size: int, name: str) -> None:
    """Refuse a large file by its head; its position is kept."""
    if file.read(12)[4:8] != _HEIC:
        file.seek(0)
        _opened(file, size, name).close()
    file.seek(0)


def decode_bytes(content: bytes, name: str) -> UInt8[np.ndarray, "h w 3"]:
    """Decode an image held in memory; `name` stands for it in errors. See `decode`."""
    with open_bytes(content, name) as image:
        return decode_opened(image, content, name)


def open_bytes(content: bytes, name: str) -> Image.Image:
    """Open an image held in memory without decoding a pixel; close it after use.

    Raises:
        UnreadableImage: empty, a Git-LFS pointer, not one of FORMATS, damaged or too large.
    """
    return _opened(io.BytesIO(content), len(content), name)


def _opened(file: io.BytesIO | io.BufferedReader, size: int, name: str) -> Image.Image:
    """Open an image of `size` bytes; see `open_bytes`."""
    head = file.read(512)
    file.seek(0)
    _check_kind(head, name)
    check_head(file, name)
    try:
        image = Image.open(file, formats=FORMATS)
    except Exception as error:  # Pillow raises eight kinds for damaged files
        raise _unreadable(name, _HEAD, error) from error
    try:
        check_size(image, size, name)
    except UnreadableImage:
        image.close()
        raise
    return image


def decode_opened(image: Image.Image, content: bytes, name: str) -> UInt8[np.ndarray, "h w 3"]:
    """Decode what `open_bytes` opened of `content`. See `decode`."""
    try:
        if image.format in ("JPEG", "MPO"):
            check_scans(content, image.width, image.height)
    except UnreadableImage as error:
        raise UnreadableImage(f"{name}: {error}") from error
    try:
        if image.format == "JPEG" and _is_plain_rgb_jpeg(image):
            return np.asarray(simplejpeg.decode_jpeg(content, "RGB"))
        return _rgb(ImageOps.exif_transpose(image), name)
    except UnreadableImage:
        raise
    except Exception as error:  # Pillow and libjpeg raise eight kinds for damaged files
        raise _unreadable(name, _PIXELS, error) from error


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
        with open_plain(path) as file, _opened(file, os.fstat(file.fileno()).st_size, str(path)) as image:
            # Pillow gives a TIFF's size already upright.
            turned = image.format != "TIFF" and header_exif(image).get(_EXIF_ORIENTATION, 1) in (5, 6, 7, 8)
            return (image.width, image.height) if turned else (image.height, image.width)
    except CannotRead as error:
        raise UnreadableImage(f"{path}: {error.reason}") from error
    except UnreadableImage:
        raise
    except Exception as error:  # Pillow raises eight kinds for damaged files
        raise _unreadable(str(path), _HEAD, error) from error


def header_exif(image: Image.Image) -> Image.Exif:
    """Return an opened image's EXIF without decoding a pixel.

    Pillow's own `getexif` decodes a whole PNG because its block may lie behind the pixels.
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


def _unreadable(name: str, why: str, error: Exception | None = None) -> UnreadableImage:
    """The sentence for a file, unless what a library raised is about this machine: then that goes on as it is."""
    if error is not None and is_short(error):
        raise error
    return UnreadableImage(f"{name}: not a readable {'/'.join(FORMATS)} image ({why})")


def _check_kind(head: bytes, name: str) -> None:
    if not head:
        raise UnreadableImage(f"{name}: the file is empty")
    if head.startswith(_LFS_POINTER):
        raise UnreadableImage(f"{name}: a Git-LFS pointer, not the image: run `git lfs pull` where it comes from")
    if kind_of(head) is None:
        raise _unreadable(name, what_else(head))


def check_size(image: Image.Image, size: int, name: str) -> None:
    """Raise UnreadableImage for an image of `size` bytes that is beyond `imagebounds`; `name` stands for it."""
    try:
        check_pixels(image.width, image.height, size)
        if isinstance(image, TiffImageFile):
            check_tiles(image.width, image.height, (image.tag_v2.get(_TILE_WIDTH), image.tag_v2.get(_TILE_LENGTH)))
    except UnreadableImage as error:
        raise UnreadableImage(f"{name}: {error}") from error


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
