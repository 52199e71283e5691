"""The files that forges, citation tools and hooks read agree with the project."""

import re
import tomllib
from pathlib import Path

import pytest

from aenet.io.params import read_yaml

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_citation_is_this_version_and_the_papers() -> None:
    said = read_yaml(ROOT / "CITATION.cff")
    assert (said["version"], said["license"]) == (PROJECT["version"], PROJECT["license"])
    paper = said["preferred-citation"]
    assert paper["doi"] in README and paper["title"].split(": ")[1] in " ".join(README.split())
    where = f"{paper['volume']}({paper['issue']}), {paper['start']}-{paper['end']}, {paper['year']}"
    assert where in " ".join(README.split())
    assert [author["family-names"] for author in paper["authors"]] == ["Xu", "Zhu", "Qi", "Li", "Yang"]


def test_hooks_are_the_linters_of_the_makefile() -> None:
    """All of `make lint`, from the project's environment: one version of each program."""
    (repository,) = read_yaml(ROOT / ".pre-commit-config.yaml")["repos"]
    assert repository["repo"] == "local"
    entries = [hook["entry"] for hook in repository["hooks"]]
    assert all(
        entry.startswith(".venv/bin/") and hook["language"] == "system"
        for entry, hook in zip(entries, repository["hooks"], strict=True)
    )
    recipe = re.search(r"^lint:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert recipe is not None
    for line in recipe[1].splitlines():
        words = [word for word in line.split("#")[0].split() if word != "."]
        assert any(set(words) <= set(entry.removeprefix(".venv/bin/").split()) for entry in entries), line


def test_every_file_that_a_hook_or_a_form_names_exists() -> None:
    texts = [ROOT / ".pre-commit-config.yaml", *(ROOT / ".github").rglob("*.md")]
    named = {name for file in texts for name in re.findall(r"\b(?:docs|tests)/[\w/]+\.\w+", file.read_text())}
    assert named and not [name for name in named if not (ROOT / name).exists()]


@pytest.mark.parametrize("extra", ["docs"])
def test_an_extra_is_pinned(extra: str) -> None:
    pinned = {
        line.split("==")[0].lower() for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line
    }
    wanted = {re.split(r"[<>=\[]", name)[0].lower() for name in PROJECT["optional-dependencies"][extra]}
    assert wanted <= pinned


def test_changes_are_told_under_the_version_that_is_made() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    titles = re.findall(r"^## (.+)$", text, flags=re.MULTILINE)
    assert titles[0] == "Unreleased" and f"{PROJECT['version']}" in text
    assert set(re.findall(r"^### (.+)$", text, flags=re.MULTILINE)) <= {
        "Added", "Changed", "Deprecated", "Removed", "Fixed", "Security",
    }  # fmt: skip


def test_contributing_names_what_the_makefile_has() -> None:
    """The four commands, with how long they take; the demo's minutes are the README's."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `make (\w+)` \|.*\| (.+?) \|$", text, flags=re.MULTILINE))
    assert set(rows) == {"demo", "test", "lint", "docs"}
    (minutes,) = re.findall(r"then about (\d+) minutes", README)
    assert rows["demo"] == f"about {minutes} minutes"
