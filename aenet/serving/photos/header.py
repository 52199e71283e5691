"""What an image file says before its pixels: size, EXIF, GPS and XMP, as written."""

from dataclasses import dataclass, field
from typing import Any

from PIL import Image

from aenet.images import read_gps
from aenet.serving.photos.decoding import open_image
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


def read_header(content: bytes) -> Header:
    """Return the header of an image held in memory, no pixel decoded.

    What is damaged is absent, and `fault` says so: a broken EXIF block costs the known position, not the photo.
    """
    try:
        with open_image(content) as image:
            exif, gps, fault = _tags(image, content)
            # Pillow gives a TIFF's size already upright.
            turned = image.format != "TIFF" and exif.get(_ORIENTATION, 1) in (5, 6, 7, 8)
            width, height = (image.height, image.width) if turned else image.size
            return Header(width, height, exif, gps, _packet(image, content), fault)
    except Exception as error:  # noqa: BLE001  Pillow raises eight kinds; what cannot be opened says so when decoded
        return Header(xmp=find_packet(content), fault=f"no readable header ({type(error).__name__})")


def _tags(image: Image.Image, content: bytes) -> tuple[dict[int, Any], dict[int, Any], str | None]:
    try:
        # Pillow's own `getexif` of a PNG decodes its pixels; the base class looks at what is read already.
        exif = Image.Image.getexif(image)
        tags = dict(exif) | dict(exif.get_ifd(_EXIF_IFD))
        late = image.format == "PNG" and "exif" not in image.info and b"eXIf" in content  # behind the pixels
        gps = read_gps(content) if late else dict(exif.get_ifd(_GPS_IFD))
    except Exception as error:  # noqa: BLE001  as above
        return {}, {}, f"EXIF is damaged ({type(error).__name__})"
    return tags, gps, None


def _packet(image: Image.Image, content: bytes) -> bytes | None:
    """The XMP packet where the format keeps it; some lie outside the first segments (WebP, TIFF)."""
    try:
        packet = image.info.get("xmp") or getattr(image, "tag_v2", {}).get(_TIFF_XMP)
    except Exception:  # noqa: BLE001  as above
        packet = None
    if isinstance(packet, str):
        packet = packet.encode("utf-8", "surrogateescape")
    return packet if isinstance(packet, bytes) and packet else find_packet(content)
