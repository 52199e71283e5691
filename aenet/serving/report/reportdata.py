"""What the report's script draws: photos and tiles in pixels of the backdrop, and the pictures it may show."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from pyproj import CRS, Transformer

from aenet.data.distance import distance_m
from aenet.serving.galleries.gallery import Gallery
from aenet.serving.jobs.job import Job
from aenet.serving.jobs.summary import NEAR_M
from aenet.serving.maps.coordinates import onto, turn_of
from aenet.serving.report.reportpictures import Picture, choose_pictures, data_uri, draw
from aenet.serving.report.reportrows import cut

# From degrees to the pixels of a report's map.

_PLAIN_PX = 1600  # width of the map where there is no backdrop


class SheetProjection:
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
            across = 360 if west > east else 0
            middle = (south + north) / 2, (west + east + across) / 2
            self._crs = CRS.from_proj4(f"+proj=aeqd +lat_0={middle[0]} +lon_0={middle[1]} +datum=WGS84")
            to_sheet = Transformer.from_crs("EPSG:4326", self._crs, always_xy=True)
            xs, ys = to_sheet.transform([west, west, east, east], [south, north, south, north])
            edge = gallery.manifest.tile_size_m
            self._left, self._top = min(xs) - edge, max(ys) + edge
            self._unit = self._unit_y = (max(xs) - min(xs) + 2 * edge) / _PLAIN_PX
            self.width, self.height = float(_PLAIN_PX), (max(ys) - min(ys) + 2 * edge) / self._unit
        self._turn = turn_of(self._crs.to_wkt())
        self._transform = Transformer.from_crs("EPSG:4326", self._crs, always_xy=True)
        self._back = Transformer.from_crs(self._crs, "EPSG:4326", always_xy=True)

    def __call__(self, latitude: np.ndarray, longitude: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return columns and rows; NaN for NaN, and for places the system cannot show."""
        x, y = (np.asarray(v) for v in self._transform.transform(longitude, latitude))
        # A map across 180 degrees goes on beyond its system's end.
        x = onto(x, self._left + self.width * self._unit / 2, self._turn)
        column, row = (x - self._left) / self._unit, (self._top - y) / self._unit_y
        shown = np.isfinite(column) & np.isfinite(row)
        return np.where(shown, column, np.nan), np.where(shown, row, np.nan)

    def metres_per_pixel(self) -> float:
        """Ground metres along one pixel of the middle row."""
        x, y = self._left + self.width * self._unit / 2, self._top - self.height * self._unit_y / 2
        longitude, latitude = self._back.transform([x, x + 10 * self._unit], [y, y])
        latitude, longitude = np.asarray(latitude), np.asarray(longitude)
        return float(distance_m(latitude[:1], longitude[:1], latitude[1:], longitude[1:])[0]) / 10


FAR_M = 100.0  # beyond this a place is wrong rather than rough
PICTURE_BYTES = 12_000_000  # all pictures of photos and tiles together, as text in the file
_TILES = 5  # shown of a photo
# Numbers of a place that a job may leave out: column -> key in the script's data, digits.
_NUMBERS = {
    "score": ("score", 4),
    "margin": ("margin", 4),
    "error_m": ("error", 2),
    "confidence": ("confidence", 4),
    "radius_m": ("radius", 1),
    "spread_m": ("spread", 1),
    "heading_deg": ("heading", 1),
}


