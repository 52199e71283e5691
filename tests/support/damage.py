"""Small files of our own of every kind that strangers send, and changes of their bytes: for fuzzing.

Shared by `test_fuzz_files.py`, which changes hundreds at every run of the suite, and `benchmarks/corpora.py`, which
changes thousands.
"""

import io
import random
import tarfile
import zipfile

import numpy as np
import pandas as pd
from PIL import Image

from aenet.view.images import encode_jpeg

PHOTOS = ("JPEG", "progressive", "PNG", "TIFF", "WEBP")
ARCHIVES = ("zip", "", "gz", "bz2", "xz")
ENCODINGS = ("utf-8", "utf-16", "latin-1")
PIXELS = np.random.default_rng(0).integers(0, 256, (32, 64, 3), dtype=np.uint8)
PANO = b"""<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description xmlns:GPano="http://ns.google.com/photos/1.0/panorama/" GPano:ProjectionType="equirectangular"
GPano:PoseHeadingDegrees="12" GPano:FullPanoWidthPixels="64" GPano:CroppedAreaImageWidthPixels="64"
GPano:FullPanoHeightPixels="32" GPano:CroppedAreaImageHeightPixels="32" GPano:CroppedAreaLeftPixels="0"
GPano:CroppedAreaTopPixels="0"/></rdf:RDF></x:xmpmeta>"""


def mutated(content: bytes, seed: int) -> bytes:
    """Some bytes changed, a piece cut out, doubled, or put in the place of another."""
    generator, body = random.Random(seed), bytearray(content)
    for _ in range(generator.choice((1, 2, 8, 40))):
        at = generator.randrange(len(body))
        body[at] = generator.choice(
            (0, 0x7F, 0x80, 0xFF, generator.randrange(256), body[at] ^ 1 << generator.randrange(8))
        )
    start, length = generator.randrange(len(body)), generator.choice((0, 0, 1, 4, 50, 4000))
    piece = bytes(body[start : start + length])
    match generator.randrange(4):
        case 0:
            del body[start : start + length]
        case 1:
            body[start:start] = piece * generator.choice((1, 3))
        case 2:
            body[generator.randrange(len(body)) :] = piece
        case _:
            pass
    return bytes(body)


def _exif(lens: bool = True) -> bytes:
    block = Image.Exif()
    block[0x0112], block[0x9003] = 1, "2024:05:06 07:08:09"
    block[0x8825] = {1: "N", 2: (47.0, 30.0, 1.5), 3: "E", 4: (9.0, 0.0, 0.0), 16: "M", 17: 33.0}
    if lens:
        block.get_ifd(0x8769).update({0xA405: 28, 0x920A: 4.2})
    written: bytes = block.tobytes()
    return written


def photo(format_: str) -> bytes:
    """Return a panorama with EXIF; a JPEG says that it is one, too."""
    file = io.BytesIO()
    if format_ == "JPEG":
        content = encode_jpeg(PIXELS, 90, _exif())
        packet = b"http://ns.adobe.com/xap/1.0/\0" + PANO
        return content[:2] + b"\xff\xe1" + (len(packet) + 2).to_bytes(2, "big") + packet + content[2:]
    options = {"progressive": True} if format_ == "progressive" else {}
    plain = _exif(lens=format_ in ("JPEG", "PNG"))  # a panorama with a lens is one that contradicts itself
    Image.fromarray(PIXELS).save(file, "JPEG" if options else format_, exif=plain, **options)
    return file.getvalue()


def archive(format_: str) -> bytes:
    """Return a zip, or a tar of a compression."""
    file = io.BytesIO()
    if format_ == "zip":
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
            for name in ("a/b.txt", "c.bin"):
                packed.writestr(name, name * 50)
    else:
        with tarfile.open(fileobj=file, mode=f"w:{format_}", format=tarfile.PAX_FORMAT) as tar:  # type: ignore[call-overload]  # the mode is computed
            for name in ("a/b.txt", "\u00fc" * 120, "c.bin"):
                info = tarfile.TarInfo(name)
                info.size = 50
                tar.addfile(info, io.BytesIO(name.encode()[:50].ljust(50)))
    return file.getvalue()


def table(encoding: str) -> bytes:
    """Return a CSV table of photos; in Parquet for the encoding `parquet`."""
    rows = "".join(f'"b\u00fc {n}.jpg",{n / 7},{-n / 3},{n * 30},"1,5"\n' for n in range(12))
    whole = "path,latitude,longitude,heading,note\n" + rows
    if encoding != "parquet":
        return whole.encode(encoding)
    file = io.BytesIO()
    pd.read_csv(io.StringIO(whole)).to_parquet(file)
    return file.getvalue()
