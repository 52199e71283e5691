"""Houses along the streets: frontages, heights, roofs, facades, gardens, car parks."""

from enum import IntEnum
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64

from aenet.data.city import palette
from aenet.data.city.noise import Rng
from aenet.data.city.roads import Network, Road, RoadKind
from aenet.data.city.zones import Use, Zones, polygon_mask


class Roof(IntEnum):
    """Shape of a roof; ridges run along the longer side."""

    FLAT = 0
    GABLE = 1
    HIP = 2
    SPIRE = 3


# One row per rectangle: centre, direction of its front (radians), half length along it, half depth, eaves and ridge
# above ground, storey height, window pitch/width/height shares, facade style, garden flag.
BUILDING = np.dtype(
    [
        ("x", "f4"), ("y", "f4"), ("angle", "f4"), ("half_u", "f4"), ("half_v", "f4"), ("eaves", "f4"), ("ridge", "f4"),
        ("storey", "f4"), ("pitch", "f4"), ("window_w", "f4"), ("window_h", "f4"), ("style", "i4"), ("roof", "i4"),
        ("facade", "f4", 3), ("trim", "f4", 3), ("roof_rgb", "f4", 3), ("base", "f4"), ("use", "i4"), ("seed", "i4"),
    ]
)  # fmt: skip


class Style(NamedTuple):
    """Ranges a land use draws its houses from; metres."""

    front: tuple[float, float]
    depth: tuple[float, float]
    setback: tuple[float, float]
    gap: tuple[float, float]
    joined: float  # chance that the next house touches this one
    storeys: tuple[int, int]
    storey: tuple[float, float]
    roofs: tuple[float, float, float]  # flat, gable, hip
    wing: float
    present: float


STYLES = {
    Use.CENTRE: Style((9, 22), (11, 15), (0.3, 1.0), (2, 6), 0.88, (3, 6), (3.1, 3.6), (0.4, 0.4, 0.2), 0.35, 0.96),
    Use.PLAZA: Style((14, 30), (12, 18), (8, 14), (12, 30), 0.0, (3, 5), (3.6, 4.2), (0.3, 0.3, 0.4), 0.2, 0.25),
    Use.URBAN: Style((13, 36), (11, 15), (2.5, 6), (4, 10), 0.3, (2, 5), (2.8, 3.3), (0.55, 0.25, 0.2), 0.35, 0.88),
    Use.SUBURB: Style((8, 14), (7.5, 11), (4, 9), (4.5, 11), 0.12, (1, 2), (2.7, 3.1), (0.1, 0.62, 0.28), 0.4, 0.9),
    Use.INDUSTRY: Style((24, 62), (18, 40), (8, 16), (8, 18), 0.0, (1, 2), (4.2, 6.0), (0.72, 0.28, 0.0), 0.3, 0.85),
    Use.FIELD: Style((9, 22), (8, 13), (8, 22), (50, 120), 0.0, (1, 2), (2.8, 3.4), (0.0, 0.7, 0.3), 0.7, 0.25),
    Use.MEADOW: Style((8, 14), (8, 11), (8, 18), (40, 110), 0.0, (1, 2), (2.8, 3.2), (0.05, 0.65, 0.3), 0.5, 0.25),
}


class Lot(NamedTuple):
    """The ground that belongs to a house: its rectangle and the house's index."""

    corners: Float64[np.ndarray, "4 2"]
    building: int
    side: int  # +1 or -1: which side of its street


class CarPark(NamedTuple):
    """A marked car park."""

    x: float
    y: float
    angle: float
    half_u: float
    half_v: float


class Built(NamedTuple):
    """Everything built, and where nothing more can be."""

    houses: np.ndarray
    lots: list[Lot]
    car_parks: list[CarPark]
    taken: Bool[np.ndarray, "h w"]


def rectangle(x: float, y: float, angle: float, half_u: float, half_v: float) -> Float64[np.ndarray, "4 2"]:
    """Corners of a rectangle whose u axis points along `angle`."""
    u = np.array([np.cos(angle), np.sin(angle)])
    v = np.array([-u[1], u[0]])
    signs = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]], float)
    return np.array([x, y]) + signs[:, :1] * half_u * u + signs[:, 1:] * half_v * v


