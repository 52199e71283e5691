"""docs/extending.md shows additions that work: each edit is made in a copy of the project, each check is run there."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
KINDS = ("loss", "head", "attention", "backbone", "view", "data set", "output format", "executor", "photo source")
# More than two files, and said so on the page; an entry goes when the code lets it.
MORE_FILES = {"executor": 3}

# Runs every check of its standard input, and says what came of each.
DRIVER = """
import json, sys, traceback
said = {}
for kind, check in json.load(sys.stdin).items():
    try:
        exec(compile(check, kind, "exec"), {"__name__": kind})
        said[kind] = ""
    except BaseException:
        said[kind] = traceback.format_exc()
print(json.dumps(said))
"""


class Addition(NamedTuple):
    """A section of the page: its edits, by file, and the check behind them."""

    edits: dict[str, list[tuple[str, str]]]  # what is to be found, and what stands there afterwards
    check: str


def _addition(section: str) -> Addition:
    (diff,), (check,) = (re.findall(rf"^```{kind}\n(.*?)^```", section, re.DOTALL | re.MULTILINE) for kind in _BLOCKS)
    edits: dict[str, list[tuple[str, str]]] = {}
    for file in re.split(r"^\+\+\+ ", diff, flags=re.MULTILINE)[1:]:
        name, *hunks = re.split(r"^@@\n", file, flags=re.MULTILINE)
        edits[name.strip()] = [(_side(hunk, "-"), _side(hunk, "+")) for hunk in hunks]
    return Addition(edits, check)


_BLOCKS = ("diff", "python")


def _side(hunk: str, mark: str) -> str:
    return "".join(line[1:] or "\n" for line in hunk.splitlines(keepends=True) if line[0] in (" ", "\n", mark))


def _section(kind: str) -> str:
    title = f"## A{'n' if kind[0] in 'aeiou' else ''} {kind}\n"
    assert title in TEXT, f"docs/extending.md has no section '{title.strip()}'"
    return TEXT.split(title, 1)[1].split("\n## ", 1)[0]


class Extended(NamedTuple):
    """A copy of the code with the additions made, and what could not be."""

    root: Path
    problems: dict[str, list[str]]


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Extended:
    copy = tmp_path_factory.mktemp("extended")
    for folder in ("aenet", "stages", "flows"):
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", copy)
    return Extended(copy, {kind: _edit(copy, _addition(_section(kind)).edits) for kind in KINDS})


def _edit(copy: Path, edits: dict[str, list[tuple[str, str]]]) -> list[str]:
    """Make the edits; return those whose place is not there, or there twice."""
    problems = []
    for name, hunks in edits.items():
        file = copy / name
        text = file.read_text(encoding="utf-8") if file.exists() else ""
        for old, new in hunks:
            if text.count(old) != 1 if text else old:
                problems.append(f"{name} does not hold once:\n{old}")
            text = text.replace(old, new, 1) if text else new
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return problems


@pytest.fixture(scope="module")
def came_of_checks(copied: Extended) -> dict[str, str]:
    """The traceback of each check, empty where it passed; one process for all, because torch is slow to import."""
    checks = json.dumps({kind: _addition(_section(kind)).check for kind in KINDS})
    environment = {**os.environ, "PYTHONPATH": str(copied.root)}
    ran = subprocess.run(
        [sys.executable, "-c", DRIVER], input=checks, capture_output=True, text=True, cwd=copied.root, env=environment,
        check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    found: dict[str, str] = json.loads(ran.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_the_example_works(kind: str, copied: Extended, came_of_checks: dict[str, str]) -> None:
    assert not copied.problems[kind], "\n".join(copied.problems[kind])
    assert came_of_checks[kind] == ""


@pytest.mark.parametrize("kind", KINDS)
def test_an_addition_touches_one_or_two_files(kind: str) -> None:
    assert len(_addition(_section(kind)).edits) <= MORE_FILES.get(kind, 2)


def test_the_examples_are_in_the_style_of_the_house(copied: Extended) -> None:
    for command in (["check"], ["format", "--check"]):
        ran = subprocess.run(["ruff", *command, "."], cwd=copied.root, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stdout
