"""The pair table: what is written is read, what is wrong is refused with the column's name."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from aenet.data.pairs import COLUMNS, read_pairs, write_pairs
from aenet.io.errors import AenetError


def table(**changes: list[object]) -> pd.DataFrame:
    rows = [
        ("a", "train", "ground/a.jpg", "aerial/a.jpg", 50.0, 8.0, 50.1, 8.1, np.nan),
        ("b", "test", "ground/b.jpg", "aerial/b.jpg", -33.9, 151.2, -33.9, 151.2, 270.0),
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS)).assign(**changes)


def test_round_trip_keeps_values_order_of_columns_and_missing_headings(tmp_path: Path) -> None:
    write_pairs(tmp_path / "p.parquet", table()[list(reversed(COLUMNS))].assign(note="dropped"))
    pairs = read_pairs(tmp_path / "p.parquet")
    pd.testing.assert_frame_equal(pairs, table())
    assert np.isnan(pairs["heading_deg"][0])


def test_positions_may_be_unknown(tmp_path: Path) -> None:
    unknown = {column: [None, None] for column in COLUMNS[4:]}
    write_pairs(tmp_path / "p.parquet", table(**unknown))
    assert read_pairs(tmp_path / "p.parquet")[list(COLUMNS[4:])].isna().all(axis=None)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"pair_id": ["a", "a"]}, "pair_id 'a' stands twice"),
        ({"pair_id": [None, "a"]}, "1 rows have no pair_id"),
        ({"split": ["train", "testing"]}, r"unknown split\(s\) \['testing'\]"),
        ({"ground": ["x.jpg", None]}, "column ground"),
        ({"aerial": ["x.jpg", ""]}, "column aerial"),
        ({"aerial": [1, 2]}, "column aerial"),
        ({"latitude": [50.0, 90.01]}, r"latitude 90.01 is outside \+-90"),
        ({"longitude": [-180.5, 0.0]}, r"longitude -180.5 is outside \+-180"),
        ({"aerial_latitude": [np.inf, 0.0]}, "aerial_latitude inf"),
        ({"heading_deg": [0.0, 3600.0]}, r"heading_deg 3600.0 is outside \+-360"),
        ({"latitude": ["north", "south"]}, "must be numbers"),
    ],
)
def test_wrong_tables_are_refused(tmp_path: Path, changes: dict[str, list[object]], sentence: str) -> None:
    with pytest.raises(AenetError, match=sentence):
        write_pairs(tmp_path / "p.parquet", table(**changes))
    assert list(tmp_path.iterdir()) == []


def test_files_that_are_no_pair_table_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "p.parquet"
    with pytest.raises(AenetError, match="run the download stage first"):
        read_pairs(path)
    path.write_bytes(b"PAR1 cut off")
    with pytest.raises(AenetError, match="not a readable Parquet table"):
        read_pairs(path)
    table().drop(columns=["aerial", "split"]).to_parquet(path)
    with pytest.raises(AenetError, match="the pair table lacks the"):
        read_pairs(path)
