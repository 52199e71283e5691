"""What an image file may cost, found out before anything is decoded.

Decoders trust a file's head: some kilobytes can ask for a thousand passes over the picture, millions of pieces, or
gigabytes of one colour. So the head is walked here first, which costs no more than reading it, and the file refused in
our own words.

- Progressive JPEG: each scan is a pass over all pixels. Encoders write 10, the most thorough about 14.
- PNG chunks and JPEG segments are read one by one in Python: encoders put 8 KB and more into one.
- A picture's sides, its pixels, and how many of them one byte may stand for. Flat grey is at most 1,032 in PNG (the
  limit of deflate) and 256 in JPEG (2 bits a block of 64).
- TIFF: numbers in one tag, and pixels in one tile, which may exceed the picture.
"""

import os
import re
import struct
from io import BufferedIOBase

from aenet.io.errors import UnreadableImage

MAX_PIXELS = 300_000_000
MAX_SIDE = 100_000
MAX_BYTES = 1_500_000_000  # more than any image of that many pixels holds
MAX_SCANS = 32
LARGE_PIXELS = 50_000_000  # 150 MB decoded
_USUAL_SCANS, _COUNTED = 16, 320
_MORE_SCANNED = 200_000_000  # pixels passed over by the scans beyond the usual ones
_PIECES, _PIECE_BYTES = 2_000, 1024  # pieces any file may have, and one more for so many bytes
_JUNK_BYTES = 1 << 16  # between a JPEG's segments
_DENSEST = 2000  # pixels a byte, of a large image
_PIXEL_BYTES, _APPENDED_BYTES = 8, 64 << 20  # of 16-bit RGBA, and of a film that a telephone appends
_TAG_VALUES, _TAG_ENTRIES = 1_000_000, 4096
_TILE_SLACK = 1 << 24  # pixels by which one tile may exceed a picture: small maps are written in tiles of 4,096
_EXIF_BYTES = 1 << 20

_SIGNATURES = {b"\xff\xd8\xff": "JPEG", b"\x89PNG\r\n\x1a\n": "PNG"} | dict.fromkeys(
    (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), "TIFF"
)
# What people take for an image, or download in its place.
_OTHERS = (
    (b"%PDF", "a PDF"), (b"%!PS", "PostScript"), (b"GIF8", "a GIF"), (b"BM", "a BMP"), (b"PK\3\4", "a zip archive"),
    (b"\0\0\1\0", "an icon"), (b"<!", "a web page"), (b"<html", "a web page"), (b"<?xml", "XML"), (b"<svg", "an SVG"),
    (b"8BPS", "a Photoshop file"), (b"\x1f\x8b", "a gzip archive"), (b"\xff\x0a", "JPEG XL"), (b"FUJIFILM", "raw data"),
)  # fmt: skip
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")  # in a scan: neither a stuffed byte nor a restart
_ALONE = (0x01, *range(0xD0, 0xD9))  # markers without a length
_SOS, _EOI = 0xDA, 0xD9
_ARRAYS = {3: 2, 4: 4, 5: 8, 6: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}  # type -> bytes a value
_SUB_IFDS = (0x8769, 0x8825)  # Exif, GPS


def kind_of(head: bytes) -> str | None:
    """Return JPEG, PNG, TIFF or WEBP by the first bytes of a file, None where it is none of them."""
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    return next((kind for signature, kind in _SIGNATURES.items() if head.startswith(signature)), None)


def what_else(head: bytes) -> str:
    """Say what a file is that is none of our formats, as far as its first bytes tell."""
    begins = head.lstrip().lower() if head[:1] in b"< \t\r\n" else head
    what = next((what for signature, what in _OTHERS if begins.startswith(signature)), None)
    if what is None and head[4:8] == b"ftyp":
        what = "a film, or a picture of another kind (AVIF, CR3)"
    return f"it is {what}" if what else "it begins as none of them does"


