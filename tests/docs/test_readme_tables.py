"""The reader of the README's tables refuses what is not true."""

import pytest

from tests.support.readme_tables import check, row, rows

TEXT = """
| the town | R@1 | R@5 |
|---|---:|---:|
| **AENet**, [0.2 M](a.md) | **75.0 ± 2.0 %** | 1,200 +- 3 % |
|7 epochs, 2,800 places|60%|
"""


def test_cells_are_read_whatever_their_dress() -> None:
    assert row(TEXT, "AENet, 0.2 M") == ["75.0 ± 2.0 %", "1,200 +- 3 %"]
    ((match, cells),) = rows(TEXT, r"(\d+) epochs, ([\d,]+) places")
    assert match.groups() == ("7", "2,800") and cells == ["60%"]
    with pytest.raises(AssertionError, match="0 table rows"):
        row(TEXT, "chance")


@pytest.mark.parametrize(
    "cell", ["75.0 +- 2.0 %", "75 ± 2 %", "75.0 +/- 2.0", "**75.00 +- 2.00** %"]
)  # 73, 75, 77: mean 75, sample standard deviation 2
def test_true_cells_pass(cell: str) -> None:
    check(cell, [73.0, 75.0, 77.0])


@pytest.mark.parametrize(
    "cell", ["75.1 +- 2.0 %", "75.0 +- 1.6 %", "75.0 %", "76 +- 2", "chance"]
)  # 1.6: the deviation of a whole population, not of a sample
def test_untrue_cells_do_not(cell: str) -> None:
    with pytest.raises(AssertionError):
        check(cell, [73.0, 75.0, 77.0])


def test_one_value_and_equal_values_have_no_spread() -> None:
    check("6.8 %", [6.84])
    check("1.4 %", [1.38, 1.38, 1.38])
    check("1,234.5 m", [1234.46])
    with pytest.raises(AssertionError):
        check("6.9 %", [6.84])
