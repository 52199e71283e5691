"""What an image file says before its pixels: size, EXIF, GPS and XMP, as written."""

from dataclasses import dataclass, field
from typing import Any

from PIL import Image

from aenet.errors import UnreadableImage
from aenet.imagebounds import check_exif
from aenet.images import header_exif
from aenet.serving.photos.decoding import PhotoFile
from aenet.serving.photos.xmp import find_packet

_EXIF_IFD, _GPS_IFD, _ORIENTATION, _TIFF_XMP = 0x8769, 0x8825, 0x0112, 700


@dataclass(frozen=True)
class Header:
    """Tags by number; `width` and `height` of the upright picture, in pixels."""

    width: int = 0
    height: int = 0
    exif: dict[int, Any] = field(default_factory=dict)
    gps: dict[int, Any] = field(default_factory=dict)
    xmp: bytes | None = None
    fault: str | None = None


def read_header(file: PhotoFile) -> Header:
    """Return the header of an opened photo, no pixel decoded.

    What is damaged is absent, and `fault` says so: a broken EXIF block costs the known position, not the photo.
    """
    image = file.image
    if isinstance(image, UnreadableImage):  # decoding says why
        return Header(xmp=find_packet(file.content), fault="no readable header")
    exif, gps, fault = _tags(image)
    # Pillow gives a TIFF's size already upright.
    turned = image.format != "TIFF" and exif.get(_ORIENTATION, 1) in (5, 6, 7, 8)
    width, height = (image.height, image.width) if turned else image.size
    return Header(width, height, exif, gps, _packet(image, file.content), fault)


def _tags(image: Image.Image) -> tuple[dict[int, Any], dict[int, Any], str | None]:
    try:
        exif = header_exif(image)
        check_exif(image.info.get("exif"))
        return dict(exif) | dict(exif.get_ifd(_EXIF_IFD)), dict(exif.get_ifd(_GPS_IFD)), None
    except UnreadableImage as error:
        return {}, {}, f"EXIF {error}: left aside"
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001  Pillow raises eight kinds
        return {}, {}, "EXIF is damaged: left aside"


def _packet(image: Image.Image, content: bytes) -> bytes | None:
    """The XMP packet where the format keeps it; some lie outside the first segments (WebP, TIFF)."""
    try:
        packet = image.info.get("xmp") or getattr(image, "tag_v2", {}).get(_TIFF_XMP)
    except Exception:  # noqa: BLE001  as above
        packet = None
    if isinstance(packet, str):
        packet = packet.encode("utf-8", "surrogateescape")
    return packet if isinstance(packet, bytes) and packet else find_packet(content)
