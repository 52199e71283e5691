"""Land cover and streets, drawn flat: colour and kind of every square of ground."""

import cv2
import numpy as np
from jaxtyping import Float64, UInt8

from aenet.town import noise
from aenet.town.buildings import CarPark
from aenet.town.config import TownConfig
from aenet.town.houses import rectangle
from aenet.town.layers import Painting, Rasters, Surface, in_bands
from aenet.town.noise import Rng, fractal_noise, wrapped_noise
from aenet.town.roads import Road, RoadKind
from aenet.town.townplan import Amenities, Plan, Square
from aenet.town.zones import Use

# Land cover: the colours of parcels, crops in rows, patches and grain.

COVER = {
    Use.CENTRE: (noise.SETTS, Surface.PAVED),
    Use.URBAN: (noise.LAWN, Surface.GRASS),
    Use.SUBURB: (noise.LAWN, Surface.GRASS),
    Use.INDUSTRY: (noise.GRAVEL, Surface.PAVED),
    Use.PLAZA: (noise.SETTS, Surface.PAVED),
    Use.PARK: (noise.GRASS, Surface.GRASS),
    Use.MEADOW: (noise.MEADOW, Surface.GRASS),
    Use.FIELD: (noise.CROPS[0], Surface.CROP),
    Use.WOOD: (noise.SOIL * 0.8, Surface.BARE),
    Use.ORCHARD: (noise.GRASS, Surface.GRASS),
}
BAND = 256  # rows mottled at a time


def parcel_colours(rng: Rng, plan: Plan) -> tuple[UInt8[np.ndarray, "p 3"], UInt8[np.ndarray, " p"]]:
    """A colour and a `Surface` for each parcel, by its land use."""
    uses = plan.zones.parcel_use
    base = np.stack([COVER[Use(u)][0] for u in range(len(Use))])
    kind = np.array([COVER[Use(u)][1] for u in range(len(Use))], np.uint8)
    colour = base[uses] + rng.normal(0, 3, (len(uses), 3)) + rng.normal(0, 9, (len(uses), 1))
    fields = uses == Use.FIELD
    colour[fields] = noise.CROPS[rng.integers(len(noise.CROPS), size=int(fields.sum()))]
    centre = (uses == Use.CENTRE) & (rng.random(len(uses)) < 0.4)
    colour[centre] = noise.GRASS + rng.normal(0, 8, (int(centre.sum()), 3))
    kinds = kind[uses]
    kinds[centre] = Surface.GRASS
    return np.clip(colour, 0, 255).astype(np.uint8), kinds


def plough(rng: Rng, config: TownConfig, plan: Plan, canvas: Painting) -> None:
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
            row_colour = noise.CROP_ROWS[rng.integers(len(noise.CROP_ROWS))]
            mine = inside == parcel
            wave = (0.5 + 0.5 * np.sin(across[mine] * np.float32(2 * np.pi / pitch))) * np.float32(depth)
            patch = canvas.albedo[r0:r1, c0:c1]
            patch[mine] = (patch[mine] * (1 - wave[:, None]) + row_colour * wave[:, None]).astype(np.uint8)