def report_data(rows: pd.DataFrame, photos: pd.DataFrame, gallery: Gallery, job: Job) -> tuple[dict[str, Any], int]:
    """Return the script's data, and how many photos have their pictures in it.

    Args:
        rows: places, from `reportrows.report_rows`.
        photos: the job's photo list, in the same order.
        gallery: what they were placed in.
        job: its option `thumbnails` limits the pictures, and so does `PICTURE_BYTES`.
    """
    projection = SheetProjection(gallery)
    x, y = (v.round(2) for v in projection(*(rows[name].to_numpy(float) for name in ("latitude", "longitude"))))
    truth = [rows[name].to_numpy(float) for name in ("true_latitude", "true_longitude")]
    tx, ty = (v.round(2) for v in projection(*truth))
    tiles: dict[str, int] = {}
    kinds: dict[str, int] = {}
    told = photos["heading_deg"].to_numpy(float)
    entries = []
    for at, row in enumerate(rows.to_dict("records")):
        entry = _photo(row, tiles, kinds)
        if row.get("heading_from") == "matched" and np.isfinite(told[at]):
            entry["told"] = round(float(told[at]), 1)
        entry |= _point("x", "y", x[at], y[at]) | _point("tx", "ty", tx[at], ty[at])
        entries.append(entry)
    places = pd.Index(gallery.tiles["tile_id"]).get_indexer(pd.Index(list(tiles)))
    pictures: dict[int, str] = {}
    chosen = choose_pictures(rows, job.options.thumbnails)
    drawn = draw(rows, photos, chosen, gallery.manifest.view, job.options.decoders, job.options.photos)
    shown = _show(drawn, entries, gallery, places, pictures)
    floor = gallery.manifest.floor
    data = {
        "near": NEAR_M,
        "far": FAR_M,
        "floor": floor.median if floor else None,
        "map": {
            "width": projection.width,
            "height": projection.height,
            "metres": projection.metres_per_pixel(),
            "tile": gallery.manifest.tile_size_m,
            "picture": gallery.manifest.backdrop is not None,
        },
        "kinds": list(kinds),
        "photos": entries,
        "tiles": _tiles(gallery, list(tiles), places, pictures, projection),
    }
    return data, shown


def _photo(row: Mapping[Any, Any], tiles: dict[str, int], kinds: dict[str, int]) -> dict[str, Any]:
    """One photo as the script knows it; tiles and reasons by their number in order of first mention."""
    entry: dict[str, Any] = {"name": row["photo"]}
    if row["status"] != "ok":
        entry["status"] = row["status"]
        if isinstance(row["reason"], str):
            entry |= {"reason": cut(row["reason"]), "kind": kinds.setdefault(row["kind"], len(kinds))}
    for column, (key, digits) in _NUMBERS.items():
        if (value := row.get(column)) is not None and np.isfinite(value):
            entry[key] = round(float(value), digits)
    if pd.notna(row["latitude"]):
        entry |= {"lat": round(row["latitude"], 7), "lon": round(row["longitude"], 7)}
    if isinstance(row["tiles"], list | np.ndarray) and len(row["tiles"]):
        entry["tiles"] = [tiles.setdefault(name, len(tiles)) for name in row["tiles"][:_TILES]]
        entry["scores"] = [round(float(score), 4) for score in row["scores"][:_TILES]]
    if "heading" in entry and isinstance(row.get("heading_from"), str):
        entry["from"] = row["heading_from"]
    if notes := _notes(row.get("notes")):
        entry["notes"] = notes
    return entry


def _notes(value: Any) -> str:
    if value is None or isinstance(value, float):
        return ""
    return cut(value if isinstance(value, str) else "; ".join(str(note) for note in value))


def _point(x_name: str, y_name: str, x: float, y: float) -> dict[str, float]:
    return {x_name: float(x), y_name: float(y)} if np.isfinite(x) and np.isfinite(y) else {}


def _show(
    drawn: Iterable[tuple[int, Picture | None]],
    entries: list[dict[str, Any]],
    gallery: Gallery,
    places: np.ndarray,
    pictures: dict[int, str],
) -> int:
    """Put pictures into entries, and their tiles' into `pictures`, until they have taken their share of the file."""
    shown = spent = 0
    for at, picture in drawn:
        entry = entries[at]
        new = [number for number in entry.get("tiles", ()) if number not in pictures]
        tiles = {number: data_uri(gallery.thumbnail(int(places[number]))) for number in new}
        cost = sum(map(len, tiles.values())) + (len(picture.uri) if picture else 0)
        if spent + cost > PICTURE_BYTES:
            break
        spent += cost
        shown += 1
        pictures |= tiles
        if picture:
            entry |= {"picture": picture.uri, "north": picture.north}
            if picture.width_deg < 360:
                entry["cover"] = [round(picture.start_deg, 1), round(picture.width_deg, 1)]
    return shown


def _tiles(
    gallery: Gallery, names: list[str], places: np.ndarray, pictures: dict[int, str], projection: SheetProjection
) -> list[dict[str, Any]]:
    table = gallery.tiles.iloc[places]
    x, y = projection(table["latitude"].to_numpy(), table["longitude"].to_numpy())
    tiles: list[dict[str, Any]] = [
        {"id": name, "x": round(float(x[number]), 2), "y": round(float(y[number]), 2)}
        for number, name in enumerate(names)
    ]
    for number, picture in pictures.items():
        tiles[number]["picture"] = picture
    return tiles
