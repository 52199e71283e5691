"""The command line: quick to answer, clear when it refuses."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from aenet.cli import app
from aenet.io.params import read_section
from aenet.presets import use_preset
from aenet.training.loop import TrainConfig

ROOT = Path(__file__).resolve().parents[1]
SLOW = ("torch", "mlflow", "prefect", "pandas", "geopandas", "matplotlib", "onnxruntime", "cv2")


def _aenet(*arguments: str, cwd: Path = ROOT) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "aenet", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def test_help_names_every_command_and_imports_nothing_slow() -> None:
    program = (
        "import json, sys; from typer.testing import CliRunner; from aenet.cli import app\n"
        "text = CliRunner().invoke(app, ['--help']).output\n"
        f"print(json.dumps([text, [m for m in {SLOW!r} if m in sys.modules]]))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    text, slow = json.loads(done.stdout)
    for name in ("demo", "reproduce", "gallery", "locate", "evaluate", "doctor", "sync", "preset", "model", "ui"):
        assert name in text
    assert slow == []


@pytest.mark.parametrize(
    "command",
    [
        *(["gallery", name] for name in ("build", "add", "index", "info")),
        *(["preset", name] for name in ("use", "list", "show")),
        *(["model", name] for name in ("info", "fetch")),
        *([name] for name in ("locate", "evaluate", "doctor", "demo", "reproduce", "ui", "sync")),
    ],
)
def test_every_command_explains_itself(command: list[str]) -> None:
    """In words: no names of Python's types, nothing behind a switch, every option with a sentence."""
    shown = CliRunner().invoke(app, [*command, "--help"], terminal_width=200, env={"COLUMNS": "200"})
    assert shown.exit_code == 0 and "Usage" in shown.output
    assert not re.findall(r"--\S+.*<(bool|int|float|str|path)\b", shown.output)
    unsaid = re.findall(r"^\W+(--[\w-]+)\s*│?$", shown.output, flags=re.MULTILINE)
    assert not unsaid


def test_a_demo_outside_the_project_says_where_to_go(tmp_path: Path) -> None:
    done = _aenet("demo", cwd=tmp_path)
    assert done.returncode == 2
    assert "run `aenet demo` in the project's folder" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unknown_split_is_refused_by_name(tmp_path: Path) -> None:
    done = _aenet("evaluate", "--split", "tset", cwd=tmp_path)
    assert done.returncode == 2
    assert "tset" in done.stderr and "train, val, test" in done.stderr


def test_doctor_reports_and_succeeds_here() -> None:
    done = _aenet("doctor")
    assert done.returncode == 0, done.stdout
    assert "provider" in done.stdout and "would run" in done.stdout


def test_a_preset_replaces_its_sections_and_keeps_the_rest(tmp_path: Path) -> None:
    (tmp_path / "presets").symlink_to(ROOT / "presets")
    params = tmp_path / "params.yaml"
    params.write_text((ROOT / "params.yaml").read_text())
    assert use_preset("paper", tmp_path) == ["polar_transform", "train"]
    train = read_section(params, "train", TrainConfig)
    assert (train.model.backbone.name, train.optimizer.lr) == ("tf_efficientnetv2_s", 1e-5)
    before, after = (ROOT / "params.yaml").read_text(), params.read_text()
    assert after.split("evaluate:")[1] == before.split("evaluate:")[1]
    assert after.split("polar_transform:")[0] == before.split("polar_transform:")[0]


def test_an_unknown_preset_names_the_known_ones(tmp_path: Path) -> None:
    done = _aenet("preset", "use", "papre")
    assert done.returncode == 2
    assert "paper" in done.stderr
