"""Houses along the streets: frontages, set-backs, wings, gardens."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool

from aenet.data.city.houses import BUILDING, STYLES, Style, rectangle
from aenet.data.city.landmarks import fill_yards, raise_landmarks
from aenet.data.city.noise import Rng
from aenet.data.city.roads import Network, Road, RoadKind
from aenet.data.city.site import CarPark, Lot, Site
from aenet.data.city.zones import Use, Zones


class Built(NamedTuple):
    """Everything built, and where nothing more can be."""

    houses: np.ndarray
    lots: list[Lot]
    car_parks: list[CarPark]
    taken: Bool[np.ndarray, "h w"]


def build(rng: Rng, network: Network, zones: Zones) -> Built:
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