class _Builder:
    """Places rectangles where nothing stands yet."""

    def __init__(self, rng: Rng, zones: Zones) -> None:
        self.rng, self.zones = rng, zones
        self.taken = zones.paved | zones.wet
        self.houses: list[tuple[object, ...]] = []
        self.lots: list[Lot] = []
        self.car_parks: list[CarPark] = []

    def free(self, x: float, y: float, angle: float, half_u: float, half_v: float, edge: float = 14.0) -> bool:
        """Whether the rectangle lies inside the town and touches nothing built."""
        # Shrunk by more than the raster's rounding, so that houses may touch each other and the pavement.
        corners = rectangle(x, y, angle, half_u - 0.8, half_v - 0.8)
        rows, cols = self.taken.shape
        if corners.min() < edge or corners[:, 0].max() > cols - edge or corners[:, 1].max() > rows - edge:
            return False
        ys, xs, mask = polygon_mask(corners, (rows, cols))
        return not bool((self.taken[ys, xs] & (mask > 0)).any())

    def claim(self, x: float, y: float, angle: float, half_u: float, half_v: float) -> None:
        """Mark the rectangle as built on."""
        ys, xs, mask = polygon_mask(rectangle(x, y, angle, half_u, half_v), self.taken.shape)  # type: ignore[arg-type]  # numpy's shape is a tuple of any length
        self.taken[ys, xs] |= mask > 0

    def house(self, x: float, y: float, angle: float, half_u: float, half_v: float, use: Use, like: int = -1) -> int:
        """Add a house, with the looks of house `like` if given; return its index."""
        rng, style = self.rng, STYLES[use]
        if like >= 0:
            old = self.houses[like]
            drop = float(old[7]) if rng.random() < 0.5 and float(old[5]) > 2 * float(old[7]) else 0.0  # type: ignore[arg-type]  # numbers kept as objects until the table is made
            eaves, ridge = float(old[5]) - drop, float(old[6]) - drop  # type: ignore[arg-type]  # as above
            row = (x, y, angle, half_u, half_v, eaves, max(eaves, ridge - 0.6), *old[7:18], int(rng.integers(1 << 30)))
        else:
            row = self._fresh(x, y, angle, half_u, half_v, use, style)
        self.houses.append(row)
        self.claim(x, y, angle, half_u, half_v)
        return len(self.houses) - 1

    def _fresh(
        self, x: float, y: float, angle: float, half_u: float, half_v: float, use: Use, style: Style
    ) -> tuple[object, ...]:
        rng = self.rng
        storey = rng.uniform(*style.storey)
        eaves = storey * int(rng.integers(style.storeys[0], style.storeys[1] + 1)) + rng.uniform(0.2, 0.7)
        roof = Roof(int(rng.choice(3, p=style.roofs)))
        low = 0.18 if use is Use.INDUSTRY else rng.uniform(0.55, 0.95)
        ridge = eaves + (0.0 if roof is Roof.FLAT else low * min(half_u, half_v))
        pool = palette.FLAT_ROOFS if roof is Roof.FLAT else palette.PITCHED_ROOFS
        if use is Use.INDUSTRY and rng.random() < 0.6:
            pool = palette.METAL_ROOFS
        tint = rng.normal(0, 4, (2, 3)) + rng.normal(0, 11, (2, 1))
        roof_rgb = np.clip(pool[rng.integers(len(pool))] + tint[0], 20, 245)
        facade = np.clip(palette.FACADES[rng.integers(len(palette.FACADES))] + tint[1], 40, 250)
        trim = palette.TRIMS[rng.integers(len(palette.TRIMS))]
        glass = (rng.uniform(1.9, 3.4), rng.uniform(0.35, 0.75), rng.uniform(0.4, 0.66))
        return (
            x, y, angle, half_u, half_v, eaves, ridge, storey, *glass, int(rng.integers(5)), int(roof),
            facade, trim, roof_rgb, 0.0, int(use), int(rng.integers(1 << 30)),
        )  # fmt: skip


def build(rng: Rng, network: Network, zones: Zones) -> Built:
    """Houses along every street, car parks and landmarks."""
    site = _Builder(rng, zones)
    _landmarks(site)
    order = sorted(range(len(network.roads)), key=lambda k: network.roads[k].kind)
    for k in order:
        for side in (-1, 1):
            _frontage(site, network.roads[k], side)
    _behind(site)
    houses = np.array(site.houses, BUILDING) if site.houses else np.zeros(0, BUILDING)
    return Built(houses, site.lots, site.car_parks, site.taken)


def _frontage(site: _Builder, road: Road, side: int) -> None:
    """Walk along one side of a road and build wherever a house fits."""
    if road.kind > RoadKind.LANE:
        return
    rng, headings, along = site.rng, road.headings(), rng_start(site.rng)
    length = 2.0 * (len(road.points) - 1)
    while along < length - 6:
        k = min(int(along / 2), len(road.points) - 1)
        normal = np.array([-np.sin(headings[k]), np.cos(headings[k])]) * side
        use = site.zones.use_at(*(road.points[k] + normal * (road.reach + 8)))
        style = STYLES.get(Use(use)) if use >= 0 else None
        if style is None or rng.random() > style.present:
            along += rng.uniform(8, 16)
            continue
        along += _try_house(site, road, k, side, Use(use), style)


def rng_start(rng: Rng) -> float:
    """How far from a road's end the first house may stand, metres."""
    return float(rng.uniform(2, 8))


