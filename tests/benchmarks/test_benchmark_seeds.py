"""`benchmarks/seeds.py` says mean and sample standard deviation, and keeps what it said."""

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.closure import ROOT


@pytest.fixture(autouse=True)
def _benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")


def _run(seed: int, recall: float, unknown: float, epochs: int = 7) -> dict[str, Any]:
    values = {f"recall_at_{k}": recall for k in (1, 5, 10)} | {"places": 512.0}
    values |= {f"unknown_heading_{deg}_recall_at_{k}": unknown for k in (1, 5, 10) for deg in (360, 90)}
    values |= {"fov_90_recall_at_1": 10.0}
    baseline = {f"recall_at_{k}": 1.5 for k in (1, 5, 10)}
    placed = {"within_25m": recall / 100, "median_error_m": 5.0 + seed, "floor_median_m": 4.0}
    models = {"aenet": values, "colour_histogram": baseline, "colour_histogram_by_azimuth": baseline}
    run = {"seed": seed, "epochs": epochs, "places_train": 2800, "train_minutes": None, "best_epoch": 6}
    return {**run, "metrics": models, "placed": {"district": placed}}


def _text(*runs: dict[str, Any]) -> str:
    about = {"command": "python ...", "date": "2026-01-01", "hardware": "two cores", "instructions": {"torch": "AVX2"}}
    return str(importlib.import_module("seedtables").markdown({**about, "runs": list(runs)}))


def test_tables_say_mean_and_sample_standard_deviation() -> None:
    text = _text(_run(0, 70.0, 50.0), _run(1, 74.0, 50.0))  # deviations of 2 about 72: sqrt(8 / 1) = 2.83
    assert "| AENet | 72.0 +- 2.8 % | 72.0 +- 2.8 % | 72.0 +- 2.8 % |" in text
    assert "| the same, heading unknown | 50.0 % | 50.0 % | 50.0 % |" in text
    assert "| 90 degrees | 10.0 % | 50.0 % |" in text
    assert "| map of the district | 72.0 +- 2.8 % | 5.5 +- 0.7 m | 4.0 m |" in text  # 5 and 6: 1 / sqrt(2)
    assert "epochs, 2,800 places" not in text, "one budget is no curve"


def test_budgets_are_never_averaged() -> None:
    text = _text(_run(0, 70.0, 50.0), _run(0, 90.0, 70.0, epochs=36))
    assert "| 7 epochs, 2,800 places | 70.0 % | 50.0 % | - |" in text
    assert "| 36 epochs, 2,800 places | 90.0 % | 70.0 % | - |" in text


def test_an_earlier_result_is_not_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seeds = importlib.import_module("seeds")
    monkeypatch.setattr(seeds, "results_file", lambda kind, _: tmp_path / f"{kind}.md")
    for name in seeds.INSTRUCTIONS:
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "seeds-demo.json").write_text("kept")
    monkeypatch.setattr(sys, "argv", ["seeds.py"])
    with pytest.raises(SystemExit):
        seeds.main()
    assert "--overwrite" in capsys.readouterr().err
    assert (tmp_path / "seeds-demo.json").read_text() == "kept"


def test_a_demo_is_kept_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keep = importlib.import_module("keep_demo")
    monkeypatch.setattr(keep, "KEPT", tmp_path / "kept")
    reports = tmp_path / "reports"
    (reports / "evaluate").mkdir(parents=True)
    for name in keep.PICTURES:
        (reports / "evaluate" / name).write_bytes(b"a picture")
    (reports / "demo.json").write_text('{"minutes": 7.2}')
    monkeypatch.setattr(sys, "argv", ["keep_demo.py", "--folder", str(tmp_path)])
    keep.main()
    kept = json.loads((tmp_path / "kept" / "demo.json").read_text())
    assert kept["minutes"] == 7.2 and kept["hardware"] and kept["date"]
    (reports / "demo.json").write_text('{"minutes": 99}')
    with pytest.raises(SystemExit):
        keep.main()
    assert json.loads((tmp_path / "kept" / "demo.json").read_text()) == kept
    assert (tmp_path / "kept" / "strips.png").read_bytes() == b"a picture"