def check_head(file: BufferedIOBase, name: str) -> None:
    """Refuse a file whose head is damaged or too long to be walked; its position is kept.

    Raises:
        UnreadableImage: see above; `name` stands for it.
    """
    head = file.read(32)
    size = file.seek(0, os.SEEK_END)
    try:
        match kind_of(head):
            case "PNG":
                _walk_png(file, size)
            case "JPEG":
                _walk_jpeg(file, size)
            case "TIFF":
                _walk_tiff(file)
            case "WEBP":
                check_pixels(*_webp_size(head), size)
    except UnreadableImage as error:
        raise UnreadableImage(f"{name}: {error}") from error
    finally:
        file.seek(0)


def check_pixels(width: int, height: int, size: int) -> None:
    """Refuse a picture by its sides and the bytes it has; the sentence lacks the file's name.

    Raises:
        UnreadableImage: a side of more than MAX_SIDE, more than MAX_PIXELS, or more pixels than so many bytes, or
            bytes than so many pixels, can hold.
    """
    pixels = width * height
    if max(width, height) > MAX_SIDE:
        raise UnreadableImage(f"{width} x {height} px: a side of more than {MAX_SIDE:,} px is not read: crop it first")
    if pixels > MAX_PIXELS:
        raise UnreadableImage(
            f"{width} x {height} is {pixels / 1e6:.0f} Mpx, the limit is {MAX_PIXELS / 1e6:.0f} Mpx: "
            "make it smaller first"
        )
    if pixels > max(LARGE_PIXELS, _DENSEST * size):
        raise UnreadableImage(
            f"{width} x {height} px in {size:,} bytes: no photo is packed so densely ({_DENSEST:,} pixels a byte is "
            "the limit of large ones)"
        )
    if size > _APPENDED_BYTES + _PIXEL_BYTES * pixels:
        raise UnreadableImage(f"{size / 1e6:,.0f} MB for {width} x {height} px: most of the file is no image")


def check_scans(content: bytes, width: int, height: int) -> None:
    """Refuse a JPEG of too many scans; the sentence lacks the file's name.

    Raises:
        UnreadableImage: more than MAX_SCANS, or so many more than usual that they pass over too many pixels.
    """
    if content.count(b"\xff\xda") <= _USUAL_SCANS:  # those of thumbnails, too
        return
    scans = _count_scans(content)
    if scans > MAX_SCANS or (scans - _USUAL_SCANS) * width * height > _MORE_SCANNED:
        more = "more than " * (scans > _COUNTED)
        raise UnreadableImage(
            f"a JPEG of {more}{scans} scans of {width} x {height} px, about 10 are usual: each is a pass over the "
            "whole picture; save it again"
        )


def check_exif(block: object) -> None:
    """Refuse an EXIF block so large that its values are not worth their memory.

    Raises:
        UnreadableImage: more than 1 MiB.
    """
    if isinstance(block, bytes) and len(block) > _EXIF_BYTES:
        raise UnreadableImage(f"of {len(block):,} bytes, the limit is {_EXIF_BYTES:,}")


def check_tiles(width: int, height: int, tile: tuple[object, object]) -> None:
    """Refuse a TIFF whose tiles, of (width, length) as its tags say, are much larger than its picture.

    Raises:
        UnreadableImage: see above; the sentence lacks the file's name.
    """
    if all(isinstance(side, int) for side in tile):
        across, down = (int(str(side)) for side in tile)
        if across * down > width * height + _TILE_SLACK:
            raise UnreadableImage(f"{width} x {height} px in a TIFF tile of {across} x {down} px: write it anew")


def _count_scans(content: bytes) -> int:
    """Count a JPEG's scans up to the end of its first picture, as libjpeg meets them, until there are too many."""
    scans, at = 0, 2
    while scans <= _COUNTED and (found := _MARKER.search(content, at)):
        marker, at = content[found.end() - 1], found.end()
        if marker == _EOI:
            break
        scans += marker == _SOS
        if marker not in _ALONE:
            at += int.from_bytes(content[at : at + 2], "big")
    return scans


