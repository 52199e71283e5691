"""Land cover and streets, drawn flat: colour and kind of every square of ground."""

import cv2
import numpy as np
from jaxtyping import Float64, UInt8

from aenet.data.city import palette
from aenet.data.city.canvas import Canvas
from aenet.data.city.config import CityConfig
from aenet.data.city.cover import mottle, parcel_colours, plough
from aenet.data.city.houses import rectangle
from aenet.data.city.layers import Kind
from aenet.data.city.noise import Rng
from aenet.data.city.openspaces import draw_amenities, draw_river
from aenet.data.city.pavement import draw_car_park, draw_streets
from aenet.data.city.plan import Plan
from aenet.data.city.rasters import Rasters


def draw_ground(
    config: CityConfig, plan: Plan, rasters: Rasters
) -> tuple[UInt8[np.ndarray, "h w 3"], UInt8[np.ndarray, "h w"]]:
    """Albedo and kind of the ground, before buildings and trees; they are the rasters `albedo` and `kind`."""
    rng = np.random.default_rng([config.seed, 2])
    rows, cols = config.shape
    colours, kinds = parcel_colours(rng, plan)
    parcel = plan.zones.parcel
    albedo = rasters.new("albedo", (rows, cols, 3), np.uint8)
    cv2.resize(colours[parcel], (cols, rows), albedo, interpolation=cv2.INTER_LINEAR)
    kind = rasters.new("kind", (rows, cols), np.uint8)
    cv2.resize(kinds[parcel], (cols, rows), kind, interpolation=cv2.INTER_NEAREST)
    canvas = Canvas(albedo, kind, config.resolution_m)
    plough(rng, config, plan, canvas)
    for lot in plan.built.lots:
        _garden(rng, canvas, plan, lot.corners, lot.building)
    mottle(rng, canvas.albedo, canvas.kind, rasters)
    draw_river(canvas, plan)
    draw_amenities(canvas, plan.amenities)
    for park in plan.built.car_parks:
        draw_car_park(canvas, park)
    draw_streets(rng, canvas, plan)
    return canvas.albedo, canvas.kind


def _garden(rng: Rng, canvas: Canvas, plan: Plan, corners: Float64[np.ndarray, "4 2"], building: int) -> None:
    """A lawn of its own green, a terrace, perhaps beds, a drive or a pool."""
    kind, colour = Kind.GRASS, palette.LAWN + rng.normal(0, 4, 3) + rng.normal(0, 9)
    if rng.random() < 0.14:
        kind, colour = Kind.PAVED, palette.GRAVEL + rng.normal(0, 3, 3) + rng.normal(0, 10)
    canvas.polygon(corners, np.clip(colour, 0, 255), kind)
    house = plan.built.houses[building]
    x, y, angle = float(house["x"]), float(house["y"]), float(house["angle"])
    paving = np.clip(palette.PAVEMENT + rng.normal(0, 4, 3) + rng.normal(0, 14), 0, 255)
    terrace = rectangle(x, y, angle, float(house["half_u"]) * 0.8, float(house["half_v"]) + 2.6)
    canvas.polygon(terrace, paving, Kind.PAVED)
    middle, along = corners.mean(axis=0), corners[1] - corners[0]
    if rng.random() < 0.6:  # a drive from the street along one side
        at = rng.choice([0.1, 0.9])
        start, end = corners[0] + along * at, corners[3] + along * at
        canvas.line(np.stack([start, end])[:: 1 if rng.random() < 0.5 else -1] * [1, 1], 2.8, paving, Kind.PAVED)
    back = middle * 2 - np.array([x, y])
    if rng.random() < 0.08:
        canvas.polygon(rectangle(back[0], back[1], angle, 3.8, 2.0), [210, 208, 200], Kind.PAVED)
        canvas.polygon(rectangle(back[0], back[1], angle, 3.2, 1.5), [84, 176, 190], Kind.WATER)
    elif rng.random() < 0.35:
        canvas.polygon(
            rectangle(back[0], back[1], angle, rng.uniform(2, 4), rng.uniform(1, 2.5)), palette.SOIL, Kind.BARE
        )
