"""The real thing, small: `dvc repro` on a miniature town in a clone, then photos placed with what it exported."""

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from ruamel.yaml import YAML

from aenet.io.params import read_yaml
from tests.support.project import commit, copy_project, run_in

TEST_PLACES = 16
TOWN = {"width_m": 520.0, "height_m": 420.0, "places": {"train": 48, "val": 8, "test": TEST_PLACES}}


def _clone(folder: Path) -> Path:
    """Copy the project with a miniature of the default parameters."""
    copy_project(folder)
    yaml = YAML()
    params = yaml.load(folder / "params.yaml")
    params["download"] |= TOWN
    for view in params["polar_transform"]["view"].values():
        view |= {"height": 32, "width": 128}
    params["train"] |= {"epochs": 2, "batch_size": 8}
    params["train"]["sampling"] |= {"group": 4, "first_epoch": 1}
    params["ablate"]["epochs"] = 2
    params["ablate"]["variants"]["ta_mhnw"]["loss"] = dict(params["train"]["loss"])  # the model itself
    for variant in ("bam", "cbam", "ta_wsmr"):
        del params["ablate"]["variants"][variant]
    params["heatmaps"]["variants"] = ["baseline", "ta_mhnw"]
    yaml.dump(params, folder / "params.yaml")
    commit(folder)
    return folder


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A miniature for `dvc repro`."""
    yield (folder := _clone(tmp_path_factory.mktemp("clone")))
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def flow_clone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Another of the same parameters, made by the Prefect flow in another folder."""
    folder = _clone(tmp_path_factory.mktemp("flow"))
    run_in(folder, sys.executable, "-m", "flows.pipeline")
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def repro(clone: Path) -> str:
    return run_in(clone, "dvc", "repro")


def test_every_stage_leaves_what_it_promises(clone: Path, repro: str) -> None:
    assert "error:" not in repro.lower()
    metrics = json.loads((clone / "reports/evaluate/metrics.json").read_text())
    assert metrics["aenet"]["places"] == TEST_PLACES
    assert 0 <= metrics["aenet"]["recall_at_1"] <= 100
    parity = json.loads((clone / "reports/export_onnx/parity.json").read_text())
    assert parity["passed"] and parity["max_abs_difference"] <= 1e-4
    assert set(parity["batches"]) == {"1", "3", "8"}
    table = pd.read_csv(clone / "reports/ablation.csv")
    assert list(table["variant"]) == ["Baseline", "AENet"]
    # The variant that is the model itself is the same training, hence the same result.
    assert table["R@1"].iloc[1] == pytest.approx(metrics["aenet"]["recall_at_1"])
    for picture in (
        "evaluate/strips.png",
        "evaluate/heatmaps.png",
        "train/history.png",
        "ablation.png",
        "heatmaps.png",
        "evaluate/heading.png",
    ):
        assert (clone / "reports" / picture).read_bytes().startswith(b"\x89PNG")


def test_a_second_repro_runs_nothing(clone: Path, repro: str) -> None:
    again = run_in(clone, "dvc", "repro")
    assert again.count("didn't change, skipping") == 9
    assert "Running stage" not in again


def test_metrics_of_earlier_commits_come_from_the_cache(clone: Path, repro: str) -> None:
    """Reports are git-ignored; DVC compares them by what dvc.lock says of each commit."""
    commit(clone)
    changes = json.loads(run_in(clone, "dvc", "metrics", "diff", "--all", "--json"))
    recall = changes["reports/evaluate/metrics.json"]["aenet.recall_at_1"]
    assert recall["old"] == recall["new"] is not None and recall["diff"] == 0
    assert "reports/ablate/baseline/metrics.json" in changes


def test_an_edited_attention_module_reruns_training_and_what_follows(clone: Path, repro: str) -> None:
    module = clone / "aenet/nn/attention.py"
    original = module.read_text()
    module.write_text(original + "\n# touched\n")
    status = json.loads(run_in(clone, "dvc", "status", "--json"))
    module.write_text(original)
    assert "download" not in status and "polar_transform" not in status
    assert {"train", "ablate@baseline", "ablate@ta_mhnw"} <= set(status)


