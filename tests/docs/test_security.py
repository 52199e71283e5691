"""SECURITY.md: what it says holds a promise is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_every_promise_names_tests_that_exist() -> None:
    rows = re.findall(r"^\| \*\*.*$", (ROOT / "SECURITY.md").read_text(), re.MULTILINE)
    assert len(rows) > 10
    for row in rows:
        named = re.findall(r"`([\w/]+\.py)`", row.split("|")[2])
        assert named, row
        for name in named:
            folder = "tests" if "test_" in name else "" if "/" in name else "benchmarks"
            assert (ROOT / folder / name).is_file(), name


def test_every_file_that_it_names_exists() -> None:
    text = re.sub(r"^\| .*$", "", (ROOT / "SECURITY.md").read_text(), flags=re.MULTILINE)
    named = re.findall(r"`([\w./-]+\.(?:py|md|txt))`", text)
    assert named and [name for name in named if not (ROOT / name).is_file()] == []


def test_every_item_of_an_attack_names_tests_that_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    from attackitems import ITEMS

    for item in ITEMS:
        for file, _, name in (test.partition("::") for test in item.tests):
            assert not name or f"def {name}(" in (ROOT / "tests" / file).read_text(), (item.title, name)
            assert (ROOT / "tests" / file).is_file(), (item.title, file)