def _try_house(site: _Builder, road: Road, k: int, side: int, use: Use, style: Style) -> float:
    """Try one house with its front at point k; return how far to walk on."""
    rng = site.rng
    front, depth = rng.uniform(*style.front), rng.uniform(*style.depth)
    mid = min(k + int(front / 4), len(road.points) - 1)
    angle = road.headings()[mid]
    normal = np.array([-np.sin(angle), np.cos(angle)]) * side
    setback = rng.uniform(*style.setback)
    centre = road.points[mid] + normal * (road.reach + setback + depth / 2)
    if not site.free(centre[0], centre[1], angle, front / 2, depth / 2):
        return float(rng.uniform(3, 6))
    if use is Use.INDUSTRY and rng.random() < 0.3:
        return _car_park(site, centre, angle, front)
    index = site.house(centre[0], centre[1], angle, front / 2, depth / 2, use)
    gap = 0.0 if rng.random() < style.joined else rng.uniform(*style.gap)
    if rng.random() < style.wing:
        wide, deep = rng.uniform(0.35, 0.6) * front, rng.uniform(0.5, 0.9) * depth
        shift = rng.choice([-1, 1]) * (front - wide) / 2
        at = centre + normal * ((depth + deep) / 2) + np.array([np.cos(angle), np.sin(angle)]) * shift
        if site.free(at[0], at[1], angle, wide / 2, deep / 2 - 0.8):
            site.house(at[0], at[1], angle, wide / 2, deep / 2, use, like=index)
    if use in (Use.SUBURB, Use.FIELD, Use.MEADOW, Use.URBAN):
        deep = setback + depth + rng.uniform(12, 20)
        middle = road.points[mid] + normal * (road.reach + deep / 2)
        site.lots.append(Lot(rectangle(middle[0], middle[1], angle, (front + gap) / 2, deep / 2), index, side))
    return float(front + gap + 0.3)


def _car_park(site: _Builder, centre: Float64[np.ndarray, "2"], angle: float, front: float) -> float:
    half_u, half_v = front / 2, 8.5
    site.car_parks.append(CarPark(float(centre[0]), float(centre[1]), float(angle), half_u, half_v))
    site.claim(centre[0], centre[1], angle, half_u, half_v)
    return front + 3


def _landmarks(site: _Builder) -> None:
    """A church with a spire or a tower block here and there: places one can see from afar."""
    rng, zones = site.rng, site.zones
    for block in np.flatnonzero((zones.block_area > 1500) & np.isin(zones.block_use, [Use.PLAZA, Use.PARK, Use.URBAN, Use.CENTRE])):
        chance = {Use.PLAZA: 0.5, Use.PARK: 0.1, Use.URBAN: 0.12, Use.CENTRE: 0.08}[Use(zones.block_use[block])]
        x, y = zones.block_centre[block]
        angle = rng.uniform(0, np.pi)
        if rng.random() > chance:
            continue
        if zones.block_use[block] == Use.URBAN:
            if site.free(x, y, angle, 11, 11):
                k = site.house(x, y, angle, 10, 10, Use.URBAN)
                site.houses[k] = (*site.houses[k][:5], 38.0, 38.0, *site.houses[k][7:12], int(Roof.FLAT), *site.houses[k][13:])
        elif site.free(x, y, angle, 17, 8):
            ux, uy = np.cos(angle), np.sin(angle)
            k = site.house(x + 4 * ux, y + 4 * uy, angle, 12, 6, Use.CENTRE)
            nave, name = site.houses[k], int(Roof.GABLE)
            site.houses[k] = (*nave[:5], 9.0, 15.0, 9.0, 3.2, 0.35, 0.75, 0, name, *nave[13:])
            k = site.house(x - 11 * ux, y - 11 * uy, angle, 3.2, 3.2, Use.CENTRE)
            site.houses[k] = (*nave[:0], x - 11 * ux, y - 11 * uy, angle, 3.2, 3.2, 20.0, 34.0, 9.0, 3.2, 0.3, 0.5, 0, int(Roof.SPIRE), *nave[13:])


def _behind(site: _Builder) -> None:
    """Car parks and low outbuildings inside large blocks."""
    rng, zones = site.rng, site.zones
    for block in np.flatnonzero(np.isin(zones.block_use, [Use.URBAN, Use.CENTRE, Use.INDUSTRY])):
        for _ in range(int(zones.block_area[block] / 1500)):
            x, y = zones.block_centre[block] + rng.normal(0, 0.22 * np.sqrt(zones.block_area[block]), 2)
            angle = zones.parcel_angle[block * 8] + rng.choice([0, np.pi / 2])
            if zones.use_at(x, y) != zones.block_use[block]:
                continue
            half_u = float(rng.uniform(9, 20))
            if rng.random() < 0.6 and site.free(x, y, angle, half_u + 1, 9.5):
                _car_park(site, np.array([x, y]), angle, 2 * half_u)
            elif site.free(x, y, angle, 6, 4):
                k = site.house(x, y, angle, rng.uniform(3, 5.5), 3, Use.URBAN)
                site.houses[k] = (*site.houses[k][:5], 3.0, 3.0, 3.0, *site.houses[k][8:12], int(Roof.FLAT), *site.houses[k][13:])
