"""The README tells the truth: its numbers are those of the committed reports, its commands exist."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
DEMO = json.loads((ROOT / "reports/demo.json").read_text())
METRICS = json.loads((ROOT / "reports/evaluate/metrics.json").read_text())


def _row(label: str) -> list[float]:
    (line,) = [line for line in README.splitlines() if line.startswith(f"| {label}")]
    return [float(number) for number in re.findall(r"([0-9.]+) %", line.replace("*", ""))]


@pytest.mark.parametrize(
    ("label", "model"),
    [
        ("AENet, 0.2 M", "aenet"),
        ("colour histogram, plain", "colour_histogram"),
        ("colour histogram of 16", "colour_histogram_by_azimuth"),
    ],
)
def test_recalls_are_those_of_the_report(label: str, model: str) -> None:
    promised = _row(label)
    measured = [METRICS[model][f"recall_at_{k}"] for k in (1, 5, 10)]
    assert promised == pytest.approx(measured, abs=0.051)


def test_recalls_at_unknown_heading_are_those_of_the_report() -> None:
    measured = [METRICS["aenet"][f"unknown_heading_360_recall_at_{k}"] for k in (1, 5, 10)]
    assert _row("the same, heading unknown") == pytest.approx(measured, abs=0.051)


def test_the_model_beats_floor_and_chance_by_the_promised_margin() -> None:
    assert METRICS["aenet"]["places"] >= 256
    assert METRICS["aenet"]["recall_at_1"] >= 70
    assert METRICS["aenet"]["recall_at_1"] > 10 * METRICS["colour_histogram"]["recall_at_1"]


def test_chance_is_chance() -> None:
    places = METRICS["aenet"]["places"]
    assert _row("chance") == pytest.approx([100 * k / places for k in (1, 5, 10)], abs=0.051)


def test_the_number_of_places_is_the_reports() -> None:
    assert f"{METRICS['aenet']['places']:.0f} test places" in README


def test_the_placements_are_those_of_the_committed_demo() -> None:
    for name in ("district", "district, heading unknown", "whole town"):
        (line,) = [line for line in README.splitlines() if line.startswith(f"| map of the {name}, a tile")]
        numbers = [float(number) for number in re.findall(r"([0-9.]+) (?:%|m)", line.partition("m |")[2])]
        row = DEMO[name]
        expected = [100 * row["within_25m"], row["median_error_m"], row["floor_median_m"]]
        assert numbers == pytest.approx(expected, abs=0.51)


@pytest.mark.parametrize(
    ("line", "variant"),
    [
        ("Baseline, no attention", "Baseline"),
        ("Baseline + BAM", "Baseline + BAM"),
        ("Baseline + CBAM", "Baseline + CBAM"),
        ("AENet without MHNW", "AENet without MHNW"),
        ("AENet, MHNW", "AENet"),
    ],
)
def test_the_study_is_the_committed_one(line: str, variant: str) -> None:
    table = pd.read_csv(ROOT / "docs/results/town/ablation.csv").set_index("variant")
    (row,) = [text for text in README.splitlines() if text.startswith(f"| {line}")]
    mean, spread = (float(cell.strip(" %")) for cell in row.strip("| ").split("|")[1:])
    assert (mean, spread) == pytest.approx((table.loc[variant, "R@1"], table.loc[variant, "R@1 spread"]), abs=0.051)


@pytest.mark.parametrize(
    ("label", "found"),
    [
        ("[1,000 photos", r"within 25 m \| ([0-9.]+)%"),
        ("[the same](benchmarks", r"within 25 m \| ([0-9.]+)%"),
        ("[a million descriptors]", r"Build: ([0-9.]+) s"),
        ("photos placed, of what", r"\(2 threads\) \| 8 \|.* ([0-9]+)[0-9.]*% \| [0-9.]+% \|\n"),
    ],
)
def test_the_benchmarks_are_the_committed_ones(label: str, found: str) -> None:
    (row,) = [line for line in README.splitlines() if line.startswith(f"| {label}")]
    (file,) = re.findall(r"\]\((benchmarks/[^)]+)\)", row)
    (promised,) = re.findall(r"\| ([0-9.]+) (?:%|s) \|$", row)
    measured = re.findall(found, (ROOT / file).read_text(encoding="utf-8"))
    assert promised == measured[-1 if "photos placed" in label else 0]


def test_the_demo_takes_the_promised_minutes() -> None:
    """What it took when the reports were made, on two cores; eight minutes are the most it may take."""
    (minutes,) = re.findall(r"then about (\d+) minutes", README)
    assert int(minutes) == round(DEMO["minutes"]) <= 8


def test_make_targets_exist() -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    named = set(re.findall(r"(?:^|`)make (\w+)", README, flags=re.MULTILINE))
    assert {"demo", "test", "ui"} <= named <= targets


def test_every_file_the_readme_shows_or_names_exists() -> None:
    for path in [*re.findall(r"\]\(((?!http)[^)]+)\)", README), "stages/train.py", "aenet/training.py", "prefect.yaml"]:
        assert (ROOT / path).exists(), path


def test_sections_of_the_code_map_exist() -> None:
    code_map = README.split("\naenet/\n", 1)[1].split("\ntests/", 1)[0]
    names = [name for line in code_map.splitlines() for name in line[:30].split()]
    assert len(names) > 12
    missing = [name for name in names if not (ROOT / "aenet" / (name if name.endswith("/") else f"{name}.py")).exists()]
    assert not missing
