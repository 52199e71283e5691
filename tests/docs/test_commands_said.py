"""Commands that documents, presets and comments name exist, take the options shown, and do what is said of them."""

import importlib.util
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from dvc.cli.parser import get_main_parser

from aenet.cli import app
from aenet.io.params import read_yaml
from aenet.town.config import Panorama, Places, TownConfig
from aenet.town.dataset import generate
from aenet.view.images import decode

ROOT = Path(__file__).resolve().parents[2]
PROSE = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
SETTINGS = [ROOT / "params.yaml", ROOT / "dvc.yaml", ROOT / "prefect.yaml", *sorted((ROOT / "presets").glob("*.yaml"))]
SCRIPTS = [ROOT / "Makefile", *sorted((ROOT / "docs").rglob("*.py")), *sorted((ROOT / "flows").glob("*.py"))]
STAGES = read_yaml(ROOT / "dvc.yaml")["stages"]
VARIANTS = {
    name
    for file in (ROOT / "params.yaml", *(ROOT / "presets").glob("*.yaml"))
    for name in read_yaml(file).get("ablate", {}).get("variants", {})
}
OURS = ("aenet/", "stages/", "flows/", "docs/", "presets/", "tests/", "benchmarks/")


def lines(text: str) -> Iterator[str]:
    """Yield what a text shows as commands: fenced blocks line by line, recipes, stages' commands, spans of code."""
    for block in re.findall(r"^```\w*\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE):
        yield from block.splitlines()
    yield from re.findall(r"^(?:\t|\s+cmd: )(.*)$", text, flags=re.MULTILINE)
    plain = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    for span in re.findall(r"(?<!`)`([^`]+)`(?!`)", plain):
        yield re.sub(r"\s*\n\s*#?\s*", " ", span)


def commands(text: str) -> Iterator[list[str]]:
    """Yield the words of each command of ours."""
    for line in lines(text):
        for part in re.split(r"&&|;|\s\|\s", re.sub(r"\s#.*", "", line)):
            try:
                words = shlex.split(part.replace("${key}", min(VARIANTS)))
            except ValueError:  # a code span that is no command
                continue
            if (
                len(words) > 1
                and not any(word.startswith("{") for word in words)
                and words[0] in ("aenet", "dvc", "make", "python", "accelerate")
            ):
                yield words


SAID = [(file, words) for file in (*PROSE, *SETTINGS, *SCRIPTS) for words in commands(file.read_text(encoding="utf-8"))]


@pytest.mark.parametrize(
    ("file", "words"), SAID, ids=[f"{file.relative_to(ROOT)}: {' '.join(words)}" for file, words in SAID]
)
def test_a_command_that_is_named_exists(file: Path, words: list[str]) -> None:
    match words[0]:
        case "aenet":
            check_aenet(words[1:])
        case "dvc":
            check_dvc(words[1:])
        case "make":
            targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
            assert set(words[1:]) <= set(targets)
        case _:
            check_python(words[1:])
    for path in (word for word in words if word.startswith(OURS)):
        assert (ROOT / path).exists(), path


def check_aenet(words: list[str]) -> None:
    """By the command line's own parser; a command may be named without what it needs."""
    command = typer.main.get_command(app)
    while words and hasattr(command, "commands"):
        assert words[0] in command.commands, f"{command.name} has no command {words[0]}"
        command, words = command.commands[words[0]], words[1:]
    if command.name == "reproduce" and words:
        assert (ROOT / "presets" / f"{words[0]}.yaml").exists() and (words[1] == "ROW" or words[1] in VARIANTS)
    try:
        command.make_context(command.name, list(words))
    except Exception as error:  # noqa: BLE001  the kinds are private to typer
        assert type(error).__name__ in ("MissingParameter", "NoArgsIsHelpError"), error
    if command.name == "use" and words:
        assert (ROOT / "presets" / f"{words[0]}.yaml").exists(), f"there is no preset {words[0]}"


def check_dvc(words: list[str]) -> None:
    given = get_main_parser().parse_args(words)
    for target in given.targets if words[0] == "repro" else ():
        stage, _, item = target.partition("@")
        assert target.isupper() or stage in STAGES, target
        assert not item or item.isupper() or item in VARIANTS, target


def check_python(words: list[str]) -> None:
    """A module by its name and its options, a file by being there."""
    if "-m" in words:
        check_module(words[words.index("-m") + 1], words[words.index("-m") + 2 :])
    else:
        assert (ROOT / words[0]).is_file()


def check_module(module: str, given: list[str]) -> None:
    found = importlib.util.find_spec(module)
    assert found is not None and found.origin is not None, f"there is no module {module}"
    if module.startswith(("aenet.", "stages.", "flows.")):
        shared = (ROOT / "flows" / "commandline.py").read_text() if module.startswith("flows.") else ""
        code = Path(found.origin).read_text() + shared
        assert not given or "argparse" in code, f"{module} takes no arguments"
        assert all(f'"{word}"' in code for word in given if word.startswith("--")), f"{module} has no such option"


def test_there_is_something_to_read() -> None:
    assert {words[0] for _, words in SAID} >= {"aenet", "dvc", "make", "python"} and len(SAID) > 60


def test_reports_said_to_come_of_a_stage_do() -> None:
    """Where a sentence names `dvc repro STAGE` and a file of reports/, a stage it asks for writes that file."""
    seen = 0
    for file in PROSE:
        for sentence in re.split(r"(?<=[.:])\s", re.sub(r"\s+", " ", file.read_text(encoding="utf-8"))):
            stages = re.findall(r"`(?:[^`]*&& )?dvc repro ([a-z_ ]+)`", sentence)
            for path in re.findall(r"`(reports/[\w./]+)`", sentence) if stages else ():
                seen += 1
                assert path in {out for stage in stages[0].split() for out in written(stage)}, (file.name, sentence)
    assert seen >= 2


def written(stage: str) -> set[str]:
    """Files that a stage writes, and those it reads of other stages' reports."""
    spec = STAGES[stage].get("do", STAGES[stage])
    outs = [*spec.get("outs", []), *spec.get("metrics", []), *spec.get("plots", [])]
    return {name for out in outs for name in (out if isinstance(out, dict) else [out])}


def test_the_readmes_picture_can_be_made(tmp_path: Path) -> None:
    """The script itself, started as it says, beside a town of a few places."""
    places, panorama = Places(train=2, val=1, test=3), Panorama(height=64, width=256)
    town = TownConfig(width_m=400.0, height_m=300.0, spacing_m=4.0, places=places, panorama=panorama)
    generate(town, tmp_path / "data" / "raw")
    script = tmp_path / "docs" / "images" / "make.py"
    script.parent.mkdir(parents=True)
    shutil.copy(ROOT / "docs" / "images" / "make.py", script)
    command = [sys.executable, "docs/images/make.py"]
    ran = subprocess.run([*command, "0", "2"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    picture = decode(script.with_name("town.jpg"))
    assert picture.shape[0] > 700 and picture.std() > 20
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 1 and "3 test places, there is no row 260" in ran.stderr
