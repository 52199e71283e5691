"""The table over the variants: rows in the order of params.yaml, under their labels."""

import json
from pathlib import Path

import pytest

from aenet.errors import AenetError
from stages.compare import main
from stages.paths import Paths

METRICS = {"recall_at_1": 50.0, "recall_at_5": 75.0, "recall_at_10": 80.0, "recall_at_1_percent": 50.0}
ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AENET_TRACKING", "journal")
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    for name in ("aenet", "stages", "dvc.yaml"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "params.yaml").write_text(
        "ablate:\n  epochs: 1\n  variants:\n"
        "    late: {label: Zeta, attention: {kind: none}}\n    early: {label: Alpha, loss: {kind: mhnw}}\n"
    )
    for name, places in (("late", 16.0), ("early", 16.0)):
        folder = tmp_path / "reports" / "ablate" / name
        folder.mkdir(parents=True)
        (folder / "metrics.json").write_text(json.dumps({**METRICS, "median_rank": 2.0, "places": places}))
    return tmp_path


def test_rows_are_in_the_order_of_params(project: Path) -> None:
    main(Paths(project))
    lines = (project / "reports" / "ablation.md").read_text().splitlines()
    assert lines[0] == "# Ablation on 16 test places"
    assert [line.split("|")[1].strip() for line in lines[4:]] == ["Zeta", "Alpha"]
    assert "50.00" in lines[4]


def test_a_variant_without_metrics_is_named(project: Path) -> None:
    (project / "reports" / "ablate" / "early" / "metrics.json").unlink()
    with pytest.raises(AenetError, match="dvc repro ablate@early"):
        main(Paths(project))


def test_a_mistyped_label_is_refused(project: Path) -> None:
    params = project / "params.yaml"
    params.write_text(params.read_text().replace("label: Alpha", "lable: Alpha"))
    with pytest.raises(AenetError, match=r"missing key 'ablate\.variants\.early\.label'"):
        main(Paths(project))
