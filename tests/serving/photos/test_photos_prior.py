"""Where to search: strict units, boxes across the date line, circles in geodesic metres."""

import math

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from aenet.io.errors import AenetError
from aenet.serving.search.prior import (
    Box,
    Near,
    OwnGps,
    Prior,
    allowed,
    of_photo,
    parse_prior,
)


def test_a_circle_counts_geodesic_metres() -> None:
    """A thousandth of a degree of longitude is 111.3 m at the equator and 75.1 m in Konstanz."""
    near = parse_prior(near="47.66,9.17", within="100m")
    assert isinstance(near, Near)
    assert near == Near(latitude=47.66, longitude=9.17, radius_m=100.0)
    latitudes = np.array([47.66, 47.66, 47.66, 47.6608, 47.6610, -47.66])
    longitudes = np.array([9.17, 9.1713, 9.1714, 9.17, 9.17, 9.17])
    assert allowed(near, latitudes, longitudes).tolist() == [True, True, False, True, False, False]


def test_circles_go_round_the_date_line_and_the_poles() -> None:
    fiji = Near(latitude=-17.0, longitude=179.9, radius_m=50_000.0)
    assert allowed(fiji, np.array([-17.0, -17.0]), np.array([-179.9, 179.0])).tolist() == [True, False]
    pole = Near(latitude=89.99, longitude=0.0, radius_m=5_000.0)
    assert allowed(pole, np.array([89.99, 89.9]), np.array([180.0, 180.0])).tolist() == [True, False]


def test_the_cheap_first_look_drops_nothing() -> None:
    generator = np.random.default_rng(0)
    latitudes, longitudes = generator.uniform(-90, 90, 3000), generator.uniform(-180, 180, 3000)
    from aenet.data.distance import distance_m

    for latitude in (0.0, 45.0, -89.0):
        near = Near(latitude=latitude, longitude=20.0, radius_m=4e6)
        exact = distance_m(np.full(3000, latitude), np.full(3000, 20.0), latitudes, longitudes) <= 4e6
        assert np.array_equal(allowed(near, latitudes, longitudes), exact) and 0 < exact.sum() < 3000


def test_boxes() -> None:
    box = parse_prior(within_box="9.1,47.6,9.2,47.7")
    assert isinstance(box, Box)
    assert box == Box(west=9.1, south=47.6, east=9.2, north=47.7)
    assert allowed(box, np.array([47.6, 47.65, 47.71, 47.65]), np.array([9.1, 9.15, 9.15, 9.3])).tolist() == [
        True, True, False, False,
    ]  # fmt: skip
    across = parse_prior(within_box=[170, -20, -170, -10])
    assert isinstance(across, Box)
    assert allowed(across, np.full(3, -15.0), np.array([175.0, -175.0, 0.0])).tolist() == [True, True, False]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ({"near": "47.66,9.17", "within": "5"}, "`within` '5' is not a length"),
        ({"near": "47.66,9.17", "within": "30000km"}, "no distance on Earth"),
        ({"near": "147,9"}, "latitude first"),
        ({"within": "5km"}, "`within` is the radius around `near`"),
        ({"near": "48,9", "within_box": "8,47,9,48"}, "`near` and `within_box` exclude each other"),
        ({"own_gps": "0m"}, "`own_gps` '0m' is not a length"),
    ],
)
def test_what_says_no_area(words: dict[str, str], sentence: str) -> None:
    with pytest.raises(AenetError, match=sentence):
        parse_prior(**words)


def test_each_photos_own_position() -> None:
    own = OwnGps(radius_m=300.0)
    assert of_photo(own, 47.0, 9.0) == Near(latitude=47.0, longitude=9.0, radius_m=300.0)
    box = Box(west=0.0, south=0.0, east=1.0, north=1.0)
    assert of_photo(box, math.nan, math.nan) is box
    with pytest.raises(AenetError, match="no GPS position to search around"):
        of_photo(own, math.nan, 9.0)


def test_a_prior_survives_a_jobs_record_and_refuses_nonsense() -> None:
    adapter: TypeAdapter[Near | Box | OwnGps] = TypeAdapter(Prior)
    for prior in (parse_prior(near=(1, 2)), parse_prior(within_box="0,0,1,1"), OwnGps(radius_m=5.0)):
        assert adapter.validate_json(adapter.dump_json(prior)) == prior
    with pytest.raises(ValidationError, match="not below"):
        Box(west=0.0, south=1.0, east=1.0, north=0.0)
