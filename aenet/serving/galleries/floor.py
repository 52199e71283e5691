"""What a grid's spacing alone costs: the error that remains when every photo gets its nearest tile."""

import math

from aenet.params import Config


class Floor(Config):
    """Distance in metres from a uniformly random place to the nearest centre of a square grid."""

    median: float
    p95: float
    max: float


def grid_floor(spacing_m: float) -> Floor:
    """Return the floor of a square grid: 0.40, 0.60 and 0.71 of its spacing."""
    return Floor(median=_quantile(0.5) * spacing_m, p95=_quantile(0.95) * spacing_m, max=math.sqrt(0.5) * spacing_m)


def share_within(distance: float) -> float:
    """Return the share of places within `distance` (in spacings) of the nearest centre.

    It is the area of a disc in the unit square around its centre: beyond half a spacing the disc loses one
    circular segment at each of the four sides.
    """
    if distance >= math.sqrt(0.5):
        return 1.0
    disc = math.pi * distance**2
    if distance <= 0.5:
        return disc
    segment = distance**2 * math.acos(0.5 / distance) - 0.5 * math.sqrt(distance**2 - 0.25)
    return disc - 4 * segment


def _quantile(share: float) -> float:
    low, high = 0.0, math.sqrt(0.5)
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if share_within(middle) < share else (low, middle)
    return high
