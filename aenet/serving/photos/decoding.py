"""Decode strangers' photos: what `aenet.images` opens, HEIC where its extra is installed, and large ones within bounds.

A photo of 20,000 px is decoded for a view of some hundred columns. A JPEG can be decoded at 1/2, 1/4 or 1/8 of its
size, which averages blocks of pixels as resizing would. The other formats cannot: of those, one large one is decoded
at a time, and averaged at once.
"""

import io
import threading
from contextlib import AbstractContextManager, nullcontext
from importlib.util import find_spec
from typing import NamedTuple

import numpy as np
import simplejpeg
from jaxtyping import UInt8
from PIL import Image, ImageOps

from aenet.errors import UnreadableImage
from aenet.images import FORMATS, MAX_PIXELS, decode_bytes

HEIC_SUFFIXES = (".heic", ".heif", ".hif")
LARGE_PIXELS = 50_000_000  # 150 MB decoded
_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")
_ORIENTATION = 0x0112
_one_large = threading.Lock()


def is_heic(content: bytes) -> bool:
    """True if the bytes begin as a HEIC or HEIF file does."""
    return content[4:8] == b"ftyp" and content[8:12] in _BRANDS


def open_image(content: bytes) -> Image.Image:
    """Open an image held in memory without decoding a pixel; close it after use.

    Raises:
        UnreadableImage: HEIC without the extra, or more than MAX_PIXELS.
        Exception: whatever Pillow raises for a damaged file.
    """
    formats: tuple[str, ...] = FORMATS
    if is_heic(content):
        _need_heic()
        formats = ("HEIF",)
    image = Image.open(io.BytesIO(content), formats=formats)
    if (pixels := image.width * image.height) > MAX_PIXELS:
        image.close()
        raise UnreadableImage(
            f"{image.width} x {image.height} is {pixels / 1e6:.0f} Mpx, "
            f"the limit is {MAX_PIXELS / 1e6:.0f} Mpx: make it smaller first"
        )
    return image


def decode_photo(content: bytes, min_width: int = 0, min_height: int = 0) -> UInt8[np.ndarray, "h w 3"]:
    """Return upright RGB pixels, of a JPEG or a large picture possibly at a fraction of its size.

    Args:
        min_width, min_height: of the upright picture; a reduced one has at least these. 0 in both: never reduced.

    Raises:
        UnreadableImage: as `aenet.images.decode`, or HEIC without the extra.
    """
    if is_heic(content):
        return _decode_heic(content)
    file = _look(content)
    turned = file.orientation in (5, 6, 7, 8)
    least = (min_height, min_width) if turned else (min_width, min_height)
    factor = min(file.width // max(least[0], 1), file.height // max(least[1], 1)) if any(least) else 1
    pixels = file.width * file.height
    with _bound(pixels, file.lines and factor > 1):
        try:
            if factor > 1 and file.jpeg:
                small = simplejpeg.decode_jpeg(content, "RGB", min_width=least[0], min_height=least[1])
                return _upright(np.asarray(small), file.orientation)
            if factor > 1 and file.plain and pixels > LARGE_PIXELS:
                with open_image(content) as image:
                    return np.asarray(ImageOps.exif_transpose(image.reduce(factor)).convert("RGB"))
        except Exception:  # noqa: BLE001, S110  many kinds; damaged: the door's own sentence says how
            pass
        return decode_bytes(content, "")


class _File(NamedTuple):
    """Stored size and orientation; whether it is 8-bit colour or grey, a JPEG of that, and one decoded by lines."""

    width: int = 0
    height: int = 0
    orientation: int = 1
    plain: bool = False
    jpeg: bool = False
    lines: bool = False


def _look(content: bytes) -> _File:
    try:
        with open_image(content) as image:
            plain = image.mode in ("RGB", "L")
            jpeg = plain and image.format == "JPEG"
            orientation = int(Image.Image.getexif(image).get(_ORIENTATION, 1)) if jpeg else 1
            # A progressive JPEG's coefficients are held whole, at twice the size of its pixels.
            return _File(*image.size, orientation, plain, jpeg, jpeg and not image.info.get("progressive"))
    except Exception:  # noqa: BLE001  Pillow raises eight kinds; `decode_bytes` says what is wrong
        return _File()


def _bound(pixels: int, small: bool) -> AbstractContextManager[object]:
    return _one_large if pixels > LARGE_PIXELS and not small else nullcontext()


def _upright(pixels: UInt8[np.ndarray, "h w 3"], orientation: int) -> UInt8[np.ndarray, "h2 w2 3"]:
    """Undo EXIF orientation 1 to 8 (Exif 2.32, tag 0112)."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)


def _decode_heic(content: bytes) -> UInt8[np.ndarray, "h w 3"]:
    try:
        with open_image(content) as image, _bound(image.width * image.height, False):
            return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    except UnreadableImage:
        raise
    except Exception as error:  # libheif's and Pillow's many kinds
        raise UnreadableImage(f"not a readable HEIC image ({' '.join(str(error).split())})") from error


def _need_heic() -> None:
    if find_spec("pillow_heif") is None:
        raise UnreadableImage(
            "HEIC needs pillow-heif, which is not installed: run `pip install -c constraints.txt -e '.[heic]'`"
        )
    import pillow_heif  # type: ignore[import-not-found, unused-ignore]  # an extra, absent where types are checked

    pillow_heif.register_heif_opener()
