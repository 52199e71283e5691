"""Land cover and streets, drawn flat: colour and kind of every square of ground."""

import cv2
import numpy as np
from jaxtyping import Float64, UInt8

from aenet.data.city import palette
from aenet.data.city.amenities import Amenities, Square
from aenet.data.city.canvas import Canvas
from aenet.data.city.config import CityConfig
from aenet.data.city.houses import rectangle
from aenet.data.city.layers import Kind
from aenet.data.city.noise import Rng, fractal_noise, wrapped_noise
from aenet.data.city.pavement import draw_car_park, draw_streets
from aenet.data.city.plan import Plan
from aenet.data.city.zones import Use

COVER = {
    Use.CENTRE: (palette.SETTS, Kind.PAVED),
    Use.URBAN: (palette.LAWN, Kind.GRASS),
    Use.SUBURB: (palette.LAWN, Kind.GRASS),
    Use.INDUSTRY: (palette.GRAVEL, Kind.PAVED),
    Use.PLAZA: (palette.SETTS, Kind.PAVED),
    Use.PARK: (palette.GRASS, Kind.GRASS),
    Use.MEADOW: (palette.MEADOW, Kind.GRASS),
    Use.FIELD: (palette.CROPS[0], Kind.CROP),
    Use.WOOD: (palette.SOIL * 0.8, Kind.BARE),
    Use.ORCHARD: (palette.GRASS, Kind.GRASS),
}


def draw_ground(config: CityConfig, plan: Plan) -> tuple[UInt8[np.ndarray, "h w 3"], UInt8[np.ndarray, "h w"]]:
    """Albedo and kind of the ground, before buildings and trees."""
    rng = np.random.default_rng([config.seed, 2])
    rows, cols = config.shape
    colours, kinds = _parcel_colours(rng, plan)
    parcel = plan.zones.parcel
    small = cv2.resize(colours[parcel], (cols, rows), interpolation=cv2.INTER_LINEAR)
    kind = cv2.resize(kinds[parcel], (cols, rows), interpolation=cv2.INTER_NEAREST)
    canvas = Canvas(small, kind, config.resolution_m)
    _crop_rows(rng, config, plan, canvas)
    for lot in plan.built.lots:
        _garden(rng, canvas, plan, lot.corners, lot.building)
    _mottle(rng, canvas.albedo, canvas.kind)
    _river(canvas, plan)
    _amenities(canvas, plan.amenities)
    for park in plan.built.car_parks:
        draw_car_park(canvas, park)
    draw_streets(rng, canvas, plan)
    return canvas.albedo, canvas.kind


def _parcel_colours(rng: Rng, plan: Plan) -> tuple[UInt8[np.ndarray, "p 3"], UInt8[np.ndarray, " p"]]:
    uses = plan.zones.parcel_use
    base = np.stack([COVER[Use(u)][0] for u in range(len(Use))])
    kind = np.array([COVER[Use(u)][1] for u in range(len(Use))], np.uint8)
    colour = base[uses] + rng.normal(0, 3, (len(uses), 3)) + rng.normal(0, 9, (len(uses), 1))
    fields = uses == Use.FIELD
    colour[fields] = palette.CROPS[rng.integers(len(palette.CROPS), size=int(fields.sum()))]
    centre = (uses == Use.CENTRE) & (rng.random(len(uses)) < 0.4)
    colour[centre] = palette.GRASS + rng.normal(0, 8, (int(centre.sum()), 3))
    kinds = kind[uses]
    kinds[centre] = Kind.GRASS
    return np.clip(colour, 0, 255).astype(np.uint8), kinds


