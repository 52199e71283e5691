"""From a configuration to the finished rasters of a town."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from aenet.data.city.aerial import render_orthophoto
from aenet.data.city.config import CityConfig
from aenet.data.city.ground import draw_ground
from aenet.data.city.layers import Layers
from aenet.data.city.light import all_shadows
from aenet.data.city.places import Chosen, choose_places
from aenet.data.city.plan import draw_plan
from aenet.data.city.rasters import Rasters
from aenet.data.city.relief import raise_relief
from aenet.data.city.traffic import find_slots, occupied


class Town(NamedTuple):
    """Everything the two views are made from; `houses` and `slots` are tables, see `buildings` and `transients`."""

    layers: Layers
    orthophoto: UInt8[np.ndarray, "h w 3"]
    houses: np.ndarray
    slots: np.ndarray
    places: Chosen


def raise_town(config: CityConfig, folder: Path | None = None) -> Town:
    """Plan, draw and light a town; with a folder its rasters are files there, for others to map.

    Raises:
        AenetError: the town is too small for its places, or the folder's disk for its rasters.
    """
    rasters = Rasters(folder)
    plan = draw_plan(config)
    albedo, kind = draw_ground(config, plan, rasters)
    relief = raise_relief(config, plan, albedo, kind, rasters)
    places = choose_places(config, plan, kind)
    shadow = all_shadows(relief.surface, relief.canopy, config.resolution_m, rasters)
    layers = Layers(relief.surface, kind, relief.ident, albedo, relief.canopy, shadow, relief.terrain)
    slots = find_slots(plan)
    cars = occupied(np.random.default_rng([config.seed, 8]), slots)
    return Town(layers, render_orthophoto(config, layers, cars, rasters), relief.houses, slots, places)
