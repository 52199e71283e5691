"""Tables of a Markdown text, and what their cells promise."""

import re
from statistics import fmean, stdev

import pytest

_NUMBER = re.compile(
    r"(?P<mean>\d[\d,]*(?:\.(?P<digits>\d+))?)(?:\s*(?:±|\+/?-)\s*(?P<spread>\d+(?:\.(?P<more>\d+))?))?"
)


def row(text: str, label: str) -> list[str]:
    """Return the cells right of the one table row that begins with `label`, emphasis and links taken off."""
    found = [cells for line in text.splitlines() if (cells := _cells(line)) and cells[0].startswith(label)]
    assert len(found) == 1, f"{len(found)} table rows begin with '{label}'"
    return found[0][1:]


def rows(text: str, pattern: str) -> list[tuple[re.Match[str], list[str]]]:
    """Return every table row whose first cell matches, with the match."""
    lines = [cells for line in text.splitlines() if (cells := _cells(line))]
    return [(match, cells[1:]) for cells in lines if (match := re.match(pattern, cells[0]))]


def check(cell: str, values: list[float]) -> None:
    """Hold a cell, `12.3 +- 0.4 %` or `12.3 %`, to the mean and sample standard deviation of `values`.

    Both may be rounded to as many digits as they are written with. A spread may be left out only where it rounds to 0.
    """
    found = _NUMBER.search(cell)
    assert found is not None, f"no number in '{cell}'"
    digits = len(found["digits"] or "")
    half = 0.5 * 10**-digits + 1e-6
    assert float(found["mean"].replace(",", "")) == pytest.approx(fmean(values), abs=half)
    spread = stdev(values) if len(values) > 1 else 0.0
    if found["spread"] is None:
        assert spread < half, f"'{cell}' does not say its spread of {spread:.2f}"
    else:
        assert float(found["spread"]) == pytest.approx(spread, abs=0.5 * 10 ** -len(found["more"] or "") + 1e-6)


def _cells(line: str) -> list[str]:
    if not line.lstrip().startswith("|"):
        return []
    plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", line.replace("*", "").replace("`", ""))
    return [cell.strip() for cell in plain.strip().strip("|").split("|")]