def test_one_mlflow_run_per_stage_with_the_variants_under_one_parent(clone: Path, repro: str) -> None:
    listing = """
import json, mlflow
client = mlflow.MlflowClient("sqlite:///mlflow.db")
ids = [e.experiment_id for e in client.search_experiments(filter_string="name = 'aenet'")]
runs = client.search_runs(ids)
print(json.dumps([[r.info.run_name, r.data.tags.get("mlflow.parentRunId"), r.data.metrics] for r in runs]))
"""
    run_in(clone, "aenet", "sync")
    runs = json.loads(run_in(clone, sys.executable, "-c", listing).strip().splitlines()[-1])
    named = {name: (parent, metrics) for name, parent, metrics in runs}
    assert len(named) == len(runs), "a stage has two runs for one fingerprint"
    assert {"download", "train", "evaluate", "ablate-baseline-seed-0", "ablate-ta_mhnw-seed-0", "export_onnx"} <= set(
        named
    )
    assert named["ablate-baseline-seed-0"][0] == named["ablate-ta_mhnw-seed-0"][0] is not None
    assert "val_recall_at_1" in named["train"][1]


def test_the_flow_leaves_the_lock_of_a_plain_repro_and_the_same_numbers(
    clone: Path, repro: str, flow_clone: Path
) -> None:
    """Another folder, stages in parallel, the same seed: every byte of every output is the same."""
    assert read_yaml(flow_clone / "dvc.lock") == read_yaml(clone / "dvc.lock")
    for report in ("evaluate/metrics.json", "train/history.csv", "ablation.csv"):
        assert (flow_clone / "reports" / report).read_bytes() == (clone / "reports" / report).read_bytes()


def test_the_demo_adds_places_to_what_is_up_to_date(flow_clone: Path) -> None:
    commit(flow_clone)
    printed = run_in(flow_clone, "aenet", "demo")
    assert run_in(flow_clone, "git", "status", "--porcelain") == "", "what the demo writes is git's to ignore"
    assert printed.count("Unchanged") >= 5, "the flow ran stages that DVC holds to be up to date"
    assert "ablate" not in printed, "the demo's minutes are the model's"
    metrics = json.loads((flow_clone / "reports/evaluate/metrics.json").read_text())["aenet"]
    assert f"R@1 {metrics['recall_at_1']:.1f} %" in printed
    assert "the grid's floor is 4.0 m" in printed and "the grid's floor is 8.0 m" in printed
    places = pd.read_parquet(flow_clone / "demo/district/places.parquet")
    assert len(places) == TEST_PLACES and set(places["status"]) == {"ok"}
    assert places["error_m"].notna().all()


def test_the_exported_model_scores_as_the_trained_one(clone: Path, repro: str) -> None:
    """Another runtime rounds otherwise: of two tiles that are equally good it may take the other, of one place."""
    exported = json.loads(run_in(clone, "aenet", "evaluate", "--json").split("\n\n")[-1])
    trained = json.loads((clone / "reports/evaluate/metrics.json").read_text())["aenet"]
    assert exported["places"] == trained["places"] == TEST_PLACES
    one = 100 / TEST_PLACES + 1e-6
    shares = {name for name in exported if name.startswith(("recall_at_", "within_"))}
    assert len(shares) >= 8
    assert {name: exported[name] for name in shares} == pytest.approx({name: trained[name] for name in shares}, abs=one)
    assert exported["median_rank"] == pytest.approx(trained["median_rank"], abs=1)


def test_a_stage_without_its_input_says_what_torun_in(clone: Path, tmp_path: Path) -> None:
    for name in ("params.yaml", "dvc.yaml", "aenet", "stages"):
        (tmp_path / name).symlink_to(clone / name)
    printed = run_in(tmp_path, sys.executable, "-m", "stages.train", status=2)
    assert "data/views" in printed and "run the stage" in printed
    assert "Traceback" not in printed


def test_a_corrupt_view_is_refused(clone: Path, repro: str) -> None:
    file = clone / "data/views/test/ground.npy"
    original = file.read_bytes()
    file.chmod(0o644)
    file.write_bytes(original[:-1] + bytes([original[-1] ^ 1]))
    printed = run_in(clone, sys.executable, "-m", "stages.evaluate", status=2)
    file.write_bytes(original)
    assert "ground.npy has SHA-256" in printed and "make it again" in printed
