"""The README tells the truth: its numbers are those of committed results that no command overwrites."""

import json
import re
import sys
from pathlib import Path
from statistics import fmean
from typing import Any

import pandas as pd
import pytest

from aenet.io.params import read_yaml
from tests.support.readme_tables import check, row, rows

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))
from seedtables import markdown  # noqa: E402  after the path above

README = (ROOT / "README.md").read_text(encoding="utf-8")
RECALLS = ("recall_at_1", "recall_at_5", "recall_at_10")


def _result(name: str) -> dict[str, Any]:
    """Read the result of benchmarks/seeds.py of that name which the README links."""
    linked = re.findall(rf"\((benchmarks/results/seeds-{name}-[^)]+?)\.(?:md|json)\)", README)
    assert linked, f"the README links no benchmarks/results/seeds-{name}-*.md"
    found: dict[str, Any] = json.loads((ROOT / f"{linked[0]}.json").read_bytes())
    return found


@pytest.fixture(scope="module")
def runs() -> list[dict[str, Any]]:
    """The default demo's model, one run a seed."""
    return list(_result("demo")["runs"])


def _metric(runs: list[dict[str, Any]], name: str, model: str = "aenet") -> list[float]:
    return [run["metrics"][model][name] for run in runs]


@pytest.mark.parametrize(
    ("label", "model", "prefix"),
    [
        ("AENet, 0.2 M", "aenet", ""),
        ("the same, heading unknown", "aenet", "unknown_heading_360_"),
        ("colour histogram, plain", "colour_histogram", ""),
        ("colour histogram of 16", "colour_histogram_by_azimuth", ""),
    ],
)
def test_recalls_are_mean_and_spread_over_the_seeds(
    runs: list[dict[str, Any]], label: str, model: str, prefix: str
) -> None:
    for cell, name in zip(row(README, label), RECALLS, strict=True):
        check(cell, _metric(runs, prefix + name, model))


def test_the_model_is_as_good_as_it_should_be(runs: list[dict[str, Any]]) -> None:
    assert len({run["seed"] for run in runs}) == len(runs) >= 5
    assert len({(run["epochs"], run["places_train"]) for run in runs}) == 1
    assert fmean(_metric(runs, "recall_at_1")) >= 83
    assert fmean(_metric(runs, "unknown_heading_360_recall_at_1")) >= 64
    assert fmean(_metric(runs, "recall_at_1")) > 10 * fmean(_metric(runs, "recall_at_1", "colour_histogram"))


def test_the_seeds_are_trained_with_the_default_parameters(runs: list[dict[str, Any]]) -> None:
    params = read_yaml(ROOT / "params.yaml")
    (run, *_) = runs
    assert (run["epochs"], run["places_train"]) == (params["train"]["epochs"], params["download"]["places"]["train"])


def test_other_instruction_sets_give_what_is_said(runs: list[dict[str, Any]]) -> None:
    """R@1 of seed 0 here, and under each set of instructions whose result is linked after the number."""
    said = re.search(r"seed 0 came to R@1 ([0-9.]+) % here, (.*?)\.md\)\.", README, re.DOTALL)
    assert said is not None
    here = [run["metrics"]["aenet"]["recall_at_1"] for run in runs if run["seed"] == 0]
    check(said[1], here)
    others = re.findall(
        r"to ([0-9.]+) % \[[^]]+\]\((benchmarks/results/seeds-instructions[^)]+?)(?:\.md)?(?:\)|$)", said[2]
    )
    assert len(others) >= 2
    for number, file in others:
        (run,) = json.loads((ROOT / f"{file}.json").read_bytes())["runs"]
        assert (run["seed"], run["epochs"]) == (0, runs[0]["epochs"])
        check(number, [run["metrics"]["aenet"]["recall_at_1"]])


def test_chance_and_the_number_of_places_are_true(runs: list[dict[str, Any]]) -> None:
    (places,) = set(_metric(runs, "places"))
    assert places >= 256 and f"{places:.0f} test places" in README
    for cell, k in zip(row(README, "chance"), (1, 5, 10), strict=True):
        check(cell, [100 * k / places])


