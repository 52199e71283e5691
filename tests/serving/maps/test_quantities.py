"""Lengths, boxes and places as people write them."""

import math

import pytest

from aenet.io.errors import AenetError
from aenet.serving.maps.quantities import parse_box, parse_metres, parse_place


@pytest.mark.parametrize(
    ("given", "metres"),
    [("70m", 70), ("70", 70), ("0.07 km", 70), ("230ft", 70.104), (" .5KM ", 500), (70, 70), (70.5, 70.5)],
)
def test_lengths(given: str | float, metres: float) -> None:
    assert parse_metres(given, "tile_size") == pytest.approx(metres)


@pytest.mark.parametrize(
    "given",
    ["0m", "-5m", "70px", "m", "", "nan", "1e3m", "5,5km", "5km5", "\u0665km", 0, -1.0, math.nan, math.inf, True],
)
def test_no_lengths(given: str | float) -> None:
    with pytest.raises(AenetError, match=r"`tile_size` .* is not a length: write a number and its unit"):
        parse_metres(given, "tile_size")


def test_a_unit_can_be_needed() -> None:
    assert parse_metres("5km", "within", unit_needed=True) == parse_metres(5000, "within", unit_needed=True) == 5000
    with pytest.raises(AenetError, match="`within` '5' is not a length"):
        parse_metres("5", "within", unit_needed=True)


@pytest.mark.parametrize("given", ["170,-20,-170,-10", (170, -20, -170, -10), [170.0, -20.0, -170.0, -10.0]])
def test_a_box_is_a_text_or_numbers(given: str | tuple[float, ...] | list[float]) -> None:
    assert parse_box(given) == (170.0, -20.0, -170.0, -10.0)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("1,2,3", "is not WEST,SOUTH,EAST,NORTH"),
        ("a,b,c,d", "is not WEST"),
        ((1, 2, 3), "is not WEST"),
        ("9.1,nan,9.2,47.6", "is not WEST"),
        ("9.1,47.7,9.2,47.6", r"south below north \(found 47.7 and 47.6\)"),
        ("3,1,2,4", r"west before east \(found 3 and 2\)"),
        ("9.1,-95,9.2,47.6", "no box on Earth"),
    ],
)
def test_what_is_no_box(given: str | tuple[float, ...], sentence: str) -> None:
    with pytest.raises(AenetError, match=f"`within_box` .*{sentence}"):
        parse_box(given)


@pytest.mark.parametrize(("given", "sentence"), [("47.66", "LAT,LON"), ("147,9", "latitude first"), ("x,y", "LAT,LON")])
def test_what_is_no_place(given: str, sentence: str) -> None:
    assert parse_place((47.66, 9.17)) == parse_place("47.66, 9.17") == (47.66, 9.17)
    with pytest.raises(AenetError, match=sentence):
        parse_place(given)
