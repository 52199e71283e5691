"""Churches, towers, squares' halls, and what stands in the yards behind the houses."""

import numpy as np

from aenet.data.city.houses import Roof
from aenet.data.city.site import Site
from aenet.data.city.zones import Use

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
