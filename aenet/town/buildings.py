"""Houses along the streets and landmarks: frontages, set-backs, wings, gardens, and the ground they compete for."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64

from aenet.town.houses import BUILDING, STYLES, Roof, Style, fresh_house, rectangle
from aenet.town.noise import Rng
from aenet.town.roads import Road, RoadKind, RoadNetwork
from aenet.town.zones import Use, Zones, polygon_mask

# The ground that buildings compete for: what is taken, what is free.


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


class Site:
    """Places rectangles where nothing stands yet."""

    def __init__(self, rng: Rng, zones: Zones) -> None:
        self.rng, self.zones = rng, zones
        self.taken = zones.paved | zones.wet
        self.houses: list[np.ndarray] = []
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
        ys, xs, mask = polygon_mask(rectangle(x, y, angle, half_u, half_v), self.taken.shape)
        self.taken[ys, xs] |= mask > 0

    def house(self, x: float, y: float, angle: float, half_u: float, half_v: float, use: Use) -> int:
        """Add a house with looks of its own; return its index."""
        return self.add(fresh_house(self.rng, x, y, angle, half_u, half_v, use))

    def add(self, house: np.ndarray) -> int:
        """Add a row to the table and claim its ground; return its index."""
        self.houses.append(house)
        self.claim(*(float(house[name]) for name in ("x", "y", "angle", "half_u", "half_v")))
        return len(self.houses) - 1

    def like(self, index: int, **changes: float | int) -> np.ndarray:
        """A copy of a house with some columns changed and a seed of its own."""
        house = self.houses[index].copy()
        house["seed"] = self.rng.integers(1 << 30)
        for name, value in changes.items():
            house[name] = value
        return house

    def car_park(self, x: float, y: float, angle: float, front: float) -> float:
        """Mark a car park of two rows of bays; return how far to walk on."""
        self.car_parks.append(CarPark(x, y, angle, front / 2, 8.5))
        self.claim(x, y, angle, front / 2, 8.5)
        return front + 3


# Churches, towers, squares' halls, and what stands in the yards behind the houses.

_CHANCE = {Use.PLAZA: 0.5, Use.PARK: 0.1, Use.URBAN: 0.12, Use.CENTRE: 0.08}


def raise_landmarks(site: Site) -> None:
    """A church with a spire or a tower block here and there: places one can see from afar."""
    zones = site.zones
    for block in np.flatnonzero((zones.block_area > 1500) & np.isin(zones.block_use, list(_CHANCE))):
        x, y = zones.block_centre[block]
        angle, use = float(site.rng.uniform(0, np.pi)), Use(zones.block_use[block])
        if site.rng.random() > _CHANCE[use]:
            continue
        if use is not Use.URBAN:
            _church(site, float(x), float(y), angle)
        elif site.free(x, y, angle, 11.0, 11.0):
            index = site.house(x, y, angle, 10.0, 10.0, Use.URBAN)
            site.houses[index] = site.like(index, eaves=38.0, ridge=38.0, roof=Roof.FLAT)


def _church(site: Site, x: float, y: float, angle: float) -> None:
    if not site.free(x, y, angle, 17.0, 8.0):
        return
    ux, uy = float(np.cos(angle)), float(np.sin(angle))
    nave = site.house(x + 4 * ux, y + 4 * uy, angle, 12.0, 6.0, Use.CENTRE)
    walls = {"storey": 9.0, "pitch": 3.2, "window_w": 0.35, "window_h": 0.75, "style": 0, "use": Use.PLAZA}
    site.houses[nave] = site.like(nave, eaves=9.0, ridge=15.0, roof=Roof.GABLE, **walls)
    tower = {"x": x - 11 * ux, "y": y - 11 * uy, "half_u": 3.2, "half_v": 3.2, "eaves": 20.0, "ridge": 34.0}
    site.add(site.like(nave, roof=Roof.SPIRE, **tower))


def fill_yards(site: Site) -> None:
    """Car parks and low outbuildings inside large blocks."""
    rng, zones = site.rng, site.zones
    for block in np.flatnonzero(np.isin(zones.block_use, [Use.URBAN, Use.CENTRE, Use.INDUSTRY])):
        for _ in range(int(zones.block_area[block] / 1500)):
            x, y = zones.block_centre[block] + rng.normal(0, 0.22 * np.sqrt(zones.block_area[block]), 2)
            angle = float(zones.parcel_angle[block * 8] + rng.choice([0, np.pi / 2]))
            if zones.use_at(x, y) != zones.block_use[block]:
                continue
            half_u = float(rng.uniform(9, 20))
            if rng.random() < 0.6 and site.free(x, y, angle, half_u + 1, 9.5):
                site.car_park(float(x), float(y), angle, 2 * half_u)
            elif site.free(x, y, angle, 6.0, 4.0):
                index = site.house(x, y, angle, rng.uniform(3, 5.5), 3.0, Use.URBAN)
                site.houses[index] = site.like(index, eaves=3.0, ridge=3.0, storey=3.0, roof=Roof.FLAT)


class Built(NamedTuple):
    """Everything built, and where nothing more can be."""

    houses: np.ndarray
    lots: list[Lot]
    car_parks: list[CarPark]
    taken: Bool[np.ndarray, "h w"]


def build_houses(rng: Rng, network: RoadNetwork, zones: Zones) -> Built:
    """Houses along every street, car parks and landmarks."""
    site = Site(rng, zones)
    raise_landmarks(site)
    order = sorted(range(len(network.roads)), key=lambda k: network.roads[k].kind)
    for k in order:
        for side in (-1, 1):
            _frontage(site, network.roads[k], side)
    fill_yards(site)
    houses = np.stack(site.houses) if site.houses else np.zeros(0, BUILDING)
    return Built(houses, site.lots, site.car_parks, site.taken)


def _frontage(site: Site, road: Road, side: int) -> None:
    """Walk along one side of a road and build_houses wherever a house fits."""
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


def _try_house(site: Site, road: Road, k: int, side: int, use: Use, style: Style) -> float:
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
        return site.car_park(float(centre[0]), float(centre[1]), float(angle), float(front))
    index = site.house(centre[0], centre[1], angle, front / 2, depth / 2, use)
    gap = 0.0 if rng.random() < style.joined else rng.uniform(*style.gap)
    if rng.random() < style.wing:
        wide, deep = rng.uniform(0.35, 0.6) * front, rng.uniform(0.5, 0.9) * depth
        shift = rng.choice([-1, 1]) * (front - wide) / 2
        at = centre + normal * ((depth + deep) / 2) + np.array([np.cos(angle), np.sin(angle)]) * shift
        if site.free(at[0], at[1], angle, wide / 2, deep / 2 - 0.8):
            old = site.houses[index]
            drop = float(old["storey"]) if rng.random() < 0.5 and old["eaves"] > 2 * old["storey"] else 0.0
            eaves = float(old["eaves"]) - drop
            ridge = max(eaves, float(old["ridge"]) - drop - 0.6)
            site.add(site.like(index, x=at[0], y=at[1], half_u=wide / 2, half_v=deep / 2, eaves=eaves, ridge=ridge))
    if use in (Use.SUBURB, Use.FIELD, Use.MEADOW, Use.URBAN):
        deep = setback + depth + rng.uniform(12, 20)
        middle = road.points[mid] + normal * (road.reach + deep / 2)
        site.lots.append(Lot(rectangle(middle[0], middle[1], angle, (front + gap) / 2, deep / 2), index, side))
    return float(front + gap + 0.3)
