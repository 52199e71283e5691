"""Tables and lists that people write, in whatever way their programs write them: the one reader of both.

Read are comma, semicolon, tab and bar between cells; UTF-8 and UTF-16; cells in quotes, and spaces after the separator.
All cells are text: `0000`, `NA` and `null` are names that files have. What cannot be read is refused by its line, and
what is not used is named.
"""

import csv
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float64

from aenet.ingest.usertext import read_text
from aenet.io.errors import AenetError
from aenet.io.plainfiles import check_plain, no_parquet

SUFFIXES = (".csv", ".tsv", ".parquet")
_SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_DIRECTIVE = re.compile(r"sep=(.)\r?\n", re.IGNORECASE)  # the first line of what Excel writes for itself
_UNITS = re.compile(r"\s*[(\[]\s*(?:deg(?:rees?)?|°|dd|wgs ?84|m|met(?:re|er)s?)\s*[)\]]\s*$", re.IGNORECASE)
_SUFFIX = re.compile(r"_(?:deg(?:rees?)?|dd|wgs_?84)$")
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_DECIMAL_COMMA = re.compile(r"([+-]?\d*),(\d+)")
_BLANK = {"", "nan", "na", "n/a", "#n/a", "null", "none"}
_NAMED = 12  # columns named in a sentence

Aliases = Mapping[str, tuple[str, ...]]
"""Our name of a column -> other names for it, in lower case, words joined by underscores."""
PATH = (
    "file", "file_name", "filename", "file_path", "filepath", "photo", "photo_path", "image", "image_path",
    "source_file", "sourcefile",
)  # fmt: skip
LATITUDE = ("lat", "gps_latitude", "gps_lat", "true_latitude", "gpslatitude")
LONGITUDE = ("lon", "lng", "long", "gps_longitude", "gps_lon", "gps_lng", "true_longitude", "gpslongitude")
HEADING = ("heading", "bearing", "compass", "azimuth")


@dataclass(frozen=True)
class UserTable:
    """A table as a person wrote it.

    Attributes:
        path: its file.
        rows: text cells as written (Parquet: of whatever type), under the names of the columns as written.
        lines: of each row the line on which it begins; of a Parquet table its number plus one, as if under a header.
        unused: columns that `named` left out.
    """

    path: Path
    rows: pd.DataFrame
    lines: tuple[int, ...]
    unused: tuple[str, ...] = ()

    def where(self, row: int) -> str:
        """Name a row of the table, counted from 0, in an error."""
        line = f" (line {self.lines[row]})" if self.lines[row] != row + 2 else ""
        return f"{self.path}, row {row + 1}{line}"

    def notices(self) -> list[str]:
        """Say which columns were not used."""
        return [f"{self.path}: columns not used: {listed(self.unused)}"] if self.unused else []

    def texts(self, column: str, what: str) -> list[str]:
        """Return a column as text.

        Raises:
            AenetError: a cell is empty; the sentence says that it must be `what`.
        """
        values = self.rows[column]
        blank = _empty(values)
        if blank.any():
            raise AenetError(f"{self.where(int(blank.argmax()))}: {column} must be {what}")
        return [str(value) for value in values]

    def numbers(self, column: str, low: float, high: float, unit: str = "degrees") -> Float64[np.ndarray, " n"]:
        """Return a column as numbers in [low, high], NaN where a cell is empty or says that nothing is known.

        Raises:
            AenetError: a cell is no number, or out of range.
        """
        values = np.empty(len(self.rows))
        for row, cell in enumerate(self.rows[column]):
            number = _number(cell)
            if number is None:
                raise AenetError(f"{self.where(row)}: {column} {str(cell)!r} is no number")
            if not (np.isnan(number) or low <= number <= high):
                limits = f"+-{high:g}" if low == -high else f"{low:g} to {high:g}"
                raise AenetError(f"{self.where(row)}: {column} {number} is outside {limits} {unit}")
            values[row] = number
        return values


