"""CVACT: indices from 1, positions in Canberra, both test parts, and files that every copy lacks."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.io import loadmat, savemat

from aenet.data.distance import distance_m
from aenet.data.pairs import image_root, read_pairs
from aenet.data.views import pack
from aenet.ingest.cvact import CvactConfig
from aenet.io.artifacts import read_manifest
from aenet.io.errors import AenetError
from aenet.view.spec import ViewSpec
from stages.download import ingest
from stages.project import Paths
from tests.support.datasets import build_cvact, cvact_id, cvact_position, make_pointers, write_act_mat

ROWS = {cvact_id(row): row for row in range(40)}
ASK = "ask the authors of OriCNN"


def cvact(source: Path, **settings: Any) -> CvactConfig:
    return CvactConfig.model_validate({"kind": "cvact", "source": str(source), "validation": 2} | settings)


def pairs_of(project: Path, config: CvactConfig) -> tuple[pd.DataFrame, list[str]]:
    said = ingest(config, Paths(project))
    return read_pairs(Paths(project).raw / "pairs.parquet"), said


def fails(project: Path, config: CvactConfig, *sentences: str) -> None:
    with pytest.raises(AenetError) as caught:
        ingest(config, Paths(project))
    for sentence in sentences:
        assert sentence in str(caught.value)
    assert not Paths(project).raw.exists()


def matlab_rows(root: Path, *names: str) -> set[int]:
    """Rows from 0, read the way MATLAB would say it: from 1."""
    value = loadmat(root / "ACT_data.mat", simplify_cells=True)
    for name in names:
        value = value[name]
    return {int(index) - 1 for index in value}


@pytest.mark.parametrize("evaluation", ["val", "test"])
def test_every_pair_is_the_place_that_matlab_means(tmp_path: Path, evaluation: str) -> None:
    root = build_cvact(tmp_path / "CVACT", train=10, val=6, test=8)
    pairs, said = pairs_of(tmp_path, cvact(root, evaluation=evaluation))
    listed = {
        "test": matlab_rows(root, "valSet" if evaluation == "val" else "valSetAll", "valInd"),
        "train": matlab_rows(root, "trainSet", "trainInd"),
    }
    for split, parts in (("test", ["test"]), ("train", ["train", "val"])):
        assert {ROWS[i] for i in pairs["pair_id"][pairs["split"].isin(parts)]} == listed[split]
    assert pairs["split"].value_counts().to_dict() == {"train": 8, "test": 6 if evaluation == "val" else 14, "val": 2}
    for pair in pairs.to_dict("records"):
        large = evaluation == "test" and pair["split"] == "test"
        folder = "ANU_data_test" if large else "ANU_data_small"
        assert pair["ground"] == f"{folder}/streetview/{pair['pair_id']}_grdView.jpg"
        assert pair["aerial"] == f"{folder}/satview_polish/{pair['pair_id']}_satView_polish.jpg"
    right = np.array([cvact_position(ROWS[i]) for i in pairs["pair_id"]])
    for view in ("", "aerial_"):
        found = (pairs[f"{view}latitude"].to_numpy(), pairs[f"{view}longitude"].to_numpy())
        assert distance_m(*found, right[:, 0], right[:, 1]).max() < 0.01
    assert f"CVACT_{evaluation}'s training part lists 10 pairs, published are 35532" in said
    protocol = read_manifest(Paths(tmp_path).raw).meta["protocol"]
    assert protocol["name"] == f"CVACT_{evaluation}"
    assert protocol["correct"] == (["identity"] if evaluation == "val" else ["identity", "within 5 m"])
    assert protocol["published"]["test"] == (8884 if evaluation == "val" else 92802)


def test_positions_survive_the_other_order_of_columns_and_refuse_to_be_invented(tmp_path: Path) -> None:
    root = build_cvact(tmp_path / "CVACT")
    mat = loadmat(root / "ACT_data.mat", simplify_cells=True)
    right = pairs_of(tmp_path, cvact(root))[0]["latitude"].to_numpy()

    def positions(utm: np.ndarray) -> tuple[np.ndarray, list[str]]:
        savemat(root / "ACT_data.mat", {k: v for k, v in mat.items() if not k.startswith("__")} | {"utm": utm})
        pairs, said = pairs_of(tmp_path, cvact(root))
        return pairs["latitude"].to_numpy(), said

    assert np.array_equal(positions(mat["utm"][:, ::-1])[0], right)
    latitude, said = positions(mat["utm"] - 5e6)
    assert np.isnan(latitude).all()
    assert any("12 of 12 positions in utm do not lie around Canberra" in notice for notice in said)


def test_missing_files_are_skipped_counted_and_listed(tmp_path: Path) -> None:
    root = build_cvact(tmp_path / "CVACT", train=20, missing=1)
    pairs, said = pairs_of(tmp_path, cvact(root))
    assert len(pairs) == 23
    assert any("1 of 24 pairs are left out (1 files, first ANU_data_small/streetview/" in notice for notice in said)
    skipped = pd.read_csv(Paths(tmp_path).raw / "skipped.csv")
    assert skipped["reason"].tolist() == ["missing"]
    assert not set(skipped["pair_id"]) & set(pairs["pair_id"])
    fails(tmp_path / "a", cvact(root, max_skipped=0.04), "1 of 24 pairs cannot be used", ASK, "max_skipped to 0.042")
    fails(tmp_path / "b", cvact(root, strict=True), "download.strict is set", "1 of 24 pairs are left out")


def test_views_must_keep_the_rows_that_published_numbers_are_of(tmp_path: Path) -> None:
    root, paths = build_cvact(tmp_path / "CVACT"), Paths(tmp_path)
    pairs_of(tmp_path, cvact(root))
    spec = ViewSpec.polar(height=16, width=64, tile_size_m=146.0)
    with pytest.raises(AenetError, match=r"add rows: \[208, 624\], panorama_size: \[832, 1664\] to polar_trans"):
        pack(paths.raw, paths.views, spec, threads=1)
    kept = ViewSpec.polar(height=16, width=64, tile_size_m=146.0, rows=(208, 624), panorama_size=(832, 1664))
    pack(paths.raw, paths.views, kept, threads=1)


def test_published_sizes_are_no_departure(tmp_path: Path) -> None:
    root = build_cvact(tmp_path / "CVACT", train=3, val=1, full_size=4)
    assert not [notice for notice in pairs_of(tmp_path, cvact(root))[1] if "resized" in notice]


def test_ids_may_be_a_cell_array(tmp_path: Path) -> None:
    root = build_cvact(tmp_path / "CVACT")
    mat = {k: v for k, v in loadmat(root / "ACT_data.mat", simplify_cells=True).items() if not k.startswith("__")}
    before = pairs_of(tmp_path, cvact(root))[0]
    savemat(root / "ACT_data.mat", mat | {"panoIds": np.array(mat["panoIds"], dtype=object)[:, None]})
    pd.testing.assert_frame_equal(pairs_of(tmp_path, cvact(root))[0], before)


def test_the_folder_above_is_searched_and_the_folder_below_names_the_right_one(tmp_path: Path) -> None:
    root = build_cvact(tmp_path / "data" / "CVACT")
    pairs_of(tmp_path, cvact(tmp_path / "data"))
    assert image_root(Paths(tmp_path).raw) == root.resolve()
    fails(tmp_path / "new", cvact(root / "ANU_data_small"), "lies inside the CVACT", f"set download.source to {root}")


def _no_mat(root: Path) -> None:
    (root / "ACT_data.mat").unlink()


def _pointer_mat(root: Path) -> None:
    make_pointers([root / "ACT_data.mat"])


def _broken_mat(root: Path) -> None:
    content = (root / "ACT_data.mat").read_bytes()
    (root / "ACT_data.mat").write_bytes(content[: len(content) // 2])


def _hdf5_mat(root: Path) -> None:
    head = b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(116) + b"\0" * 8 + b"\x00\x02IM"
    (root / "ACT_data.mat").write_bytes(head + b"\x89HDF\r\n\x1a\n" + b"\0" * 600)


def _from_zero(root: Path) -> None:
    rows = {"train": np.arange(8), "val": np.arange(8, 12), "all": np.arange(8, 12)}
    write_act_mat(root / "ACT_data.mat", 12, rows, first=0)


def _beyond(root: Path) -> None:
    rows = {"train": np.arange(8), "val": np.arange(8, 13), "all": np.arange(8, 13)}
    write_act_mat(root / "ACT_data.mat", 12, rows)


def _leak(root: Path) -> None:
    rows = {"train": np.arange(9), "val": np.arange(8, 12), "all": np.arange(8, 12)}
    write_act_mat(root / "ACT_data.mat", 12, rows)


def _other_mat(root: Path) -> None:
    savemat(root / "ACT_data.mat", {"panoIds": np.array(["a", "b"]), "x": 1})


def _unpolished(root: Path) -> None:
    (root / "ANU_data_small/satview_polish").rename(root / "ANU_data_small/satview")


def _png(root: Path) -> None:
    for file in (root / "ANU_data_small/satview_polish").iterdir():
        file.rename(file.with_suffix(".png"))


@pytest.mark.parametrize(
    ("harm", "sentences"),
    [
        (_no_mat, ["lacks ACT_data.mat (ids, positions and splits)", ASK]),
        (_pointer_mat, ["ACT_data.mat is a Git-LFS pointer", "run `git lfs pull`"]),
        (_broken_mat, ["ACT_data.mat is not a readable MATLAB file", ASK]),
        (_hdf5_mat, ["is a MATLAB 7.3 file", ASK]),
        (_from_zero, ["trainSet.trainInd runs from 0 to 7, panoIds has 12 entries counted from 1"]),
        (_beyond, ["valSet.valInd runs from 9 to 13, panoIds has 12 entries"]),
        (_leak, ["1 pairs stand in the training and in the test part"]),
        (_other_mat, ["has no variable trainSet.trainInd (found: panoIds, x)"]),
        (_unpolished, ["lacks ANU_data_small/satview_polish", "holds satview/, streetview/", ASK]),
        (_png, ["12 of 12 pairs cannot be used", "_satView_polish.png lies there instead", ASK]),
    ],
)
def test_wrong_layouts_are_named_with_the_way_out(
    tmp_path: Path, harm: Callable[[Path], None], sentences: list[str]
) -> None:
    root = build_cvact(tmp_path / "CVACT")
    harm(root)
    fails(tmp_path / "project", cvact(root), *sentences)


def test_the_large_test_part_needs_its_own_folder(tmp_path: Path) -> None:
    root = build_cvact(tmp_path / "CVACT", test=4)
    shutil.rmtree(root / "ANU_data_test")
    fails(tmp_path, cvact(root, evaluation="test"), "lacks ANU_data_test/streetview", "set download.evaluation to val")
    pairs_of(tmp_path, cvact(root))
