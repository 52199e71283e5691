"""Blocks between the streets, what each is used for, and the parcels that fields are cut into."""

from enum import IntEnum
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, Float64, Int32, UInt8

from aenet.town.noise import Rng, polyline_mask
from aenet.town.roads import RoadNetwork


class Use(IntEnum):
    """Land use of a block."""

    CENTRE = 0
    URBAN = 1
    SUBURB = 2
    INDUSTRY = 3
    PLAZA = 4
    PARK = 5
    MEADOW = 6
    FIELD = 7
    WOOD = 8
    ORCHARD = 9


# Chance of each use, in the order of `Use`, by how central the block is.
MIX = {
    "core": [0.56, 0.22, 0.0, 0.0, 0.10, 0.12, 0.0, 0.0, 0.0, 0.0],
    "inner": [0.10, 0.48, 0.20, 0.06, 0.03, 0.13, 0.0, 0.0, 0.0, 0.0],
    "outer": [0.0, 0.10, 0.56, 0.10, 0.0, 0.07, 0.04, 0.04, 0.06, 0.03],
    "edge": [0.0, 0.0, 0.30, 0.07, 0.0, 0.04, 0.13, 0.24, 0.15, 0.07],
}

BAND = 256  # rows of the one-metre raster at a time


class Zones(NamedTuple):
    """One-metre rasters and the tables they index."""

    parcel: Int32[np.ndarray, "h w"]  # index into parcel_use and parcel_angle; roads carry their nearest parcel
    block: Int32[np.ndarray, "h w"]
    paved: Bool[np.ndarray, "h w"]  # carriageway or pavement
    wet: Bool[np.ndarray, "h w"]
    parcel_use: Int32[np.ndarray, " p"]
    parcel_angle: Float64[np.ndarray, " p"]
    block_use: Int32[np.ndarray, " b"]
    block_centre: Float64[np.ndarray, "b 2"]
    block_area: Float64[np.ndarray, " b"]

    def use_at(self, x: float, y: float) -> int:
        """Land use at a point in town metres; -1 outside."""
        row, col = int(y), int(x)
        if not (0 <= row < self.block.shape[0] and 0 <= col < self.block.shape[1]):
            return -1
        return int(self.block_use[self.block[row, col]])


def lay_zones(rng: Rng, network: RoadNetwork, width_m: float, height_m: float) -> Zones:
    """Blocks from the road network; every pixel of the one-metre raster belongs to exactly one."""
    paved = polyline_mask([(r.points, 2 * r.reach) for r in network.roads], width_m, height_m)
    for x, y in network.roundabouts:
        cv2.circle(paved, (round(x), round(y)), 19, 1, -1)
    wet = polyline_mask([(network.river, network.river_width)], width_m, height_m)
    solid = ((paved | wet) > 0).astype(np.uint8)
    label = cv2.distanceTransformWithLabels(solid, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_CCOMP)[1]
    block = label.astype(np.int32, copy=False)
    area, centre = _measure(block)
    use = _choose_uses(rng, centre, area, width_m, height_m)
    parcel, parcel_use, angle = _cut_fields(rng, block, use, centre)
    return Zones(parcel, block, paved > 0, wet > 0, parcel_use, angle, use, centre, area)


def _measure(block: Int32[np.ndarray, "h w"]) -> tuple[Float64[np.ndarray, " b"], Float64[np.ndarray, "b 2"]]:
    """Area and centre of every block, in metres; the sums are whole numbers, exact in any order."""
    count = int(block.max()) + 1
    sums = np.zeros((3, count))
    cols = np.arange(block.shape[1])
    for top in range(0, len(block), BAND):
        band = block[top : top + BAND]
        rows = np.arange(top, top + len(band))
        for k, weight in enumerate((np.ones(1), cols[None], rows[:, None])):
            sums[k] += np.bincount(band.ravel(), np.broadcast_to(weight, band.shape).ravel(), count)
    area = sums[0]
    return area, (sums[1:] / np.maximum(area, 1)).T.copy()


def _choose_uses(
    rng: Rng, centre: Float64[np.ndarray, "b 2"], area: Float64[np.ndarray, " b"], width_m: float, height_m: float
) -> Int32[np.ndarray, " b"]:
    """Dense near a few centres, open towards the edges."""
    size = np.array([width_m, height_m])
    nuclei = np.array([[0.5, 0.5], [0.16, 0.3], [0.84, 0.68], [0.78, 0.2]]) + rng.normal(0, 0.03, (4, 2))
    weight, spread = np.array([1.0, 0.75, 0.75, 0.6]), np.array([0.20, 0.13, 0.13, 0.11]) * float(np.hypot(*size)) / 1.3
    gap = np.hypot(*(centre[:, None] - nuclei * size).transpose(2, 0, 1))
    density = (weight * np.exp(-0.5 * (gap / spread) ** 2)).max(axis=1) + rng.normal(0, 0.07, len(centre))
    uses = np.empty(len(centre), np.int32)
    for k, d in enumerate(density):
        ring = "core" if d > 0.74 else "inner" if d > 0.48 else "outer" if d > 0.2 else "edge"
        uses[k] = rng.choice(len(Use), p=np.array(MIX[ring]) / sum(MIX[ring]))
        if area[k] < 1200 and uses[k] in (Use.FIELD, Use.WOOD, Use.INDUSTRY, Use.ORCHARD):
            uses[k] = Use.MEADOW
        if area[k] > 16000 and uses[k] == Use.PLAZA:
            uses[k] = Use.PARK
    return uses


def _cut_fields(
    rng: Rng, block: Int32[np.ndarray, "h w"], use: Int32[np.ndarray, " b"], centre: Float64[np.ndarray, "b 2"]
) -> tuple[Int32[np.ndarray, "h w"], Int32[np.ndarray, " p"], Float64[np.ndarray, " p"]]:
    """Fields become strips of different crops; every other block is one parcel."""
    angle = rng.uniform(0, np.pi, len(use))
    pitch = np.where(use == Use.FIELD, rng.uniform(34, 80, len(use)), 1e9)
    cos, sin = np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)
    x0, y0 = centre.T.astype(np.float32)
    cols = np.arange(block.shape[1], dtype=np.float32)[None]
    parcel = np.empty_like(block)
    for top in range(0, len(block), BAND):
        band = block[top : top + BAND]
        rows = np.arange(top, top + len(band), dtype=np.float32)[:, None]
        across = (rows - y0[band]) * cos[band] - (cols - x0[band]) * sin[band]
        strip = np.clip(np.floor(across / pitch.astype(np.float32)[band]) + 4, 0, 7).astype(np.int32)
        strip[(use != Use.FIELD)[band]] = 0
        parcel[top : top + BAND] = band * 8 + strip
    return parcel, np.repeat(use, 8), np.repeat(angle, 8)


def polygon_mask(
    polygon: Float64[np.ndarray, "n 2"], shape: tuple[int, int]
) -> tuple[slice, slice, UInt8[np.ndarray, "h w"]]:
    """Rows, columns and mask of a polygon in town metres on the one-metre raster (clipped to it)."""
    low = np.maximum(np.floor(polygon.min(axis=0)).astype(int), 0)
    high = np.minimum(np.ceil(polygon.max(axis=0)).astype(int) + 1, [shape[1], shape[0]])
    size = np.maximum(high - low, 0)
    mask = np.zeros((size[1], size[0]), np.uint8)
    if mask.size:
        cv2.fillPoly(mask, [np.round((polygon - low) * 16).astype(np.int32)], 1, shift=4)
    return slice(low[1], high[1]), slice(low[0], high[0]), mask
