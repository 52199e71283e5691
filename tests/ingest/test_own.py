"""A user's own table: columns by many names, mistakes by their row, and a division that keeps places apart."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from aenet.data.distance import distance_m
from aenet.data.pairs import read_pairs
from aenet.ingest.own import OwnConfig
from aenet.io.errors import AenetError
from stages.download import ingest
from stages.project import Paths
from tests.support.datasets import build_own

Change = Callable[[pd.DataFrame], pd.DataFrame]


def own(source: Path, **settings: Any) -> OwnConfig:
    return OwnConfig.model_validate({"kind": "own", "source": str(source)} | settings)


def pairs_of(project: Path, config: OwnConfig) -> tuple[pd.DataFrame, list[str]]:
    said = ingest(config, Paths(project))
    return read_pairs(Paths(project).raw / "pairs.parquet"), said


@pytest.mark.parametrize("table", ["pairs.csv", "pairs.parquet"])
def test_a_table_is_read_under_our_names_and_under_common_ones(tmp_path: Path, table: str) -> None:
    plain, said = pairs_of(tmp_path / "a", own(build_own(tmp_path / "one", table=table)))
    assert said == []
    assert plain["split"].tolist() == ["train"] * 6 + ["val"] * 3 + ["test"] * 3
    assert plain.loc[3, ["ground", "aerial", "latitude", "longitude", "heading_deg"]].tolist() == [
        "photos/003.jpg",
        "tiles/003.jpg",
        pytest.approx(50.0009),
        8.1,
        90.0,
    ]
    names = {
        "ground": "Panorama",
        "aerial": "satellite ",
        "latitude": "LAT",
        "longitude": "lng",
        "heading_deg": "heading",
    }
    other = build_own(tmp_path / "two", table=table, columns=names | {"split": "subset"})
    pd.testing.assert_frame_equal(pairs_of(tmp_path / "b", own(other))[0], plain)


def test_a_table_of_another_name_and_common_words_for_parts(tmp_path: Path) -> None:
    words = {"train": "Training", "val": "validation", "test": "testing"}
    root = build_own(tmp_path / "mine", table="list.csv", change=lambda t: t.assign(split=t["split"].map(words)))
    pairs, _ = pairs_of(tmp_path, own(root, table="list.csv"))
    assert pairs["split"].value_counts().to_dict() == {"train": 6, "val": 3, "test": 3}
    with pytest.raises(AenetError, match=r"has no pairs.parquet or pairs.csv \(found: list.csv, photos/, tiles/\)"):
        pairs_of(tmp_path / "new", own(root))
    with pytest.raises(ValidationError, match=r"is none of .csv, .tsv, .parquet"):
        own(root, table="pairs.xlsx")


def test_what_a_table_leaves_unknown_is_said(tmp_path: Path) -> None:
    root = build_own(tmp_path / "mine", change=lambda t: t[["ground", "aerial", "split"]].assign(weather="fair"))
    pairs, said = pairs_of(tmp_path, own(root))
    assert pairs[["latitude", "aerial_latitude", "heading_deg"]].isna().all(axis=None)
    assert [notice.split("pairs.csv")[1] for notice in said] == [
        ": columns not used: weather",
        " has no latitude and longitude: no errors in metres can be reported",
        " has no heading: every panorama is taken to have north in its centre column",
    ]


def _cell(column: str, value: Any) -> Change:
    return lambda t: t.astype(object).assign(**{column: [*t[column][:2], value, *t[column][3:]]})


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (_cell("latitude", "50N"), r"pairs.csv, row 3: latitude '50N' is no number"),
        (_cell("latitude", 95.0), r"latitude 95.0 is outside \+-90 degrees"),
        (_cell("ground", None), "row 3: ground must be the path of an image"),
        (_cell("split", None), "row 3: split must be one of train, val, test"),
        (_cell("split", "holdout"), r"unknown split\(s\) \['holdout'\]"),
        (
            lambda t: t.drop(columns="aerial"),
            r"lacks a column for aerial \(aerial, aerial_path, satellite.*found: ground",
        ),
        (lambda t: t.drop(columns="longitude"), "has latitude without longitude: add it"),
        (_cell("longitude", None), "row 3: latitude without longitude: give both, or neither"),
        (lambda t: t.assign(lat=1.0), "columns 'latitude' and 'lat' both mean latitude"),
        (lambda t: t[:0], "has no rows"),
    ],
)
def test_wrong_tables_are_refused_by_name_and_row(tmp_path: Path, change: Change, sentence: str) -> None:
    root = build_own(tmp_path / "mine", change=change)
    with pytest.raises(AenetError, match=sentence):
        pairs_of(tmp_path / "project", own(root))
    assert not Paths(tmp_path / "project").raw.exists()


def test_one_panorama_may_have_two_tiles_where_ids_tell_the_pairs_apart(tmp_path: Path) -> None:
    root = build_own(tmp_path / "mine", change=lambda t: t.assign(id=range(12), ground="photos/000.jpg"))
    assert pairs_of(tmp_path, own(root))[0]["pair_id"].tolist() == [str(n) for n in range(12)]


# A thousand places strewn over 2 km x 2 km.
def _strewn(table: pd.DataFrame) -> pd.DataFrame:
    rng = np.random.default_rng(5)
    latitude = 50 + rng.uniform(0, 2000, len(table)) / 111_200
    longitude = 8 + rng.uniform(0, 2000, len(table)) / 71_700
    return table.assign(latitude=latitude, longitude=longitude)


def test_without_a_split_places_held_out_lie_apart_from_those_learnt(tmp_path: Path) -> None:
    root = build_own(tmp_path / "mine", pairs=400, split=False, tile=16, panorama=(8, 16), change=_strewn)
    division = {"block_m": 400.0, "gap_m": 60.0, "val": 0.15, "test": 0.25}
    pairs, said = pairs_of(tmp_path, own(root, division=division))
    assert "has no split column: divided by seed 0 into train " in said[0]
    skipped = pd.read_csv(Paths(tmp_path).raw / "skipped.csv")
    assert len(pairs) + len(skipped) == 400
    assert set(skipped["reason"]) == {"within 60 m of a pair held out"}
    for one, other in (("train", "val"), ("train", "test"), ("val", "test")):
        a, b = (pairs[pairs["split"] == split] for split in (one, other))
        first, second = (index.ravel() for index in np.mgrid[: len(a), : len(b)])
        far = distance_m(*(t[c].to_numpy()[i] for t, i in ((a, first), (b, second)) for c in ("latitude", "longitude")))
        assert far.min() > 60
    assert (pairs["split"] == "test").sum() >= 100
    assert (pairs["split"] == "val").sum() >= 30
    assert (pairs["split"] == "train").sum() >= 100


@pytest.mark.parametrize("tile_size_m", [70.0, 176.0])
def test_no_test_tile_shares_ground_with_a_training_tile(tmp_path: Path, tile_size_m: float) -> None:
    """Tiles 30 m off their cameras, to the north and to the south in turn."""

    def moved(table: pd.DataFrame) -> pd.DataFrame:
        strewn, sign = _strewn(table), np.where(np.arange(len(table)) % 2, 1, -1)
        north = strewn["latitude"] + sign * 30 / 111_200
        return strewn.assign(aerial_latitude=north, aerial_longitude=strewn["longitude"])

    root = build_own(tmp_path / "mine", pairs=400, split=False, tile=16, panorama=(8, 16), change=moved)
    division = {"block_m": 700.0, "val": 0.15, "test": 0.25}
    pairs, said = pairs_of(tmp_path, own(root, division=division, tile_size_m=tile_size_m))
    lost = 400 - len(pairs)
    assert 0 < lost < 300 and f"{lost} pairs left out within {2**0.5 * tile_size_m:.4g} m" in said[0]
    assert not any("cannot be excluded" in notice for notice in said)
    for one, other in (("train", "val"), ("train", "test"), ("val", "test")):
        a, b = (pairs[pairs["split"] == split] for split in (one, other))
        first, second = (index.ravel() for index in np.mgrid[: len(a), : len(b)])
        names = ("aerial_latitude", "aerial_longitude")
        far = distance_m(*(t[c].to_numpy()[i] for t, i in ((a, first), (b, second)) for c in names))
        assert far.min() >= 2**0.5 * tile_size_m


def test_without_a_tile_size_shared_ground_cannot_be_excluded(tmp_path: Path) -> None:
    root = build_own(tmp_path / "mine", pairs=400, split=False, tile=16, panorama=(8, 16), change=_strewn)
    said = pairs_of(tmp_path, own(root, division={"block_m": 400.0}))[1]
    assert any("cannot be excluded; the parts' tiles are 50 m apart" in notice for notice in said)


def test_without_positions_pairs_of_one_tile_stay_in_one_part(tmp_path: Path) -> None:
    def shared(table: pd.DataFrame) -> pd.DataFrame:
        tiles = [table["aerial"][number // 2 * 2] for number in range(len(table))]
        return table[["ground"]].assign(aerial=tiles)

    pairs = pairs_of(tmp_path, own(build_own(tmp_path / "mine", pairs=20, split=False, change=shared)))[0]
    assert pairs.groupby("aerial")["split"].nunique().max() == 1


def test_the_division_depends_on_the_seed_and_not_on_the_order_of_rows(tmp_path: Path) -> None:
    def divided(name: str, change: Change, **division: Any) -> dict[str, str]:
        root = build_own(tmp_path / name, pairs=60, split=False, tile=16, panorama=(8, 16), change=change)
        pairs, _ = pairs_of(tmp_path / "project", own(root, division={"block_m": 300.0, "gap_m": 0.0} | division))
        return dict(zip(pairs["pair_id"], pairs["split"], strict=True))

    first = divided("a", _strewn)
    assert divided("b", lambda t: _strewn(t)[::-1]) == first
    assert divided("c", _strewn, seed=1) != first


def test_without_positions_the_division_says_that_it_is_pair_by_pair(tmp_path: Path) -> None:
    root = build_own(tmp_path / "mine", pairs=20, split=False, change=lambda t: t[["ground", "aerial"]])
    pairs, said = pairs_of(tmp_path, own(root))
    assert pairs["split"].value_counts().to_dict() == {"train": 14, "test": 4, "val": 2}
    assert "pair by pair, for positions are missing: places of the test part may be seen in training" in said[-1]


def test_too_few_blocks_say_what_to_change(tmp_path: Path) -> None:
    root = build_own(tmp_path / "mine", split=False)
    with pytest.raises(
        AenetError, match=r"12 pairs in . blocks divide into train .*block_m \(50000\).*or add the column"
    ):
        pairs_of(tmp_path, own(root, division={"block_m": 50_000.0}))
    with pytest.raises(ValidationError, match="leave nothing for training"):
        own(root, division={"val": 0.5, "test": 0.5})


def test_a_table_as_a_spreadsheet_writes_it(tmp_path: Path) -> None:
    """Semicolons, decimal commas, a mark, backslashes, spaces: the pairs of the plain table."""
    plain = pairs_of(tmp_path / "a", own(build_own(tmp_path / "one")))[0]
    root = build_own(tmp_path / "two")
    rows = pd.read_csv(root / "pairs.csv", dtype=str)
    for column in ("latitude", "longitude", "aerial_latitude", "aerial_longitude"):
        rows[column] = rows[column].str.replace(".", ",")
    for column in ("ground", "aerial"):
        rows[column] = " " + rows[column].str.replace("/", "\\")
    rows.rename(columns=str.upper).to_csv(root / "pairs.csv", sep=";", index=False, encoding="utf-8-sig")
    pd.testing.assert_frame_equal(pairs_of(tmp_path / "b", own(root))[0], plain)


def test_a_ragged_table_is_refused_by_its_line(tmp_path: Path) -> None:
    root = build_own(tmp_path / "mine")
    lines = (root / "pairs.csv").read_text().splitlines()
    (root / "pairs.csv").write_text("\n".join([*lines[:3], lines[3] + ",7", *lines[4:]]))
    with pytest.raises(AenetError, match=r"pairs\.csv, line 4 has 9 cells, the header 8"):
        pairs_of(tmp_path / "project", own(root))