@pytest.mark.parametrize("name", ["district", "district, heading unknown", "whole town"])
def test_the_placements_are_mean_and_spread_over_the_seeds(runs: list[dict[str, Any]], name: str) -> None:
    placed = [run["placed"][name] for run in runs]
    near, error, floor = row(README, f"map of the {name}, a tile")
    check(near, [100 * job["within_25m"] for job in placed])
    check(error, [job["median_error_m"] for job in placed])
    check(floor, [job["floor_median_m"] for job in placed])


def test_what_more_training_buys_is_as_measured() -> None:
    """Rows `N epochs, M places`: R@1, R@1 at unknown heading."""
    promised = rows(README, r"([\d,]+) epochs, ([\d,]+) places")
    measured = _result("curve")["runs"] if promised else []
    for match, cells in promised:
        epochs, places = (int(number.replace(",", "")) for number in match.groups())
        chosen = [run for run in measured if (run["epochs"], run["places_train"]) == (epochs, places)]
        check(cells[0], _metric(chosen, "recall_at_1"))
        check(cells[1], _metric(chosen, "unknown_heading_360_recall_at_1"))


@pytest.mark.parametrize("file", sorted((ROOT / "benchmarks/results").glob("seeds-*.json")), ids=lambda file: file.stem)
def test_the_tables_kept_are_those_of_the_numbers_kept(file: Path) -> None:
    assert file.with_suffix(".md").read_text(encoding="utf-8") == markdown(json.loads(file.read_bytes()))


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


def test_how_sure_it_is_is_as_measured() -> None:
    """Rows `N m, heading known`: expected and observed share within 25 m, share that the 90 % circle holds."""
    (file,) = re.findall(r"\]\((benchmarks/results/confidence-[^)]+)\)", README)
    measured = {
        (every, heading): [expected, observed, held]
        for every, heading, _, expected, observed, _, held, *_ in (
            [cell.strip() for cell in line.strip("|").split("|")]
            for line in (ROOT / file).read_text(encoding="utf-8").splitlines()
            if re.match(r"\| \d+ m \|", line)
        )
    }
    promised = {match.groups(): cells for match, cells in rows(README, r"(\d+ m), heading (\w+)")}
    assert promised == measured and len(measured) == 8


def test_the_demo_takes_the_promised_minutes() -> None:
    """What it took when docs/results/demo was made, on two cores."""
    (minutes,) = re.findall(r"then about (\d+) minutes", README)
    demo = json.loads((ROOT / "docs/results/demo/demo.json").read_bytes())
    assert int(minutes) == round(demo["minutes"]) <= 8


def test_the_readme_reads_nothing_that_a_command_overwrites() -> None:
    """`make demo` and `dvc repro` write below these, whatever the processor gives."""
    overwritten = ("reports/", "models/", "demo/", "data/")
    assert not [path for path in re.findall(r"\]\(((?!http)[^)]+)\)", README) if path.startswith(overwritten)]
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").split()
    assert {f"/{folder}" for folder in overwritten} <= set(ignored)


def test_make_targets_exist() -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    named = set(re.findall(r"(?:^|`)make (\w+)", README, flags=re.MULTILINE))
    assert {"demo", "test", "ui"} <= named <= targets


def test_every_file_the_readme_shows_or_names_exists() -> None:
    for path in [
        *re.findall(r"\]\(((?!http)[^)]+)\)", README),
        "stages/train.py",
        "aenet/training/loop.py",
        "prefect.yaml",
    ]:
        assert (ROOT / path).exists(), path


def test_sections_of_the_code_map_exist() -> None:
    code_map = README.split("\naenet/\n", 1)[1].split("\ntests/", 1)[0]
    names = [name for line in code_map.splitlines() for name in line[:30].split()]
    assert len(names) > 12
    missing = [name for name in names if not (ROOT / "aenet" / (name if name.endswith("/") else f"{name}.py")).exists()]
    assert not missing
