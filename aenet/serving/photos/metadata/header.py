"""What an image file says before its pixels: size, EXIF, GPS and XMP, as written."""

from dataclasses import dataclass, field
from typing import Any
from xml.parsers import expat

from PIL import Image

from aenet.io.errors import AenetError, UnreadableImage
from aenet.serving.photos.decoding import PhotoFile
from aenet.view.imagebounds import check_exif
from aenet.view.images import header_exif

# XMP packets of strangers: read as flat properties, with no entity, no document type and no outside reference.
#
# XMP is XML that anybody may write into an image. A document type is refused outright, so that neither entity
# expansion nor an external file can be asked for; nothing is fetched, and size and depth are bounded.

MAX_BYTES = 1 << 20
_DEPTH = 64
_HEAD = 1 << 18  # XMP is among a JPEG's first segments, 64 KB each
_BEGIN, _END = b"<x:xmpmeta", b"</x:xmpmeta>"
# The prefix under which a property is known here, whatever a file calls the namespace.
_NAMESPACES = {
    "http://ns.google.com/photos/1.0/panorama/": "GPano",
    "http://ns.adobe.com/exif/1.0/": "exif",
    "http://www.dji.com/drone-dji/1.0/": "drone-dji",
    "http://www.w3.org/1999/02/22-rdf-syntax-ns#": "rdf",
}


def find_packet(content: bytes) -> bytes | None:
    """Return the XMP packet among the first segments of a file's bytes, None where there is none."""
    begin = content.find(_BEGIN, 0, _HEAD)
    end = content.find(_END, begin, begin + MAX_BYTES) if begin >= 0 else -1
    return content[begin : end + len(_END)] if end >= 0 else None


def read_properties(packet: bytes) -> dict[str, str]:
    """Return the simple properties of an XMP packet as `prefix:name` -> text, from attributes and elements alike.

    A property that stands twice keeps its first value. Undeclared prefixes are taken for what they are called:
    some cameras forget to declare them.

    Raises:
        AenetError: not well-formed, a document type or entity in it, deeper than 64 elements or over 1 MiB.
    """
    if len(packet) > MAX_BYTES:
        raise AenetError(f"XMP of {len(packet):,} bytes, the limit is {MAX_BYTES:,}")
    collector = _Collector()
    parser = expat.ParserCreate()  # without namespaces: undeclared prefixes are an error otherwise
    parser.buffer_text = True
    parser.StartElementHandler = collector.start
    parser.EndElementHandler = collector.end
    parser.CharacterDataHandler = collector.text
    parser.StartDoctypeDeclHandler = collector.refuse
    try:
        parser.Parse(packet.strip(b"\0 \t\r\n"), True)
    except expat.ExpatError as error:
        raise AenetError(f"XMP is not well-formed (line {error.lineno}: {expat.ErrorString(error.code)})") from error
    return collector.found


class _Collector:
    """Gathers attributes, and the text of elements that hold nothing else."""

    def __init__(self) -> None:
        self.found: dict[str, str] = {}
        self._prefixes: dict[str, str] = {}
        self._open: list[tuple[str, list[str]]] = []

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if len(self._open) >= _DEPTH:
            raise AenetError(f"XMP is deeper than {_DEPTH} elements")
        for key, value in attributes.items():
            if key.startswith("xmlns:") and value in _NAMESPACES:
                self._prefixes[key.removeprefix("xmlns:")] = _NAMESPACES[value]
        for key, value in attributes.items():
            self.found.setdefault(self._known(key), value.strip())
        self._open.append((name, []))

    def text(self, data: str) -> None:
        if self._open:
            self._open[-1][1].append(data)

    def end(self, name: str) -> None:
        _, parts = self._open.pop()
        if text := "".join(parts).strip():
            self.found.setdefault(self._known(name), text)

    def refuse(self, *_: object) -> None:
        raise AenetError("XMP holds a document type: refused")

    def _known(self, name: str) -> str:
        prefix, colon, local = name.partition(":")
        return f"{self._prefixes.get(prefix, prefix)}:{local}" if colon else name


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
