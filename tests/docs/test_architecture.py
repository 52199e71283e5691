"""docs/architecture.md and docs/extending.md name what exists, and the picture shows the packages there are."""

import importlib
import importlib.util
import json
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "docs" / "images"))
from architecture import drawn, plan  # noqa: E402  after the path above

PAGES = ("docs/architecture.md", "docs/extending.md", "docs/reference.md", "CONTRIBUTING.md")
NAMES = sorted(
    {
        name
        for page in PAGES
        for name in re.findall(r"\b((?:aenet|stages|flows)(?:\.\w+)+)", (ROOT / page).read_text(encoding="utf-8"))
        if not name.endswith((".md", ".py", ".yaml"))
    }
)


@pytest.mark.parametrize("name", NAMES)
def test_what_the_pages_name_exists(name: str) -> None:
    """A module, or a name in one; a name that the page itself adds in an example stands in the example."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        module = ".".join(parts[:length])
        if _is_module(module):
            found = importlib.import_module(module)
            for part in parts[length:]:
                assert hasattr(found, part), f"{module} has no {part}"
                found = getattr(found, part)
            return
    pytest.fail(f"there is no {parts[0]}")


def _is_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def test_the_walks_are_there() -> None:
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    photo, training = (text.split(f"\n## {title}", 1)[1].split("\n## ")[0] for title in ("From a photo's", "From `dvc"))
    for walk, last in ((photo, "aenet.serving.localize.finish"), (training, "aenet.nn.formulae.mhnw")):
        steps = re.findall(r"^\| (\d+) \| `([\w.]+)`", walk, flags=re.MULTILINE)
        assert [int(number) for number, _ in steps] == list(range(1, len(steps) + 1)) and steps[-1][1] == last


def test_the_picture_shows_the_packages_there_are() -> None:
    """Counts may be those of an earlier commit; packages and layers may not: `python docs/images/architecture.py`."""
    assert json.loads(drawn())["layers"] == plan().layers
    imports = json.loads(drawn())["imports"]
    assert all(count > 0 for count in imports.values()) and len(imports) > 20


def test_the_list_of_decisions_is_complete() -> None:
    folder = ROOT / "docs" / "decisions"
    listed = re.findall(r"\]\((\d{4}-[\w-]+\.md)\)", (folder / "README.md").read_text(encoding="utf-8"))
    assert listed == sorted(file.name for file in folder.glob("0*.md"))
