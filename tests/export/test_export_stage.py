"""The stage `export_onnx` with compressed descriptors: the card, the calibration and the recall are theirs."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from ruamel.yaml import YAML

from aenet.data.card import read_card
from aenet.data.pairs import COLUMNS, write_pairs
from aenet.data.views import open_views
from aenet.export.graphs import run_onnx
from aenet.io.artifacts import atomic_folder
from aenet.io.errors import AenetError
from aenet.io.params import read_section
from aenet.nn.branches import ModelConfig, TwoBranch
from aenet.nn.model import TrainedCard, save_model
from aenet.training.loop import TrainConfig
from aenet.view.spec import ViewSpec
from stages.export_onnx import main
from stages.project import Paths
from tests.support.tracer import traced

ROOT = Path(__file__).resolve().parents[2]
SPEC = ViewSpec.polar(height=32, width=128, tile_size_m=70.0)


def _views(project: Path, turned: int = 0) -> None:
    """Write the packed views; the validation photos turned by so many columns."""
    with atomic_folder(project / "data/views", {"view": SPEC.model_dump(mode="json")}) as folder:
        for seed, (split, count) in enumerate({"train": 48, "val": 16, "test": 24}.items()):
            _split(folder / split, split, count, seed, turned if split == "val" else 0)


def _split(folder: Path, split: str, count: int, seed: int, turned: int) -> None:
    """Write pairs whose photos are their tiles with noise, turned by so many columns."""
    generator = np.random.default_rng(seed)
    tiles = generator.integers(0, 256, (count, 4, 16, 3)).repeat(8, axis=1).repeat(8, axis=2)
    photos = np.clip(tiles + 20 * generator.standard_normal(tiles.shape), 0, 255)
    folder.mkdir()
    np.save(folder / "ground.npy", np.roll(photos, turned, axis=2).astype(np.uint8))
    np.save(folder / "aerial.npy", tiles.astype(np.uint8))
    table = pd.DataFrame({column: np.arange(count) * 1e-3 for column in COLUMNS})
    names = [f"{split}{row}" for row in range(count)]
    write_pairs(folder / "pairs.parquet", table.assign(pair_id=names, split=split, ground=names, aerial=names))


@pytest.fixture(scope="module")
def model() -> tuple[ModelConfig, dict[str, torch.Tensor]]:
    """A network that has learned nothing, but looks at both views in the same way."""
    torch.manual_seed(0)
    config = read_section(ROOT / "params.yaml", "train", TrainConfig).model.model_copy(update={"shared": True})
    return config, TwoBranch(config).state_dict()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: tuple[ModelConfig, Any]) -> Path:
    """A project that stands before its export."""
    config, weights = model
    card = TrainedCard(model=config, view=SPEC, trained_on="t", fingerprint="f", epochs=1, best_epoch=0)
    with atomic_folder(tmp_path / "models/aenet") as folder:
        save_model(folder, card, weights, weights)
    _views(tmp_path)
    stage = {"cmd": "python -m stages.export_onnx", "deps": ["data/views", "models/aenet"], "params": ["export_onnx"]}
    stages = {"export_onnx": stage, "evaluate": {"cmd": "true", "deps": []}}
    YAML().dump({"stages": stages}, tmp_path / "dvc.yaml")
    for name in ("DVC_ROOT", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AENET_TRACKING", "journal")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _set(project: Path, **changes: object) -> None:
    export = {"threads": 1, "batches": [3], "places": 8, **changes}
    YAML().dump({"export_onnx": export, "evaluate": {"batch_size": 8, "threads": 1}}, project / "params.yaml")


def _export(project: Path, **changes: object) -> Path:
    _set(project, **changes)
    main(Paths(project))
    return project / "models/onnx"


def _served_recall(project: Path) -> float:
    """Return R@1 in percent of the exported branches on the test split, the rank of the own tile counted by hand."""
    views = open_views(project / "data/views", "test")
    ground, aerial = (
        run_onnx(project / f"models/onnx/{view}.onnx", getattr(views, view), 8, 1) for view in ("ground", "aerial")
    )
    return float(100 * ((ground @ aerial.T).argmax(1) == np.arange(len(views))).mean())


def test_what_is_served_is_what_was_measured(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    full = read_card(_export(project))
    assert full.recall_at_1 == _served_recall(project)
    assert full.compression is None and full.map_shape == (256, 1, 4)
    assert "* full float32" in capsys.readouterr().out

    small = read_card(_export(project, compress={"kind": "pca", "channels": 8}))
    said = capsys.readouterr().out
    assert "* pca 8 float32" in said and "* pca 8 float16" in said and "  gap float32" in said
    assert small.map_shape == (8, 1, 4) and small.descriptor_dim == 32
    assert small.compression is not None and small.compression.full_shape == (256, 1, 4)
    assert small.sha256 != full.sha256
    assert small.recall_at_1 == _served_recall(project)
    assert full.calibration is not None and small.calibration is not None
    assert small.calibration.known != full.calibration.known
    report = json.loads((project / "models/onnx/parity.json").read_text())
    assert report["passed"] and report["compression"]["chosen"] == "pca 8"
    assert report == json.loads((project / "reports/export_onnx/parity.json").read_text())


def test_nobody_is_told_by_an_export(project: Path) -> None:
    _set(project, calibration_queries=0)
    seen = traced(project, "-m", "stages.export_onnx", PYTHONPATH=str(ROOT))
    assert (seen.outside, seen.files) == ([], [])
    assert (project / "models/onnx/manifest.json").exists(), seen.said


def _registered(project: Path) -> dict[str, float]:
    """Return the numbers of the newest model handed to the registry."""
    events = [json.loads(line) for file in project.glob(".aenet/journal/*/events.jsonl") for line in file.open()]
    newest = max((event for event in events if event["event"] == "register"), key=lambda event: event["time"])
    numbers: dict[str, float] = newest["metrics"]
    return numbers


def test_the_champion_is_chosen_by_validation_recall_of_what_is_served(project: Path) -> None:
    """Photos turned about: an average knows their tiles better than a whole map does. Counted from the files."""
    val = project / "data/views/val"
    _views(project, turned=64)
    found = {}
    for name, changes in {"full": {}, "gap": {"compress": {"kind": "gap"}}}.items():
        model = _export(project, calibration_queries=0, **changes)
        photos, tiles = (
            run_onnx(model / f"{side}.onnx", np.load(val / f"{side}.npy"), 8, 1) for side in ("ground", "aerial")
        )
        found[name] = 100 * float(((photos @ tiles.T).argmax(1) == np.arange(16)).mean())
        assert _registered(project)["val_recall_at_1"] == pytest.approx(found[name])
        assert _registered(project)["recall_at_1"] == read_card(model).recall_at_1
    assert found["full"] != found["gap"]


def test_an_average_is_no_map(project: Path) -> None:
    card = read_card(_export(project, compress={"kind": "gap"}, calibration_queries=0))
    assert card.map_shape is None and card.descriptor_dim == 256
    assert card.compression is not None and card.compression.kind == "gap"


def test_too_many_channels_export_nothing(project: Path) -> None:
    with pytest.raises(AenetError, match="channels is 257, and the descriptor has 256 channels"):
        _export(project, compress={"kind": "pca", "channels": 257})
    assert not (project / "models/onnx").exists()
