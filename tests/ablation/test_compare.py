"""The table over the variants: rows in the order of params.yaml, under their labels."""

import json
from pathlib import Path

import pandas as pd
import pytest

from aenet.io.errors import AenetError, CorruptArtifact
from stages.compare import main
from stages.project import Paths

RECALLS = ("recall_at_1", "recall_at_5", "recall_at_10", "recall_at_1_percent")
ROOT = Path(__file__).resolve().parents[2]


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
    _write(tmp_path, "late", {"0": 50.0})
    _write(tmp_path, "early", {"0": 60.0})
    return tmp_path


def _write(project: Path, name: str, seeds: dict[str, float], data: str = "town") -> None:
    values = {seed: dict.fromkeys(RECALLS, r1) | {"median_rank": 2.0, "places": 16.0} for seed, r1 in seeds.items()}
    network = {"parameters, M": 0.25, "GMACs": 0.5}
    folder = project / "reports" / "ablate" / name
    folder.mkdir(parents=True, exist_ok=True)
    content = {"data": data, "epochs": 3, "network": network, "seeds": values}
    (folder / "metrics.json").write_text(json.dumps(content))


def _report(project: Path) -> str:
    main(Paths(project))
    return (project / "reports" / "ablation.md").read_text()


def _line(report: str, heading: str, start: str) -> list[str]:
    """Cells of the line that begins with `start` in the section under `heading`."""
    section = report.split(f"## {heading}")[1].split("\n## ", maxsplit=1)[0]
    (line,) = [line for line in section.splitlines() if line.startswith(f"| {start} |")]
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_rows_are_in_the_order_of_params(project: Path) -> None:
    report = _report(project)
    assert report.startswith("# Ablation on the town: 16 test places, 1 seed of 3 epochs")
    rows = [
        line.split("|")[1].strip() for line in report.split("## What each costs")[0].splitlines() if "50.00" in line
    ]
    assert rows == ["Zeta"]
    assert report.index("| Zeta |") < report.index("| Alpha |")
    assert list(pd.read_csv(project / "reports" / "ablation.csv")["variant"]) == ["Zeta", "Alpha"]


def test_several_seeds_show_mean_and_spread(project: Path) -> None:
    """40, 50 and 60 have mean 50 and standard deviation 10."""
    _write(project, "late", {"0": 40.0, "1": 50.0, "2": 60.0})
    report = _report(project)
    assert _line(report, "Every variant", "Zeta")[1] == "50.00 +- 10.00"
    table = pd.read_csv(project / "reports" / "ablation.csv")
    assert table["R@1 spread"].iloc[0] == pytest.approx(10.0) and table["seeds"].iloc[0] == 3


@pytest.mark.parametrize(("data", "paper"), [("cvusa", "95.97"), ("cvact", "91.78")])
def test_our_row_stands_beside_the_papers_of_the_same_data(project: Path, data: str, paper: str) -> None:
    _rename_variants(project)
    _write(project, "ta_mhnw", {"0": 90.0}, data)
    _write(project, "ta_wsmr", {"0": 80.0}, data)
    report = _report(project)
    assert _line(report, "Table 6", "AENet")[1:6] == ["90.00", "90.00", "90.00", "90.00", paper]
    ours = _line(report, "Tables 3 and 4", "AENet (this run)")
    theirs = _line(report, "Tables 3 and 4", "AENet (paper)")
    column = ours.index("90.00")
    assert theirs[column] == paper


def test_other_data_stand_beside_the_paper_with_a_warning(project: Path) -> None:
    _rename_variants(project)
    _write(project, "ta_mhnw", {"0": 90.0})
    _write(project, "ta_wsmr", {"0": 80.0})
    report = _report(project)
    assert "The paper's figures are of other data" in report
    assert _line(report, "Table 6", "AENet")[-2:] == ["95.97", "91.78"]
    assert _line(report, "Tables 3 and 4", "AENet (this run)")[-1] == "R@1 90.00 on the town"


def test_heat_shares_stand_with_their_bounds(project: Path) -> None:
    """Two seeds: the mean of the ratios, the lowest and the highest bound."""
    for name in ("late", "early"):
        _write(project, name, {"0": 50.0, "1": 50.0})
        file = project / "reports" / "ablate" / name / "metrics.json"
        content = json.loads(file.read_text())
        for seed, ratio in (("0", 0.8), ("1", 0.6)):
            heat = {"ratio": ratio, "ratio_low": ratio - 0.1, "ratio_high": ratio + 0.2, "pixels": 0.25}
            heat |= {"ratio_least": 0.0, "ratio_most": 2.0}
            content["seeds"][seed] |= {f"heat_activation_sky_{key}": value for key, value in heat.items()}
        file.write_text(json.dumps(content))
    report = _report(project)
    assert _line(report, "Where the heat falls", "Zeta")[1] == "0.70 [0.50, 1.00]"
    assert _line(report, "Where the heat falls", "share of pixels")[1] == "25.0 %"


def test_nothing_is_said_of_heat_that_was_not_measured(project: Path) -> None:
    assert "Where the heat falls" not in _report(project)


def _rename_variants(project: Path) -> None:
    params = project / "params.yaml"
    text = params.read_text().replace("late: {label: Zeta", "ta_wsmr: {label: AENet without MHNW")
    params.write_text(text.replace("early: {label: Alpha", "ta_mhnw: {label: AENet"))


def test_metrics_of_another_version_are_refused(project: Path) -> None:
    (project / "reports" / "ablate" / "late" / "metrics.json").write_text('{"recall_at_1": 50.0}')
    with pytest.raises(CorruptArtifact, match="dvc repro ablate@late"):
        main(Paths(project))


def test_a_variant_without_metrics_is_named(project: Path) -> None:
    (project / "reports" / "ablate" / "early" / "metrics.json").unlink()
    with pytest.raises(AenetError, match="dvc repro ablate@early"):
        main(Paths(project))


def test_a_mistyped_label_is_refused(project: Path) -> None:
    params = project / "params.yaml"
    params.write_text(params.read_text().replace("label: Alpha", "lable: Alpha"))
    with pytest.raises(AenetError, match=r"missing key 'ablate\.variants\.early\.label'"):
        main(Paths(project))