def read_table(path: Path) -> UserTable:
    """Return a CSV (commas, semicolons, tabs or bars) or Parquet table.

    Raises:
        AenetError: not readable, without rows, or a row has other than the header's number of cells.
    """
    if path.suffix.lower() == ".parquet":
        check_plain(path)
        try:
            rows = pd.read_parquet(path)
        except Exception as error:  # pyarrow and pandas raise a dozen kinds for files that are no tables
            raise AenetError(f"{path} is not a readable table ({no_parquet(path)})") from error
        table = UserTable(path, rows.reset_index(drop=True), tuple(range(2, len(rows) + 2)))
    else:
        table = _parse(path, read_text(path))
    if table.rows.empty:
        raise AenetError(f"{path} has no rows")
    return table


def read_rows(path: Path, least: int) -> list[list[str]]:
    """Return the cells of a CSV table without header, in which every row has as many as the first.

    Args:
        path: its file.
        least: cells that a row must have.

    Raises:
        AenetError: not readable, without rows, or a row has another number of cells.
    """
    text = read_text(path)
    rows = list(_cells(path, text, _separator(text), 0))
    if not rows:
        raise AenetError(f"{path} has no rows")
    if (width := len(rows[0][0])) < least:
        raise AenetError(f"{path}, line {rows[0][1]} has {width} cells, {least} are needed")
    return [_row(path, cells, width, line, _separator(text), "the first row") for cells, line in rows]


def named(
    table: UserTable, aliases: Aliases, needed: tuple[str, ...], together: tuple[tuple[str, str], ...] = ()
) -> UserTable:
    """Return the table under our own column names; columns of other names are left out (`UserTable.unused`).

    Case, surrounding spaces, a unit in brackets and what joins words do not count: `Latitude (deg)` is latitude. Of
    several columns that may hold the paths the one earliest in the aliases is taken.

    Args:
        aliases: see `Aliases`.
        needed: columns that must be there.
        together: pairs of columns of which there must be both or none.

    Raises:
        AenetError: a column is missing, or two mean the same.
    """
    written = [str(column) for column in table.rows.columns]
    found: dict[str, int] = {}
    unused = []
    for at, ours in enumerate(_meanings(written, aliases)):
        if ours is None:
            unused.append(at)
        elif ours not in found:
            found[ours] = at
        elif ours == "path":
            ranks = _ranks([written[found[ours]], written[at]], aliases[ours])
            unused.append(found[ours] if ranks[1] < ranks[0] else at)
            found[ours] = at if ranks[1] < ranks[0] else found[ours]
        else:
            raise AenetError(
                f"{table.path}: the columns {written[found[ours]]!r} and {written[at]!r} both mean {ours}: remove one"
            )
    for ours in needed:
        if ours not in found:
            known_as = ", ".join((ours, *aliases[ours]))
            apart = f"; cells stand between {', '.join(_SEPARATORS.values())}" if len(written) == 1 else ""
            raise AenetError(f"{table.path} lacks a column for {ours} ({known_as}); found: {listed(written)}{apart}")
    for pair in together:
        if len(both := [ours for ours in pair if ours in found]) == 1:
            raise AenetError(f"{table.path} has {both[0]} without {next(c for c in pair if c not in both)}: add it")
    rows = table.rows.iloc[:, list(found.values())].set_axis(list(found), axis=1)
    return UserTable(table.path, rows, table.lines, tuple(written[at] for at in unused))


def check_together(table: UserTable, one: str, other: str, columns: Mapping[str, Float64[np.ndarray, " n"]]) -> None:
    """Refuse a row that says one of two numbers that mean something only together.

    Raises:
        AenetError: one of them is empty, the other not.
    """
    half = np.isnan(columns[one]) != np.isnan(columns[other])
    if half.any():
        row = int(half.argmax())
        said, empty = (one, other) if np.isnan(columns[other][row]) else (other, one)
        raise AenetError(f"{table.where(row)}: {said} without {empty}: give both, or neither")


def is_header(path: Path, aliases: Aliases) -> bool:
    """True if a text file begins as a table does: two or more columns, the path and another that is known."""
    try:
        text = read_text(path)
    except AenetError:
        return False
    cells = _header(text, _separator(text))
    known = set(_meanings(cells, aliases)) - {None}
    return "path" in known and len(known) > 1


