"""CVUSA: the published pairs at their places, or one sentence about what this copy lacks and who has it."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from aenet.data.pairs import image_root, read_pairs
from aenet.ingest.cvusa import PUBLISHED, CvusaConfig
from aenet.io.artifacts import read_manifest
from aenet.io.errors import AenetError
from stages.download import ingest
from stages.project import Paths
from tests.support.datasets import build_cvusa, cvusa_position, make_pointers, make_tar

ASK = "mvrl.cse.wustl.edu/datasets/cvusa"


def cvusa(source: Path, **settings: Any) -> CvusaConfig:
    return CvusaConfig.model_validate({"kind": "cvusa", "source": str(source), "validation": 2} | settings)


def pairs_of(project: Path, config: CvusaConfig) -> tuple[pd.DataFrame, list[str]]:
    said = ingest(config, Paths(project))
    return read_pairs(Paths(project).raw / "pairs.parquet"), said


def fails(project: Path, config: CvusaConfig, *sentences: str) -> None:
    with pytest.raises(AenetError) as caught:
        ingest(config, Paths(project))
    for sentence in sentences:
        assert sentence in str(caught.value)
    assert not Paths(project).raw.exists()


def test_every_pair_has_its_files_its_place_and_its_split(tmp_path: Path) -> None:
    root = build_cvusa(tmp_path / "CVPR_subset", train=8, val=4)
    pairs, _ = pairs_of(tmp_path, cvusa(root))
    published_test = {row.split(",")[1] for row in (root / "splits/val-19zl.csv").read_text().split()}
    assert set(pairs["ground"][pairs["split"] == "test"]) == published_test
    assert pairs["split"].value_counts().to_dict() == {"train": 6, "test": 4, "val": 2}
    for pair in pairs.to_dict("records"):
        number = int(pair["pair_id"])
        assert pair["ground"] == f"streetview/panos/{number:07d}.jpg"
        assert pair["aerial"] == f"bingmap/19/{number:07d}.jpg"
        # Not of the row before or after: rows of all.csv count from id 1.
        assert (pair["latitude"], pair["longitude"]) == cvusa_position(number)
        assert (pair["aerial_latitude"], pair["aerial_longitude"]) == cvusa_position(number)
        assert pair["heading_deg"] == 0
    protocol = read_manifest(Paths(tmp_path).raw).meta["protocol"]
    assert protocol["correct"] == ["identity"]
    assert protocol["published"] == PUBLISHED == {"train": 35532, "test": 8884}


def test_validation_pairs_depend_on_the_seed_alone(tmp_path: Path) -> None:
    root = build_cvusa(tmp_path / "CVPR_subset", train=40, val=4)

    def chosen(**settings: Any) -> set[str]:
        pairs, _ = pairs_of(tmp_path, cvusa(root, validation=10, **settings))
        return set(pairs["pair_id"][pairs["split"] == "val"])

    first = chosen()
    assert len(first) == 10
    assert chosen(seed=1) != first
    table = root / "splits/train-19zl.csv"
    table.write_text("".join(reversed(table.read_text().splitlines(keepends=True))))
    (root / "bingmap/19" / f"{sorted(first)[0]}.jpg").unlink()
    assert chosen() == first - {sorted(first)[0]}, "another order or a lost file must not move pairs between splits"
    fails(
        tmp_path / "new", cvusa(root, validation=40), "download.validation holds 40 pairs out of a training part of 40"
    )


def test_counts_and_pixel_sizes_are_held_against_the_published_ones(tmp_path: Path) -> None:
    root = build_cvusa(tmp_path / "CVPR_subset", train=6, val=2, full_size=2)
    said = pairs_of(tmp_path, cvusa(root))[1]
    assert "CVUSA's training part lists 6 pairs, published are 35532" in said
    assert "CVUSA's test part lists 2 pairs, published are 8884" in said
    assert "6 of 8 ground images are resized: most to 154 x 28 px, published are 1232 x 224" in said
    assert "6 of 8 aerial images are resized: most to 75 x 75 px, published are 750 x 750" in said
    fails(tmp_path / "strict", cvusa(root, strict=True), "download.strict is set", "lists 6 pairs, published are 35532")
    assert said == read_manifest(Paths(tmp_path).raw).meta["notices"]


def test_panoramas_of_another_shape_are_left_out(tmp_path: Path) -> None:
    root = build_cvusa(tmp_path / "CVPR_subset", panorama=(77, 154))
    fails(tmp_path, cvusa(root), "12 of 12 pairs cannot be used", "154 x 77 px is not the shape of 1232 x 224", ASK)


def test_unknown_positions_are_said_and_nothing_else_is_lost(tmp_path: Path) -> None:
    root = build_cvusa(tmp_path / "CVPR_subset", locations=False)
    pairs, said = pairs_of(tmp_path, cvusa(root))
    assert pairs[["latitude", "longitude", "aerial_latitude", "aerial_longitude"]].isna().all(axis=None)
    assert any("no split_locations/all.csv: positions are unknown" in notice for notice in said)


def test_a_short_table_of_positions_is_said(tmp_path: Path) -> None:
    root = build_cvusa(tmp_path / "CVPR_subset", train=8, val=4)
    table = root / "split_locations/all.csv"
    table.write_text("\n".join(table.read_text().split("\n")[:9]))
    pairs, said = pairs_of(tmp_path, cvusa(root))
    assert any("3 of 12 pairs have no row in" in notice and "(9 rows)" in notice for notice in said)
    assert set(pairs["pair_id"][pairs["latitude"].isna()]) == {"0000010", "0000011", "0000012"}
    table.write_text("latitude,longitude,latitude,longitude\n1,2,3,4\n")
    fails(tmp_path / "new", cvusa(root), "all.csv must hold four columns of numbers without header")


def test_positions_beside_the_splits_are_found_too(tmp_path: Path) -> None:
    root = build_cvusa(tmp_path / "CVPR_subset")
    (root / "split_locations/all.csv").rename(root / "all.csv")
    assert np.isfinite(pairs_of(tmp_path, cvusa(root))[0]["latitude"]).all()


@pytest.mark.parametrize("above", [".", "..", "../.."])
def test_a_root_below_the_folder_named_is_found(tmp_path: Path, above: str) -> None:
    root = build_cvusa(tmp_path / "data" / "cvusa" / "CVPR_subset")
    pairs_of(tmp_path / "project", cvusa(root / above))
    assert image_root(Paths(tmp_path / "project").raw) == root.resolve()


def test_an_archive_with_a_top_folder_is_found_into(tmp_path: Path) -> None:
    packed = make_tar(build_cvusa(tmp_path / "CVPR_subset"), tmp_path / "cvusa.tar.gz")
    pairs, said = pairs_of(tmp_path / "project", cvusa(packed))
    assert len(pairs) == 12
    assert any("CVUSA found in" in notice and notice.endswith("CVPR_subset") for notice in said)


def test_of_two_copies_one_is_to_be_named(tmp_path: Path) -> None:
    for name in ("new", "old"):
        build_cvusa(tmp_path / "data" / name)
    fails(tmp_path, cvusa(tmp_path / "data"), f"CVUSA more than once: set download.source to {tmp_path}/data/new or")


@pytest.mark.parametrize("below", ["bingmap", "bingmap/19", "splits", "streetview/panos"])
def test_a_root_above_the_folder_named_is_named(tmp_path: Path, below: str) -> None:
    root = build_cvusa(tmp_path / "CVPR_subset")
    fails(tmp_path, cvusa(root / below), "lies inside the CVUSA data set", f"set download.source to {root}")


def _no_splits(root: Path) -> None:
    shutil.rmtree(root / "splits")


def _other_splits(root: Path) -> None:
    (root / "splits/val-19zl.csv").rename(root / "splits/test.csv")


def _no_panoramas(root: Path) -> None:
    (root / "streetview/panos").rename(root / "streetview/cutouts")


def _pointer_table(root: Path) -> None:
    make_pointers([root / "splits/train-19zl.csv"])


def _pointer_images(root: Path) -> None:
    make_pointers(sorted((root / "bingmap/19").iterdir()))


def _png(root: Path) -> None:
    for file in (root / "bingmap/19").iterdir():
        file.rename(file.with_suffix(".png"))


def _course(root: Path) -> None:
    for file in (root / "bingmap/19").iterdir():
        file.rename(root / "bingmap" / f"input{file.stem}.png")
    (root / "bingmap/19").rmdir()
    shutil.rmtree(root / "splits")


def _header(root: Path) -> None:
    table = root / "splits/train-19zl.csv"
    table.write_text("satellite,ground,annotation\n" + table.read_text())


def _swapped(root: Path) -> None:
    table = root / "splits/val-19zl.csv"
    table.write_text("".join(f"{b},{a}\n" for a, b, _ in (row.split(",") for row in table.read_text().split())))


def _leak(root: Path) -> None:
    table = root / "splits/train-19zl.csv"
    table.write_text(table.read_text() + (root / "splits/val-19zl.csv").read_text().split("\n")[0] + "\n")


def _empty_table(root: Path) -> None:
    (root / "splits/val-19zl.csv").write_bytes(b"")


@pytest.mark.parametrize(
    ("harm", "sentences"),
    [
        (_no_splits, ["lacks splits/train-19zl.csv (the published training pairs); splits/val-19zl.csv", ASK]),
        (_other_splits, ["lacks splits/val-19zl.csv", "splits/ holds test.csv, train-19zl.csv", ASK]),
        (_no_panoramas, ["lacks streetview/panos (panoramas)", "streetview/ holds cutouts/", ASK]),
        (_pointer_table, ["train-19zl.csv is a Git-LFS pointer", "run `git lfs pull`"]),
        (_pointer_images, ["12 of 24 images are Git-LFS pointers", "run `git lfs pull`"]),
        (_png, ["12 of 12 pairs", "missing (00000", ".png lies there instead)", ASK]),
        (_course, ["is a course subset of CVUSA (bingmap/input", ASK, "set download.kind to own"]),
        (_header, ["train-19zl.csv, row 1: column 1 must name a file below bingmap/, found 'satellite' (no header"]),
        (_swapped, ["val-19zl.csv, row 1: column 1 must name a file below bingmap/, found 'streetview/panos/"]),
        (_leak, ["1 pairs stand in the training and in the test part"]),
        (_empty_table, ["val-19zl.csv is empty"]),
    ],
)
def test_wrong_layouts_are_named_with_the_way_out(
    tmp_path: Path, harm: Callable[[Path], None], sentences: list[str]
) -> None:
    root = build_cvusa(tmp_path / "CVPR_subset")
    harm(root)
    fails(tmp_path / "project", cvusa(root), *sentences)


def test_a_folder_of_something_else_says_what_it_holds_and_what_was_expected(tmp_path: Path) -> None:
    (tmp_path / "holiday").mkdir()
    (tmp_path / "holiday/beach.jpg").write_bytes(b"")
    sentences = ["is not the CVUSA data set: it holds beach.jpg, expected bingmap/19, streetview/panos", ASK]
    fails(tmp_path / "project", cvusa(tmp_path / "holiday"), *sentences)


def test_a_pair_listed_twice_counts_once(tmp_path: Path) -> None:
    root = build_cvusa(tmp_path / "CVPR_subset")
    table = root / "splits/val-19zl.csv"
    row = table.read_text().split("\n")[0]
    table.write_text(table.read_text() + row + "\n")
    pairs, said = pairs_of(tmp_path, cvusa(root))
    assert (pairs["split"] == "test").sum() == 4
    assert "CVUSA lists 1 pairs twice" in said
    assert f"{row.split(',')[1]},listed twice" in (Paths(tmp_path).raw / "skipped.csv").read_text()


@pytest.mark.parametrize(
    ("name", "row", "sentence"),
    [
        ("split_locations/all.csv", "38,-90,38,-90,17.5\n", "line 6 has 5 cells, the first row 6"),
        ("split_locations/all.csv", "38,-90,38,-90,17.5,90,7\n", "line 6 has 7 cells, the first row 6"),
        ("split_locations/all.csv", "38,1e308,38,-90,17.5,90\n", "aerial_longitude 1e+308 is outside"),
        ("splits/train-19zl.csv", "bingmap/19/1.jpg,streetview/panos/1.jpg\n", "line 6 has 2 cells, the first row 3"),
        ("splits/train-19zl.csv", "bingmap/19/1.jpg,streetview/panos/1.jpg,a,b\n", "line 6 has 4 cells"),
    ],
)
def test_c11_ragged_rows_are_refused_by_their_line(tmp_path: Path, name: str, row: str, sentence: str) -> None:
    """Cells missing from or added to one row move all behind them, and a position is then another number."""
    root = build_cvusa(tmp_path / "CVPR_subset", train=8, val=4)
    lines = (root / name).read_text().splitlines(keepends=True)
    (root / name).write_text("".join([*lines[:5], row, *lines[6:]]))
    fails(tmp_path, cvusa(root), sentence)
