"""Every command of docs/reproduce.md runs, on a miniature in the layout of its data set, for a few steps."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

import flows.reproduce
from aenet.ablation.variants import VARIANTS
from flows.graph import dvc
from stages import ablate
from tests.support.datasets import build_cvact, build_cvusa
from tests.support.project import ROOT, commit, copy_project, run_in

COMMAND = re.compile(r"`aenet reproduce (\S+) (\S+) --source DIR`")
COMMANDS = COMMAND.findall((ROOT / "docs" / "reproduce.md").read_text())
# ImageNet's weights need a network, and V2-S minutes: the rows run on the small network of the same blocks. One runs
# on V2-S (below), and tests/test_presets.py holds the presets to the paper's values.
FEW_STEPS = {
    "download.validation": "2",
    "train.epochs": "1",
    "train.batch_size": "4",
    "train.threads": "1",
    "evaluate.threads": "1",
    "polar_transform.threads": "1",
    "train.model.backbone.weights": "random",
}
TYPED = ("paper-cvact", "ta_mhnw")  # through the command line and DVC, as CVUSA's on V2-S below
SMALL = {"train.model.backbone.name": "test_efficientnet"}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One copy for all rows: ingest and polar transform run once a data set."""
    folder = copy_project(tmp_path_factory.mktemp("reproduce"))
    commit(folder)
    build_cvusa(folder / "data" / "CVUSA", train=10, val=4)
    build_cvact(folder / "data" / "CVACT", train=10, val=4)
    yield folder
    shutil.rmtree(folder)


def _words(preset: str, row: str, values: dict[str, str]) -> list[str]:
    source = {"paper-cvusa": "data/CVUSA", "paper-cvact": "data/CVACT"}[preset]
    changes = [part for key, value in values.items() for part in ("--set", f"{key}={value}")]
    return [preset, row, "--source", source, *changes]


def _reproduce(project: Path, preset: str, row: str, values: dict[str, str], status: int = 0) -> str:
    return run_in(project, "python", "-m", "aenet", "reproduce", *_words(preset, row, values), status=status)


@pytest.fixture
def reproduce_here(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[str, str, dict[str, str]], str]:
    """The same command in this process: DVC still makes the views, but torch is imported once for all rows."""
    monkeypatch.chdir(project)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("AENET_TRACKING", "journal")

    def repro(command: list[str], check: bool) -> subprocess.CompletedProcess[str]:
        del check
        assert command == dvc("repro", command[-1])
        run_in(project, "dvc", "repro", "polar_transform")
        ablate.main(command[-1].removeprefix("ablate@"))
        return subprocess.CompletedProcess(command, 0)

    def reproduce(preset: str, row: str, values: dict[str, str]) -> str:
        with monkeypatch.context() as patch:
            patch.setattr(flows.reproduce, "subprocess", SimpleNamespace(run=repro))
            flows.reproduce.main(_words(preset, row, values))
        return capsys.readouterr().out

    return reproduce


def test_the_document_has_a_command_for_every_row_of_both_data_sets() -> None:
    assert {(preset, row) for preset in ("paper-cvusa", "paper-cvact") for row in VARIANTS} == set(COMMANDS)


@pytest.mark.parametrize(("preset", "row"), COMMANDS)
def test_a_row_runs_and_stands_beside_the_papers(
    project: Path, reproduce_here: Callable[[str, str, dict[str, str]], str], preset: str, row: str
) -> None:
    if (preset, row) == TYPED:
        printed = _reproduce(project, preset, row, FEW_STEPS | SMALL)
    else:
        printed = reproduce_here(preset, row, FEW_STEPS | SMALL)
    metrics = json.loads((project / "reports" / "ablate" / row / "metrics.json").read_text())
    data = preset.removeprefix("paper-")
    assert metrics["data"] == data and metrics["seeds"]["0"]["places"] == 4
    paper = VARIANTS[row][data]
    line = next(line for line in printed.splitlines() if "paper," in line)
    assert [float(number) for number in re.findall(r"\d+\.\d\d", line)] == list(paper)


def test_the_papers_own_network_takes_its_steps_on_cvusa(project: Path) -> None:
    """V2-S at 128 x 512, flatten, Triplet Attention, MHNW: what `ta_mhnw` is without the network made small."""
    _reproduce(project, "paper-cvusa", "ta_mhnw", FEW_STEPS)
    metrics = json.loads((project / "reports" / "ablate" / "ta_mhnw" / "metrics.json").read_text())
    assert 0 <= metrics["seeds"]["0"]["recall_at_1"] <= 100


def test_an_unknown_row_changes_nothing(project: Path) -> None:
    before = (project / "params.yaml").read_bytes()
    printed = _reproduce(project, "paper-cvusa", "ta_mhwn", {}, status=2)
    assert "did you mean 'ta_mhnw'" in printed
    assert (project / "params.yaml").read_bytes() == before
