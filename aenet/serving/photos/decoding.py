"""Open and decode photos of anybody: those of `aenet.view.images`, HEIC with its extra, large ones within bounds.

A photo of 20,000 px is decoded for a view of some hundred columns. A JPEG can be decoded at 1/2, 1/4 or 1/8 of its
size, which averages blocks of pixels as resizing would. The other formats cannot: of those, one large one is decoded
at a time, and averaged at once.
"""

import io
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np
import simplejpeg
from jaxtyping import UInt8
from PIL import Image, ImageOps

from aenet.io.errors import UnreadableImage
from aenet.io.terminal import is_short
from aenet.view.imagebounds import LARGE_PIXELS, check_scans
from aenet.view.images import check_size, decode_bytes, decode_opened, header_exif, open_bytes

HEIC_SUFFIXES = (".heic", ".heif", ".hif")
_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")
_ORIENTATION = 0x0112
_one_large = threading.Lock()


def is_heic(content: bytes) -> bool:
    """True if the bytes begin as a HEIC or HEIF file does."""
    return content[4:8] == b"ftyp" and content[8:12] in _BRANDS


@dataclass(frozen=True)
class PhotoFile:
    """A photo's bytes and the one parse of their header from which size, metadata and pixels are taken.

    Attributes:
        content: the file.
        image: what Pillow opened of it, no pixel decoded; or why it cannot be opened.
    """

    content: bytes
    image: Image.Image | UnreadableImage


@contextmanager
def opened(content: bytes) -> Iterator[PhotoFile]:
    """Open a photo held in memory; never raises for what strangers write into their files."""
    image: Image.Image | UnreadableImage
    try:
        image = _open_heic(content) if is_heic(content) else open_bytes(content, "")
    except UnreadableImage as error:
        image = error
    try:
        yield PhotoFile(content, image)
    finally:
        if isinstance(image, Image.Image):
            image.close()


def decode_photo(file: PhotoFile, min_width: int = 0, min_height: int = 0) -> UInt8[np.ndarray, "h w 3"]:
    """Return upright RGB pixels, of a JPEG or a large picture possibly at a fraction of its size.

    Args:
        file: from `opened`; its pixels can be taken once.
        min_width, min_height: of the upright picture; a reduced one has at least these. 0 in both: never reduced.

    Raises:
        UnreadableImage: as `aenet.view.images.decode`, or HEIC without the extra.
    """
    image = file.image
    if isinstance(image, UnreadableImage):
        raise image
    if image.format == "HEIF":
        return _decode_heic(image)
    if image.format == "JPEG":
        check_scans(file.content, image.width, image.height)
    plain = image.mode in ("RGB", "L")
    jpeg = plain and image.format == "JPEG"
    orientation = _orientation(image) if jpeg else 1
    least = (min_height, min_width) if orientation in (5, 6, 7, 8) else (min_width, min_height)
    factor = min(image.width // max(least[0], 1), image.height // max(least[1], 1)) if any(least) else 1
    # A progressive JPEG's coefficients are held whole, at twice the size of its pixels.
    by_lines = factor > 1 and jpeg and not image.info.get("progressive")
    with _bound(image.width * image.height, by_lines):
        try:
            if factor > 1 and jpeg:
                small = simplejpeg.decode_jpeg(file.content, "RGB", min_width=least[0], min_height=least[1])
                return _upright(np.asarray(small), orientation)
            if factor > 1 and plain and image.width * image.height > LARGE_PIXELS:
                return np.asarray(ImageOps.exif_transpose(image.reduce(factor)).convert("RGB"))
        except Exception as error:  # many kinds; damaged: the door's own sentence says how
            if is_short(error):
                raise
            return decode_bytes(file.content, "")
        return decode_opened(image, file.content, "")


def _orientation(image: Image.Image) -> int:
    try:
        return int(header_exif(image).get(_ORIENTATION, 1))
    except Exception:  # noqa: BLE001  Pillow raises eight kinds; damaged EXIF costs the orientation, not the photo
        return 1


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


def _open_heic(content: bytes) -> Image.Image:
    _need_heic()
    try:
        image = Image.open(io.BytesIO(content), formats=("HEIF",))
    except Exception as error:  # libheif's and Pillow's many kinds
        raise _unreadable_heic("its head is damaged or cut short", error) from error
    try:
        check_size(image, len(content), "")
    except UnreadableImage:
        image.close()
        raise
    return image


def _decode_heic(image: Image.Image) -> UInt8[np.ndarray, "h w 3"]:
    try:
        with _bound(image.width * image.height, False):
            return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    except Exception as error:  # libheif's and Pillow's many kinds
        raise _unreadable_heic("its pixels are damaged or cut short", error) from error


def _unreadable_heic(why: str, error: Exception) -> UnreadableImage:
    if is_short(error):
        raise error
    return UnreadableImage(f"not a readable HEIC image ({why})")


def _need_heic() -> None:
    if find_spec("pillow_heif") is None:
        raise UnreadableImage(
            "HEIC needs pillow-heif, which is not installed: run `pip install -c constraints.txt -e '.[heic]'`"
        )
    import pillow_heif  # type: ignore[import-not-found, unused-ignore]  # an extra, absent where types are checked

    pillow_heif.register_heif_opener()