def _walk_png(file: BufferedIOBase, size: int) -> None:
    file.seek(8)
    for _ in range(_pieces(size)):
        head = file.read(8)
        if len(head) < 8 or head[4:] == b"IEND":
            return
        file.seek(int.from_bytes(head[:4], "big") + 4, os.SEEK_CUR)  # 4: the checksum
    raise UnreadableImage(f"a PNG of more than {_pieces(size):,} chunks in {size:,} bytes: save it again")


def _walk_jpeg(file: BufferedIOBase, size: int) -> None:
    """Walk the segments before the first scan."""
    file.seek(2)
    junk = 0
    for _ in range(_pieces(size)):
        head = file.read(2)
        while len(head) == 2 and (head[0] != 0xFF or head[1] in (0, 0xFF)):
            head = head[1:] + file.read(1)
            junk += 1
            if junk > _JUNK_BYTES:
                raise UnreadableImage("damaged: what stands between its first segments is no JPEG")
        if len(head) < 2 or head[1] == _SOS:
            return
        if head[1] not in _ALONE:
            file.seek(max(int.from_bytes(file.read(2), "big") - 2, 0), os.SEEK_CUR)
    raise UnreadableImage(f"a JPEG of more than {_pieces(size):,} segments in {size:,} bytes: save it again")


def _pieces(size: int) -> int:
    return _PIECES + size // _PIECE_BYTES


def _walk_tiff(file: BufferedIOBase) -> None:
    """Look at the tags of a TIFF's first directory, and of those for EXIF and GPS below it."""
    file.seek(0)
    head = file.read(16)
    order = "<" if head[:2] == b"II" else ">"
    big = head[2:4] in (b"+\0", b"\0+")
    try:
        waiting = list(struct.unpack(f"{order}Q" if big else f"{order}I", head[8:16] if big else head[4:8]))
        for _ in range(1 + len(_SUB_IFDS)):
            if waiting:
                waiting += _sub_directories(file, waiting.pop(), order, big)
    except (struct.error, OSError, OverflowError):
        return  # it ends here, or points beyond its end: so do those who read it


def _sub_directories(file: BufferedIOBase, at: int, order: str, big: bool) -> list[int]:
    file.seek(at)
    (count,) = struct.unpack(f"{order}Q" if big else f"{order}H", file.read(8 if big else 2))
    if count > _TAG_ENTRIES:
        raise UnreadableImage(f"a TIFF of {count:,} tags, the limit is {_TAG_ENTRIES:,}")
    below: list[int] = []
    for _ in range(count):
        entry = file.read(20 if big else 12)
        tag, kind, values = struct.unpack_from(f"{order}HHQ" if big else f"{order}HHI", entry)
        if kind in _ARRAYS and values > _TAG_VALUES:
            raise UnreadableImage(f"a TIFF tag of {values:,} values, the limit is {_TAG_VALUES:,}")
        if tag in _SUB_IFDS and kind in (4, 13, 16, 18) and values == 1:
            below += struct.unpack_from(f"{order}Q" if big else f"{order}I", entry, 12 if big else 8)
    return below


def _webp_size(head: bytes) -> tuple[int, int]:
    """Return width and height of a WebP's canvas (RFC 9649), for which its decoder makes room at once."""
    kind, body = head[12:16], head[20:32]
    if kind == b"VP8X":
        return 1 + int.from_bytes(body[4:7], "little"), 1 + int.from_bytes(body[7:10], "little")
    if kind == b"VP8L":
        bits = int.from_bytes(body[1:5], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 ":
        return int.from_bytes(body[6:8], "little") & 0x3FFF, int.from_bytes(body[8:10], "little") & 0x3FFF
    raise UnreadableImage("a WebP without a picture")