def mottle(rng: Rng, albedo: UInt8[np.ndarray, "h w 3"], kind: UInt8[np.ndarray, "h w"], rasters: Rasters) -> None:
    """Patches and grain, strong in grass and bare soil, weak on paving."""
    rows, cols = kind.shape
    broad = rasters.new("broad", (rows, cols), np.float32)
    cv2.resize(fractal_noise(rng, rows // 8 + 1, cols // 8 + 1, (34.0, 11.0, 4.0)), (cols, rows), broad)
    grain = wrapped_noise(rng, 1024, (0.8, 2.2, 6.0))
    gain = np.array([0.10, 0.07, 0.05, 0.035, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0], np.float32)

    def paint(top: int) -> None:
        part = slice(top, min(rows, top + BAND))
        tile = np.tile(grain[np.arange(part.start, part.stop) % 1024], (1, cols // 1024 + 1))[:, :cols]
        factor = 1 + gain[kind[part]] * (broad[part] + 0.8 * tile)
        albedo[part] = np.clip(albedo[part] * factor[..., None], 0, 255).astype(np.uint8)

    in_bands(paint, rows, BAND)
    rasters.drop("broad")


# Streets and car parks, drawn flat: pavements, kerbs, asphalt, paint.

NEAR_M = 22.0  # crossings of a road this near to it shape its paint, others do not


def draw_car_park(canvas: Painting, park: CarPark) -> None:
    """Asphalt and the lines between the bays."""
    canvas.polygon(rectangle(park.x, park.y, park.angle, park.half_u, park.half_v), noise.ASPHALT * 1.08, Surface.ROAD)
    u, v = np.array([np.cos(park.angle), np.sin(park.angle)]), np.array([-np.sin(park.angle), np.cos(park.angle)])
    middle = np.array([park.x, park.y])
    for k in np.arange(-park.half_u + 1, park.half_u - 0.9, 2.6):
        for side in (-1, 1):
            ends = np.stack(
                [middle + u * k + v * side * (park.half_v - 0.2), middle + u * k + v * side * (park.half_v - 5)]
            )
            canvas.line(ends, 0.3, noise.PAINT * 0.95)


def draw_streets(rng: Rng, canvas: Painting, plan: Plan) -> None:
    """Pavements of all roads first, then kerbs, carriageways and paint, so that crossings stay open."""
    roads = plan.network.roads
    for road in roads:
        canvas.line(road.points, 2 * road.reach, noise.PAVEMENT, Surface.PAVED)
    for x, y in plan.network.roundabouts:
        canvas.disk(x, y, 19.0, noise.PAVEMENT, Surface.PAVED)
    for road in roads:
        canvas.line(road.points, road.width + 0.7, noise.KERB, Surface.PAVED)
    for road in roads:
        shade = noise.ASPHALT * rng.uniform(0.86, 1.2) + rng.normal(0, 3, 3)
        canvas.line(road.points, road.width, np.clip(shade, 0, 255), Surface.ROAD)
    for road in roads:
        _paint(canvas, plan, road)
    for x, y in plan.network.roundabouts:
        canvas.disk(x, y, 16.0, noise.ASPHALT, Surface.ROAD)
        canvas.disk(x, y, 8.4, noise.KERB, Surface.PAVED)
        canvas.disk(x, y, 7.8, noise.GRASS, Surface.GRASS)


def _paint(canvas: Painting, plan: Plan, road: Road) -> None:
    """Centre dashes, edge lines on avenues, and zebra crossings before junctions."""
    if road.kind > RoadKind.STREET:
        return
    headings = road.headings()
    normal = np.stack([-np.sin(headings), np.cos(headings)], axis=1)
    near = np.full(len(road.points), np.inf)
    junctions = plan.network.junctions
    low, high = road.points.min(axis=0) - NEAR_M, road.points.max(axis=0) + NEAR_M
    for j in junctions[np.all((junctions >= low) & (junctions <= high), axis=1)]:
        near = np.minimum(near, np.hypot(*(road.points - j).T))
    clear = near > 15
    for k in range(0, len(road.points) - 2, 4):
        if clear[k] and clear[k + 2]:
            canvas.line(road.points[k : k + 3], 0.3, noise.PAINT)
    if road.kind is RoadKind.AVENUE:
        for side in (-1, 1):
            for a, b in _stretches(clear):
                canvas.line((road.points + side * normal * (road.width / 2 - 0.6))[a:b], 0.3, noise.PAINT)
            for k in range(0, len(road.points) - 1, 5):
                if clear[k]:
                    canvas.line((road.points + side * normal * 3.3)[k : k + 2], 0.25, noise.PAINT * 0.95)
    for a, b in _stretches(clear):
        for k in (a + 1, b - 2):
            if 0 < k < len(road.points) - 1 and near[k] < NEAR_M and b - a > 8:
                _zebra(canvas, road, k, headings[k])


def _stretches(flags: np.ndarray) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(int), [0]])))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True) if b - a > 2]


def _zebra(canvas: Painting, road: Road, k: int, heading: float) -> None:
    along, across = np.array([np.cos(heading), np.sin(heading)]), np.array([-np.sin(heading), np.cos(heading)])
    for offset in np.arange(-road.width / 2 + 0.7, road.width / 2 - 0.3, 1.1):
        middle = road.points[k] + across * offset
        canvas.line(np.stack([middle - along * 1.3, middle + along * 1.3]), 0.5, noise.PAINT)


# The river, squares, ponds, pitches and paths, drawn flat.


