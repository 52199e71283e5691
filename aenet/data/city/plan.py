"""The town as vectors: what stands where, before anything is drawn."""

from typing import NamedTuple

import numpy as np

from aenet.data.city.amenities import Amenities, lay_amenities
from aenet.data.city.buildings import Built, build
from aenet.data.city.config import CityConfig
from aenet.data.city.plants import Plants, plant
from aenet.data.city.roads import Network, lay_roads
from aenet.data.city.zones import Zones, lay_zones


class Plan(NamedTuple):
    """Roads, blocks, buildings and plants in town metres (x East, y South)."""

    network: Network
    zones: Zones
    built: Built
    amenities: Amenities
    plants: Plants


def draw_plan(config: CityConfig) -> Plan:
    """The plan that belongs to a configuration; the same one every time."""
    rng = np.random.default_rng([config.seed, 1])
    network = lay_roads(rng, config.width_m, config.height_m)
    zones = lay_zones(rng, network, config.width_m, config.height_m)
    built = build(rng, network, zones)
    amenities = lay_amenities(rng, zones, built)
    return Plan(network, zones, built, amenities, plant(rng, network, zones, built))