def _crop_rows(rng: Rng, config: CityConfig, plan: Plan, canvas: Canvas) -> None:
    """Stripes of the second crop colour along each field's direction."""
    zones, res = plan.zones, config.resolution_m
    for block in np.flatnonzero((zones.block_use == Use.FIELD) & (zones.block_area > 400)):
        half = 1.5 * np.sqrt(zones.block_area[block]) + 40
        x0, y0 = zones.block_centre[block] - half
        r0, c0 = max(0, int(y0 / res)), max(0, int(x0 / res))
        r1, c1 = (
            min(n, int(v)) for n, v in zip(config.shape, ((y0 + 2 * half) / res, (x0 + 2 * half) / res), strict=True)
        )
        if r1 <= r0 or c1 <= c0:
            continue
        ys, xs = np.mgrid[r0:r1, c0:c1].astype(np.float32) * np.float32(res)
        inside = zones.parcel[
            ys.astype(int).clip(0, zones.parcel.shape[0] - 1), xs.astype(int).clip(0, zones.parcel.shape[1] - 1)
        ]
        angle = zones.parcel_angle[block * 8]
        across = ys * np.float32(np.cos(angle)) - xs * np.float32(np.sin(angle))
        for parcel in np.unique(inside[inside // 8 == block]):
            pitch, depth = rng.uniform(1.4, 3.6), rng.uniform(0.25, 1.0)
            row_colour = palette.CROP_ROWS[rng.integers(len(palette.CROP_ROWS))]
            mine = inside == parcel
            wave = (0.5 + 0.5 * np.sin(across[mine] * np.float32(2 * np.pi / pitch))) * np.float32(depth)
            patch = canvas.albedo[r0:r1, c0:c1]
            patch[mine] = (patch[mine] * (1 - wave[:, None]) + row_colour * wave[:, None]).astype(np.uint8)


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


def _mottle(rng: Rng, albedo: UInt8[np.ndarray, "h w 3"], kind: UInt8[np.ndarray, "h w"]) -> None:
    """Patches and grain, strong in grass and bare soil, weak on paving."""
    rows, cols = kind.shape
    broad = cv2.resize(fractal_noise(rng, rows // 8 + 1, cols // 8 + 1, (34.0, 11.0, 4.0)), (cols, rows))
    grain = wrapped_noise(rng, 1024, (0.8, 2.2, 6.0))
    gain = np.array([0.10, 0.07, 0.05, 0.035, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0], np.float32)
    for top in range(0, rows, 256):
        part = slice(top, min(rows, top + 256))
        tile = np.tile(grain[np.arange(part.start, part.stop) % 1024], (1, cols // 1024 + 1))[:, :cols]
        factor = 1 + gain[kind[part]] * (broad[part] + 0.8 * tile)
        albedo[part] = np.clip(albedo[part] * factor[..., None], 0, 255).astype(np.uint8)


def _river(canvas: Canvas, plan: Plan) -> None:
    network = plan.network
    canvas.line(network.river, network.river_width + 7, palette.BANK, Kind.GRASS)
    canvas.line(network.river, network.river_width, palette.WATER, Kind.WATER)
    canvas.line(network.river, network.river_width * 0.6, palette.WATER * 0.9, Kind.WATER)


def _amenities(canvas: Canvas, found: Amenities) -> None:
    """Squares with bands and a fountain, ponds, pitches, paths."""
    for square in found.squares:
        _square(canvas, square)
    for line, sandy in found.paths:
        canvas.line(line, 2.2, palette.SAND if sandy else palette.SOIL * 1.1, Kind.BARE)
    for shore, water in found.ponds:
        canvas.polygon(shore, palette.SAND * 0.9, Kind.BARE)
        canvas.polygon(water, palette.WATER, Kind.WATER)
    for pitch in found.pitches:
        _pitch(canvas, *pitch)


def _square(canvas: Canvas, square: Square) -> None:
    middle = np.array([square.x, square.y])
    along, across = (
        np.array([np.cos(square.angle), np.sin(square.angle)]),
        np.array([-np.sin(square.angle), np.cos(square.angle)]),
    )
    for k in np.arange(-square.reach, square.reach + 0.1, 4.5):
        for a, b in ((along, across), (across, along)):
            canvas.line(
                np.stack([middle + a * k - b * square.reach, middle + a * k + b * square.reach]),
                0.6,
                palette.SETTS * 0.84,
            )
    canvas.disk(square.x, square.y, 4.0, palette.KERB, Kind.PAVED)
    canvas.disk(square.x, square.y, 3.2, palette.WATER * 1.15, Kind.WATER)


def _pitch(canvas: Canvas, x: float, y: float, angle: float) -> None:
    """A football pitch with its lines."""
    for k in range(8):
        stripe = rectangle(x + (k - 3.5) * 7.5 * np.cos(angle), y + (k - 3.5) * 7.5 * np.sin(angle), angle, 3.8, 20.0)
        canvas.polygon(stripe, palette.LAWN * (1.0 if k % 2 else 1.1), Kind.GRASS)
    for half_u, half_v in ((29.0, 19.0), (0.01, 19.0)):
        ring = rectangle(x, y, angle, half_u, half_v)
        canvas.line(np.concatenate([ring, ring[:1]]), 0.4, palette.PAINT)
    for end in (-1, 1):
        ring = rectangle(x + end * 24.5 * np.cos(angle), y + end * 24.5 * np.sin(angle), angle, 4.5, 9.0)
        canvas.line(np.concatenate([ring, ring[:1]]), 0.4, palette.PAINT)