def draw_river(canvas: Painting, plan: Plan) -> None:
    """Banks, water, and deeper water in the middle."""
    network = plan.network
    canvas.line(network.river, network.river_width + 7, noise.BANK, Surface.GRASS)
    canvas.line(network.river, network.river_width, noise.WATER, Surface.WATER)
    canvas.line(network.river, network.river_width * 0.6, noise.WATER * 0.9, Surface.WATER)


def draw_amenities(canvas: Painting, found: Amenities) -> None:
    """Squares with bands and a fountain, ponds, pitches, paths."""
    for square in found.squares:
        _square(canvas, square)
    for line, sandy in found.paths:
        canvas.line(line, 2.2, noise.SAND if sandy else noise.SOIL * 1.1, Surface.BARE)
    for shore, water in found.ponds:
        canvas.polygon(shore, noise.SAND * 0.9, Surface.BARE)
        canvas.polygon(water, noise.WATER, Surface.WATER)
    for pitch in found.pitches:
        _pitch(canvas, *pitch)


def _square(canvas: Painting, square: Square) -> None:
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
                noise.SETTS * 0.84,
            )
    canvas.disk(square.x, square.y, 4.0, noise.KERB, Surface.PAVED)
    canvas.disk(square.x, square.y, 3.2, noise.WATER * 1.15, Surface.WATER)


def _pitch(canvas: Painting, x: float, y: float, angle: float) -> None:
    """A football pitch with its lines."""
    for k in range(8):
        stripe = rectangle(x + (k - 3.5) * 7.5 * np.cos(angle), y + (k - 3.5) * 7.5 * np.sin(angle), angle, 3.8, 20.0)
        canvas.polygon(stripe, noise.LAWN * (1.0 if k % 2 else 1.1), Surface.GRASS)
    for half_u, half_v in ((29.0, 19.0), (0.01, 19.0)):
        ring = rectangle(x, y, angle, half_u, half_v)
        canvas.line(np.concatenate([ring, ring[:1]]), 0.4, noise.PAINT)
    for end in (-1, 1):
        ring = rectangle(x + end * 24.5 * np.cos(angle), y + end * 24.5 * np.sin(angle), angle, 4.5, 9.0)
        canvas.line(np.concatenate([ring, ring[:1]]), 0.4, noise.PAINT)


def draw_ground(
    config: TownConfig, plan: Plan, rasters: Rasters
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
    canvas = Painting(albedo, kind, config.resolution_m)
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


def _garden(rng: Rng, canvas: Painting, plan: Plan, corners: Float64[np.ndarray, "4 2"], building: int) -> None:
    """A lawn of its own green, a terrace, perhaps beds, a drive or a pool."""
    kind, colour = Surface.GRASS, noise.LAWN + rng.normal(0, 4, 3) + rng.normal(0, 9)
    if rng.random() < 0.14:
        kind, colour = Surface.PAVED, noise.GRAVEL + rng.normal(0, 3, 3) + rng.normal(0, 10)
    canvas.polygon(corners, np.clip(colour, 0, 255), kind)
    house = plan.built.houses[building]
    x, y, angle = float(house["x"]), float(house["y"]), float(house["angle"])
    paving = np.clip(noise.PAVEMENT + rng.normal(0, 4, 3) + rng.normal(0, 14), 0, 255)
    terrace = rectangle(x, y, angle, float(house["half_u"]) * 0.8, float(house["half_v"]) + 2.6)
    canvas.polygon(terrace, paving, Surface.PAVED)
    middle, along = corners.mean(axis=0), corners[1] - corners[0]
    if rng.random() < 0.6:  # a drive from the street along one side
        at = rng.choice([0.1, 0.9])
        start, end = corners[0] + along * at, corners[3] + along * at
        canvas.line(np.stack([start, end])[:: 1 if rng.random() < 0.5 else -1] * [1, 1], 2.8, paving, Surface.PAVED)
    back = middle * 2 - np.array([x, y])
    if rng.random() < 0.08:
        canvas.polygon(rectangle(back[0], back[1], angle, 3.8, 2.0), [210, 208, 200], Surface.PAVED)
        canvas.polygon(rectangle(back[0], back[1], angle, 3.2, 1.5), [84, 176, 190], Surface.WATER)
    elif rng.random() < 0.35:
        canvas.polygon(
            rectangle(back[0], back[1], angle, rng.uniform(2, 4), rng.uniform(1, 2.5)), noise.SOIL, Surface.BARE
        )
