"""The picture of a gallery's area that reports draw on."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
from pyproj import CRS, Transformer
from rasterio.transform import from_bounds
from rasterio.warp import Resampling, reproject, transform_bounds

from aenet.io.atomic import write_bytes
from aenet.io.errors import CorruptArtifact
from aenet.io.nolinks import listed_path, read_listed
from aenet.serving.galleries.manifest import BACKDROP, MANIFEST, Backdrop
from aenet.serving.maps.coordinates import onto, turn_of
from aenet.serving.maps.mosaic import Overview
from aenet.view.images import decode_bytes, encode_jpeg

MAX_PX = 2048
_JPEG = b"\xff\xd8\xff"


def write_backdrop(picture: Overview | None, folder: Path, file: str = BACKDROP) -> Backdrop | None:
    """Write a picture into a gallery; None for None."""
    if picture is None:
        return None
    content = encode_jpeg(picture.pixels, quality=85)
    write_bytes(folder / file, content)
    left, bottom, right, top = picture.edges
    height, width = picture.pixels.shape[:2]
    return Backdrop(
        file=file,
        sha256=hashlib.sha256(content).hexdigest(),
        crs=picture.crs,
        left=left,
        bottom=bottom,
        right=right,
        top=top,
        width_px=width,
        height_px=height,
    )


def extend_backdrop(
    folder: Path,
    backdrop: Backdrop | None,
    coverage: tuple[float, float, float, float],
    picture: Overview | None,
    file: str,
) -> Backdrop | None:
    """Return a backdrop that shows all of `coverage`, or None where there is none.

    Args:
        folder: the gallery.
        backdrop: its own; its file stays untouched for the manifest that names it.
        coverage: west, south, east, north of the centres in degrees.
        picture: of what came.
        file: name of the new picture, if one is needed.
    """
    if backdrop is None or shows(current := read_backdrop(folder, backdrop), coverage):
        return backdrop
    return write_backdrop(join(current, picture), folder, file) if picture is not None else None


def read_backdrop(folder: Path, backdrop: Backdrop) -> Overview:
    """Return a gallery's picture; errors as `backdrop_bytes`."""
    edges = (backdrop.left, backdrop.bottom, backdrop.right, backdrop.top)
    content = backdrop_bytes(folder, backdrop)
    return Overview(decode_bytes(content, str(folder / backdrop.file)), edges, backdrop.crs)


def backdrop_bytes(folder: Path, backdrop: Backdrop) -> bytes:
    """Return the JPEG file of a gallery's picture.

    Raises:
        CorruptArtifact: it is none of the gallery's own plain files, no JPEG, or not the one that was written.
    """
    path = listed_path(folder, backdrop.file, MANIFEST)
    content = read_listed(path)
    known = backdrop.sha256 in (None, hashlib.sha256(content).hexdigest())
    if not known or not content.startswith(_JPEG):
        raise CorruptArtifact(f"{path} is not the picture that {MANIFEST} names: build the gallery again")
    return content


def join(first: Overview, other: Overview) -> Overview:
    """Return one picture of two areas in the system of the first, which stays on top; black between them."""
    crs, turn = first.crs, turn_of(first.crs)
    edges = transform_bounds(other.crs, crs, *other.edges)
    if turn is not None:
        west, south, east, north = edges
        east += turn * (east < west)  # across 180 degrees it comes out at the other end
        middle, here = (west + east) / 2, (first.edges[0] + first.edges[2]) / 2
        move = float(onto(np.array(middle), here, turn)) - middle
        edges = west + move, south, east + move, north
    if CRS.from_wkt(other.crs).equals(CRS.from_wkt(crs)):
        other = replace(other, edges=edges)
    left, bottom = (min(first.edges[i], edges[i]) for i in (0, 1))
    right, top = (max(first.edges[i], edges[i]) for i in (2, 3))
    unit = max(right - left, top - bottom) / MAX_PX
    width, height = max(1, round((right - left) / unit)), max(1, round((top - bottom) / unit))
    pixels = np.zeros((3, height, width), np.uint8)
    for part in (other, first):
        reproject(
            np.moveaxis(part.pixels, -1, 0),
            pixels,
            src_transform=from_bounds(*part.edges, part.pixels.shape[1], part.pixels.shape[0]),
            src_crs=part.crs,
            dst_transform=from_bounds(left, bottom, right, top, width, height),
            dst_crs=crs,
            resampling=Resampling.average,
            init_dest_nodata=False,
        )
    return Overview(np.ascontiguousarray(np.moveaxis(pixels, 0, -1)), (left, bottom, right, top), first.crs)


def shows(picture: Overview, coverage: tuple[float, float, float, float]) -> bool:
    """Whether a picture shows all of west, south, east, north (WGS84 degrees)."""
    west, south, east, north = coverage
    to_picture = Transformer.from_crs(CRS.from_epsg(4326), CRS.from_wkt(picture.crs), always_xy=True)
    xs, ys = (np.array(v) for v in to_picture.transform([west, west, east, east], [south, north, south, north]))
    left, bottom, right, top = picture.edges
    xs = onto(xs, (left + right) / 2, turn_of(picture.crs))
    return bool((xs >= left).all() and (xs <= right).all() and (ys >= bottom).all() and (ys <= top).all())
