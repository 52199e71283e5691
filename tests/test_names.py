"""One name a thing: modules, public names and the shapes of a photo, read from the syntax of the code."""

import ast
import sys
from collections import defaultdict
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("aenet", "stages", "flows")

# Modules whose name stands twice, and why.
MODULES = {
    "heatmaps": "the stage is named as its section of params.yaml, the module as what it draws",
    "gallery": "the flow is named as its deployment, the module as what it opens",
    "localize": "the flow is named as its deployment, the module as what it does",
}
# Public functions and classes whose name stands twice, and why.
NAMES = {
    "main": "of every module that is run as a program",
    "Gallery": "one thing: the door's keeps the library's, which is opened when it is needed",
    "evaluate": "one thing: the command calls the door",
    "locate": "one thing: the command calls the door, the door the library",
    "train": "one thing: the door calls the loop, and keeps what it gives",
}
# The photo's way: functions below aenet.serving, in order; what they return is its shapes.
WAY = (
    "photos.listing.list_photos", "photos.metadata.pose.read_account", "photos.coverage.coverage",
    "photos.placement.place", "photos.reading.read_photo", "jobs.photopipeline.read_photos",
    "search.queries.describe", "jobs.photopipeline._question", "search.search.search_gallery",
    "search.answer.believe", "jobs.rows.placed_row",
)  # fmt: skip
SHAPES = 8


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _modules() -> list[Path]:
    return [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py")) if path.name != "__init__.py"]


def _public(path: Path) -> set[str]:
    """Functions and classes of a module, and its other names for types, without underscore."""
    names = set()
    for node in _tree(path).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names |= {one.id for one in node.targets if isinstance(one, ast.Name) and one.id[:1].isupper()}
    return {name for name in names if not name.startswith("_") and not name.isupper()}


def _twice(found: dict[str, list[str]], reasons: dict[str, str]) -> None:
    """Print names that stand more than once with their reasons; refuse one without, and a reason without its name."""
    double = {name: places for name, places in found.items() if len(places) > 1}
    for name, places in sorted(double.items()):
        sys.stdout.write(f"{name}: {', '.join(places)} ({reasons.get(name, 'NO REASON')})\n")
    without = {name: places for name, places in double.items() if name not in reasons}
    assert not without, f"one name, two things: rename one, or give the reason here: {without}"
    assert set(reasons) <= set(double), f"no longer double: {sorted(set(reasons) - set(double))}"


def test_no_module_name_stands_twice_without_a_reason() -> None:
    found = defaultdict(list)
    for path in _modules():
        found[path.stem].append(path.relative_to(ROOT).as_posix())
    _twice(found, MODULES)


def test_no_public_name_stands_twice_without_a_reason() -> None:
    found = defaultdict(list)
    for path in _modules():
        for name in _public(path):
            found[name].append(path.relative_to(ROOT).as_posix())
    _twice(found, NAMES)


def test_a_photo_has_at_most_eight_shapes_from_its_path_to_its_row() -> None:
    """The types of `aenet.serving` and `aenet.scoring` that the functions on its way return; a union counts as one."""
    shapes: dict[str, str] = {}
    for step in WAY:
        module, _, function = step.rpartition(".")
        path = ROOT / "aenet" / "serving" / f"{module.replace('.', '/')}.py"
        (node,) = [one for one in _tree(path).body if isinstance(one, ast.FunctionDef) and one.name == function]
        assert node.returns is not None, f"{step} does not say what it returns"
        for part in ast.walk(node.returns):
            if isinstance(part, ast.Name) and part.id in _of_serving():
                shapes.setdefault(part.id, step)
    sys.stdout.writelines(f"{shape}: {step}\n" for shape, step in shapes.items())
    assert "Reading" in shapes and "Match" in shapes, "the way is another one now: correct WAY"
    assert len(shapes) <= SHAPES, f"a photo takes {len(shapes)} shapes: {', '.join(shapes)}"


@cache
def _of_serving() -> set[str]:
    return {name for path in _modules() if {"serving", "scoring"} & set(path.parts) for name in _public(path)}