def listed(names: pd.Index | tuple[str, ...] | list[str]) -> str:
    """The first names, in words."""
    shown = [str(name).strip() or "(unnamed)" for name in names]
    more = f", ... ({len(shown)} in all)" if len(shown) > _NAMED else ""
    return ", ".join(shown[:_NAMED]) + more if shown else "none"


def _parse(path: Path, text: str) -> UserTable:
    skipped = 0
    if directive := _DIRECTIVE.match(text):
        text, skipped = text[directive.end() :], 1
    separator = directive[1] if directive else _separator(text)
    header: list[str] = []
    rows: list[list[str]] = []
    lines: list[int] = []
    for cells, line in _cells(path, text, separator, skipped):
        if not header:
            header = _trimmed(cells, 0)
        else:
            rows.append(_row(path, cells, len(header), line, separator, "the header"))
            lines.append(line)
    return UserTable(path, pd.DataFrame(rows, columns=header, dtype=object), tuple(lines))


def _cells(path: Path, text: str, separator: str, skipped: int) -> Iterator[tuple[list[str], int]]:
    """Yield the cells of each row that has any, and the line on which it begins, after so many `skipped` ones."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True, strict=True)
    before = 0
    try:
        for cells in reader:
            line, before = before + 1 + skipped, reader.line_num
            if any(cell.strip() for cell in cells):  # spreadsheets leave empty ones
                yield cells, line
    except csv.Error as error:
        long = f"a cell of more than {csv.field_size_limit():,} characters"
        why = long if "limit" in str(error) else "a quote is not closed, or something follows a closed one"
        raise AenetError(f"{path}, line {reader.line_num + skipped} is not readable as a table ({why})") from error


def _row(path: Path, cells: list[str], width: int, line: int, separator: str, like: str) -> list[str]:
    kept = _trimmed(cells, width)
    if len(kept) != width:
        raise AenetError(
            f"{path}, line {line} has {len(kept)} cells, {like} {width}, separated by "
            f"{_SEPARATORS.get(separator, repr(separator))}: put cells that hold one in quotes, leave unknown empty"
        )
    return kept


def _trimmed(cells: list[str], width: int) -> list[str]:
    """Less empty cells beyond `width`: programs end every line with a separator."""
    while len(cells) > width and not cells[-1].strip():
        cells = cells[:-1]
    return cells


def _separator(text: str) -> str:
    """What cuts the header into most cells; a comma where nothing does."""
    return max(_SEPARATORS, key=lambda one: len(_header(text, one)))


def _header(text: str, separator: str) -> list[str]:
    """The cells of the first line, as much of it as may be one cell: longer ones are refused when rows are read."""
    first = text.lstrip().split("\n", 1)[0][: csv.field_size_limit() // 2]
    return next(csv.reader([first], delimiter=separator), [])


def _plain(name: str) -> str:
    """A column's name as it is compared."""
    return re.sub(r"[\W_]+", "_", _UNITS.sub("", name).strip().casefold()).strip("_")


def _meanings(written: list[str], aliases: Aliases) -> list[str | None]:
    """Our name of each column, None for one of another name."""
    meaning = {_plain(alias): ours for ours, names in aliases.items() for alias in (ours, *names)}
    return [meaning.get(name) or meaning.get(_SUFFIX.sub("", name)) for name in map(_plain, written)]


def _ranks(written: list[str], aliases: tuple[str, ...]) -> list[int]:
    """How early each name stands in the aliases; our own is before all."""
    return [aliases.index(name) if name in aliases else -1 for name in map(_plain, written)]


def _empty(values: pd.Series) -> np.ndarray:
    return np.array([bool(pd.isna(value)) or not str(value).strip() for value in values], bool)


def _number(cell: object) -> float | None:
    """A cell as a number, NaN where it is blank, None where it is none. A comma may stand for the point."""
    if isinstance(cell, int | float | np.number) and not isinstance(cell, bool):
        return float(cell)
    text = "" if cell is None or cell is pd.NA else str(cell).strip().replace("\u2212", "-")
    if text.lower() in _BLANK:
        return np.nan
    if comma := _DECIMAL_COMMA.fullmatch(text):
        text = f"{comma[1]}.{comma[2]}"
    return float(text) if _NUMBER.fullmatch(text) else None
