"""What the report's script draws: photos and tiles in pixels of the backdrop, and the pictures it may show."""

import base64
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from aenet.cores import usable_cores
from aenet.data.views import turn_north
from aenet.errors import UnreadableImage
from aenet.images import decode_bytes, encode_jpeg, resize
from aenet.serving.gallery import Gallery
from aenet.serving.pose import read_pose
from aenet.serving.projection import Projection
from aenet.serving.summary import NEAR_M

FAR_M = 100.0  # beyond this a place is wrong rather than rough
_PHOTO_PX = (96, 384)  # largest height and width of a photo's picture


def report_data(
    rows: pd.DataFrame, photos: pd.DataFrame, gallery: Gallery, limit: int, decoders: int
) -> tuple[dict[str, Any], int]:
    """Return the script's data, and how many photos have their pictures in it (at most `limit`)."""
    projection = Projection(gallery)
    columns = {"x": "latitude", "tx": "true_latitude"}
    for name, latitude in columns.items():
        longitude = latitude.replace("latitude", "longitude")
        values = (rows[latitude].to_numpy(dtype=float), rows[longitude].to_numpy(dtype=float))
        rows[name], rows[name.replace("x", "y")] = projection(*values)
    shown = _choose(rows, limit)
    rows["photo"] = _short(list(rows["photo"]))
    numbers: dict[str, int] = {}
    entries = [_photo(row, numbers) for row in rows.itertuples(index=False)]
    with ThreadPoolExecutor(decoders or usable_cores()) as pool:
        paths = [Path(os.fsdecode(photos["path"].iloc[at])) for at in shown]
        for at, picture in zip(shown, pool.map(_picture, paths), strict=True):
            if picture:
                entries[at]["picture"] = picture
    wanted = {number for at in shown for number in entries[at]["tiles"]}
    data = {
        "near": NEAR_M,
        "far": FAR_M,
        "map": {
            "width": projection.width,
            "height": projection.height,
            "metres": projection.metres_per_pixel(),
            "tile": gallery.manifest.tile_size_m,
            "picture": gallery.manifest.backdrop is not None,
        },
        "photos": entries,
        "tiles": _tiles(gallery, list(numbers), wanted, projection),
    }
    return data, len(shown)


def _short(names: list[str]) -> list[str]:
    """Drop the folders that all names share; a table may list absolute paths."""
    folders = {name.rpartition("/")[0] for name in names}
    try:
        shared = os.path.commonpath(folders)
    except ValueError:  # absolute and relative ones mixed
        return names
    return [name.removeprefix(shared).lstrip("/") for name in names] if shared else names


def _choose(rows: pd.DataFrame, limit: int) -> list[int]:
    """Return the photos to show with pictures: all, or half the worst ones and the rest spread evenly."""
    placed = np.flatnonzero(rows["status"] == "ok")
    if len(placed) <= limit:
        return [int(at) for at in placed]
    known = rows["error_m"].notna().any()
    badness = rows["error_m"].fillna(-1) if known else -rows["margin"].fillna(np.inf)
    worst = placed[np.argsort(-badness.to_numpy(dtype=float)[placed], kind="stable")[: limit // 2]]
    others = np.setdiff1d(placed, worst)
    spread = others[np.linspace(0, len(others) - 1, limit - len(worst)).round().astype(int)]
    return sorted({int(at) for at in (*worst, *spread)})


def _photo(row: Any, numbers: dict[str, int]) -> dict[str, Any]:
    """One photo as the script knows it; tiles by their number in order of first mention."""
    entry: dict[str, Any] = {"name": row.photo}
    if np.isfinite(row.tx) and np.isfinite(row.ty):
        entry |= {"tx": round(row.tx, 2), "ty": round(row.ty, 2)}
    if row.status != "ok":
        return entry | {"reason": row.reason}
    entry |= {"x": round(row.x, 2), "y": round(row.y, 2), "lat": round(row.latitude, 7), "lon": round(row.longitude, 7)}
    entry["score"] = round(float(row.score), 4)
    if pd.notna(row.margin):
        entry["margin"] = round(float(row.margin), 4)
    if pd.notna(row.error_m):
        entry["error"] = round(float(row.error_m), 2)
    entry["tiles"] = [numbers.setdefault(name, len(numbers)) for name in row.tiles[:5]]
    entry["scores"] = [round(float(score), 4) for score in row.scores[:5]]
    return entry


def _tiles(gallery: Gallery, names: list[str], pictured: set[int], projection: Projection) -> list[dict[str, Any]]:
    at = pd.Index(gallery.tiles["tile_id"]).get_indexer(pd.Index(names))
    table = gallery.tiles.iloc[at]
    x, y = projection(table["latitude"].to_numpy(), table["longitude"].to_numpy())
    tiles = []
    for number, (name, row) in enumerate(zip(names, at, strict=True)):
        tile: dict[str, Any] = {"id": name, "x": round(float(x[number]), 2), "y": round(float(y[number]), 2)}
        if number in pictured:
            tile["picture"] = data_uri(gallery.thumbnail(int(row)))
        tiles.append(tile)
    return tiles


def _picture(path: Path) -> str | None:
    """Return a small north-centred picture of a photo, or None if it is gone since."""
    try:
        content = path.read_bytes()
        pixels = turn_north(decode_bytes(content, ""), read_pose(content).heading_deg)
    except (OSError, UnreadableImage):
        return None
    scale = min(1.0, _PHOTO_PX[0] / pixels.shape[0], _PHOTO_PX[1] / pixels.shape[1])
    height, width = (max(1, round(side * scale)) for side in pixels.shape[:2])
    return data_uri(encode_jpeg(resize(pixels, height, width), quality=75))


def data_uri(jpeg: bytes) -> str:
    """Return a picture as an address that holds it."""
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()
