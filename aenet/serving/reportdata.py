"""What the report's script draws: photos and tiles in pixels of the backdrop, and the pictures it may show."""

import base64
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pyproj import CRS, Transformer

from aenet.cores import usable_cores
from aenet.data.views import turn_north
from aenet.errors import UnreadableImage
from aenet.geodesy import distance_m
from aenet.images import decode_bytes, encode_jpeg, resize
from aenet.serving.gallery import Gallery
from aenet.serving.pose import read_pose
from aenet.serving.summary import NEAR_M

FAR_M = 100.0  # beyond this a place is wrong rather than rough
_PHOTO_PX = (96, 384)  # largest height and width of a photo's picture
_PLAIN_PX = 1600  # width of the map where there is no backdrop


class Projection:
    """WGS84 degrees -> pixels of the backdrop (or of a plain sheet over the gallery where there is none)."""

    def __init__(self, gallery: Gallery) -> None:
        backdrop = gallery.manifest.backdrop
        west, south, east, north = gallery.manifest.coverage
        if backdrop is not None:
            self._crs = CRS.from_wkt(backdrop.crs)
            self._left, self._top = backdrop.left, backdrop.top
            self.width, self.height = float(backdrop.width_px), float(backdrop.height_px)
            self._unit = (backdrop.right - backdrop.left) / self.width
            self._unit_y = (backdrop.top - backdrop.bottom) / self.height
        else:
            middle = f"+proj=aeqd +lat_0={(south + north) / 2} +lon_0={(west + east) / 2} +datum=WGS84"
            self._crs = CRS.from_proj4(middle)
            to_sheet = Transformer.from_crs("EPSG:4326", self._crs, always_xy=True)
            xs, ys = to_sheet.transform([west, west, east, east], [south, north, south, north])
            edge = gallery.manifest.tile_size_m
            self._left, self._top = min(xs) - edge, max(ys) + edge
            self._unit = self._unit_y = (max(xs) - min(xs) + 2 * edge) / _PLAIN_PX
            self.width, self.height = float(_PLAIN_PX), (max(ys) - min(ys) + 2 * edge) / self._unit
        self._transform = Transformer.from_crs("EPSG:4326", self._crs, always_xy=True)
        self._back = Transformer.from_crs(self._crs, "EPSG:4326", always_xy=True)

    def __call__(self, latitude: np.ndarray, longitude: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return columns and rows; NaN for NaN, and for places the system cannot show."""
        x, y = (np.asarray(v) for v in self._transform.transform(longitude, latitude))
        column, row = (x - self._left) / self._unit, (self._top - y) / self._unit_y
        shown = np.isfinite(column) & np.isfinite(row)
        return np.where(shown, column, np.nan), np.where(shown, row, np.nan)

    def metres_per_pixel(self) -> float:
        """Ground metres along one pixel of the middle row."""
        x, y = self._left + self.width * self._unit / 2, self._top - self.height * self._unit_y / 2
        longitude, latitude = self._back.transform([x, x + 10 * self._unit], [y, y])
        latitude, longitude = np.asarray(latitude), np.asarray(longitude)
        return float(distance_m(latitude[:1], longitude[:1], latitude[1:], longitude[1:])[0]) / 10


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
            tile["picture"] = _uri(gallery.thumbnail(int(row)))
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
    return _uri(encode_jpeg(resize(pixels, height, width), quality=75))


def _uri(jpeg: bytes) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()
