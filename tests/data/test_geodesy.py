"""Distances in metres from degrees; the commonest bug of the field is feeding degrees to radians."""

import numpy as np
import pytest

from aenet.data.distance import distance_m


def one(*degrees: float) -> float:
    return float(distance_m(*(np.array([value], np.float64) for value in degrees))[0])


@pytest.mark.parametrize(
    ("degrees", "metres"),
    [
        # One degree of latitude and of longitude on WGS84, from the lengths tabulated for the ellipsoid.
        ((0, 0, 1, 0), 110_574.389),
        ((0, 0, 0, 1), 111_319.491),
        # Flinders Peak to Buninyong, the test line of Vincenty's formulae in the Australian datum manual (GRS80,
        # which differs from WGS84 by 0.1 mm in the semi-minor axis).
        ((-37.951033417, 144.424867889, -37.652821139, 143.926495528), 54_972.271),
        # A quarter meridian.
        ((0, 10, 90, 10), 10_001_965.729),
        ((50.0, 8.0, 50.0, 8.0), 0.0),
    ],
)
def test_known_lines(degrees: tuple[float, ...], metres: float) -> None:
    assert one(*degrees) == pytest.approx(metres, abs=0.002)


def test_across_the_date_line_is_near() -> None:
    assert one(10.0, 179.999, 10.0, -179.999) == pytest.approx(219.3, abs=0.5)


def test_pair_by_pair_and_symmetric() -> None:
    rng = np.random.default_rng(0)
    a, c = rng.uniform(-80, 80, (2, 50))
    b, d = rng.uniform(-180, 180, (2, 50))
    assert np.allclose(distance_m(a, b, c, d), distance_m(c, d, a, b))
    assert distance_m(a, b, c, d)[7] == one(a[7], b[7], c[7], d[7])


def test_small_distances_are_flat() -> None:
    """Within a town the ellipsoid is a plane: 3-4-5 triangle of a tenth of a second."""
    north, east = one(50, 8, 50.0003, 8), one(50, 8, 50, 8.0004)
    assert one(50, 8, 50.0003, 8.0004) == pytest.approx(np.hypot(north, east), rel=1e-5)
