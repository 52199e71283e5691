"""docs/architecture.md and docs/extending.md name what exists, and the picture shows the packages there are."""

import ast
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "docs" / "images"))
from architecture import drawn, plan  # noqa: E402  after the path above


def _prose(page: Path) -> str:
    """Return a page without its examples, which `test_extending` runs."""
    return re.sub(r"^```(?:diff|python)\n.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


PAGES = ("docs/architecture.md", "docs/extending.md", "docs/reference.md", "CONTRIBUTING.md")
NAMES = sorted(
    {
        name
        for page in PAGES
        for name in re.findall(r"\b((?:aenet|stages|flows)(?:\.\w+)+)", _prose(ROOT / page))
        if not name.endswith((".md", ".py", ".yaml"))
    }
)


@pytest.mark.parametrize("name", NAMES)
def test_what_the_pages_name_exists(name: str) -> None:
    _check(name)


def _check(name: str) -> set[str]:
    """Hold a dotted name to a folder, a module, or a name in one (read, not imported, because torch is slow)."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        path, rest = ROOT.joinpath(*parts[:length]), parts[length:]
        file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        if file.exists():
            names = _names(ast.parse(file.read_text(encoding="utf-8")).body)
            assert not rest or rest[0] in names, name
            return names
    pytest.fail(f"there is no {parts[0]}")


def _names(body: Sequence[ast.stmt]) -> set[str]:
    found: set[str] = set()
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign):
            found |= {name.id for target in node.targets for name in ast.walk(target) if isinstance(name, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found.add(node.target.id)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.If):  # of TYPE_CHECKING
            found |= _names(node.body)
    return found


@pytest.mark.parametrize(
    ("title", "last"),
    [("From a photo's pixels", "serving.localize.finish"), ("From `dvc repro train`", "nn.formulae.mhnw")],
)
def test_a_walk_names_functions_in_order_and_their_types(title: str, last: str) -> None:
    walk = (ROOT / "docs/architecture.md").read_text(encoding="utf-8").split(f"\n## {title}", 1)[1].split("\n## ")[0]
    steps = re.findall(r"^\| (\d+) \| `([\w.]+)` \| (.*) \|$", walk, flags=re.MULTILINE)
    assert [int(number) for number, _, _ in steps] == list(range(1, len(steps) + 1)) and steps[-1][1] == last
    for _, function, rest in steps:
        names = _check(function if function.startswith("stages.") else f"aenet.{function}")
        for said in re.findall(r"`([\w.]+)`", rest):
            if "." not in said:
                assert said in names or not said[0].isupper(), f"{function}'s module knows no {said}"
            elif said.split(".")[0] in ("nn", "data", "training", "serving", "scoring"):
                _check(f"aenet.{said}")


def test_the_picture_shows_the_packages_there_are() -> None:
    """Counts may be those of an earlier commit; packages and layers may not: `python docs/images/architecture.py`."""
    assert json.loads(drawn())["layers"] == plan().layers
    imports = json.loads(drawn())["imports"]
    assert all(count > 0 for count in imports.values()) and len(imports) > 20


def test_the_list_of_decisions_is_complete() -> None:
    folder = ROOT / "docs" / "decisions"
    listed = re.findall(r"\]\((\d{4}-[\w-]+\.md)\)", (folder / "README.md").read_text(encoding="utf-8"))
    assert listed == sorted(file.name for file in folder.glob("0*.md"))
