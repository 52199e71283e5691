"""`aenet.evaluate` on arrays: values by hand, ties, positions, and what it refuses."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import aenet
from aenet.cli import app
from aenet.data.pairs import COLUMNS, write_pairs

TILES = np.eye(4, dtype=np.float32)
# The second photo is nearer to tile 2 (0.8) than to its own, tile 1 (0.6); the others are on their tiles.
GROUND = np.array([[1, 0, 0, 0], [0, 0.6, 0.8, 0], [0, 0, 1, 0]], np.float32)


def test_recall_and_median_rank_by_hand() -> None:
    values = aenet.evaluate(GROUND, TILES, [0, 1, 2])
    assert values["recall_at_1"] == pytest.approx(200 / 3) and values["recall_at_5"] == 100
    assert (values["median_rank"], values["places"], values["chance_at_1"]) == (1, 4, 25)
    assert "median_error_m" not in values
    swapped = aenet.evaluate(GROUND, TILES.astype(np.float64), np.array([1, 2, 3]))
    assert swapped["recall_at_1"] == pytest.approx(100 / 3) and swapped["median_rank"] == 4  # ties count against it


def test_a_collapsed_model_scores_zero() -> None:
    same = np.tile(np.float32([1, 0]), (5, 1))
    assert aenet.evaluate(same, same, range(5))["recall_at_1"] == 0


def test_metres_are_those_to_the_tile_ranked_first() -> None:
    """A thousandth of a degree of latitude at the equator is 110.57 m."""
    photos, tiles = [(0.0, 9.0), (0.001, 9.0), (0.002, 9.0)], [(0.001 * row, 9.0) for row in range(4)]
    values = aenet.evaluate(GROUND, TILES, (0, 1, 2), places=(photos, tiles))
    assert values["median_error_m"] == 0 and values["p95_error_m"] == pytest.approx(0.9 * 110.574, abs=0.01)
    assert values["within_50_m"] == pytest.approx(200 / 3)


def test_a_table_of_pairs_gives_positions_and_shared_tiles(tmp_path: Path) -> None:
    rows = [
        (f"p{n}", "test", f"{n}.jpg", f"{n // 2}.jpg", 0.001 * (n // 2), 9.0, 0.001 * (n // 2), 9.0, 0.0)
        for n in range(4)
    ]
    pairs = pd.DataFrame(rows, columns=list(COLUMNS))
    shared = np.repeat(np.eye(2, dtype=np.float32), 2, axis=0)  # rows 0 and 1 show one tile, 2 and 3 another
    values = aenet.evaluate(shared, shared, pairs)
    assert (values["recall_at_1"], values["median_error_m"], values["places"]) == (100, 0, 2)
    write_pairs(tmp_path / "pairs.parquet", pairs)
    assert aenet.evaluate(shared, shared, str(tmp_path / "pairs.parquet")) == values
    assert aenet.evaluate(shared, shared, [0, 1, 2, 3])["recall_at_1"] == 0  # nobody said that tiles are shared


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ({"ground": 2 * GROUND}, "`ground`, row 0 has length 2, descriptors have 1: divide each by"),
        ({"tiles": np.eye(4, dtype=np.int64)}, "`tiles` must be descriptors"),
        ({"tiles": TILES[0]}, r"`tiles` must be descriptors.*\[4\]"),
        ({"tiles": TILES[:, :3]}, "row 3 has length 0"),
        ({"tiles": TILES * np.float32(np.nan)}, "hold NaN"),
        ({"truth": [0, 1]}, r"`truth` must name one row of `tiles` for each of 3 photos; found int64 of \[2\]"),
        ({"truth": np.array([0.0, 1.0, 2.0])}, "found float64"),
        ({"truth": [0, 1, 4]}, "right answers are rows 0 to 4, and there are 4 references"),
        ({"truth": pd.DataFrame({"ground": range(3)})}, "`truth` has 3, `ground` 3, `tiles` 4"),
        ({"places": ([(0.0, 0.0)], [(0.0, 0.0)])}, r"of 3 photos and 4 tiles; found \[1, 2\] and \[1, 2\]"),
        ({"positives_within_m": 5.0}, "`positives_within_m` needs positions"),
    ],
)
def test_what_cannot_be_evaluated_is_said(words: dict[str, Any], sentence: str) -> None:
    with pytest.raises(aenet.AenetError, match=sentence):
        aenet.evaluate(**({"ground": GROUND, "tiles": TILES, "truth": [0, 1, 2]} | words))


def test_the_command_gives_the_same(tmp_path: Path) -> None:
    for name, array in (("ground", GROUND), ("tiles", TILES), ("truth", np.array([0, 1, 2]))):
        np.save(tmp_path / f"{name}.npy", array)
    words = [word for name in ("ground", "tiles", "truth") for word in (f"--{name}", str(tmp_path / f"{name}.npy"))]
    done = CliRunner().invoke(app, ["evaluate", *words])
    assert done.exit_code == 0 and "recall_at_1                 66.67" in done.output
    with pytest.raises(aenet.AenetError, match="`truth` missing"):
        CliRunner().invoke(app, ["evaluate", *words[:4]], catch_exceptions=False)
