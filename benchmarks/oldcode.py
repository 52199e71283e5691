"""A plugin of pytest: run today's tests on an earlier version's code, and keep how each of them ended.

`attacks.py` loads it. What a test file imports and the earlier code has not is put there as something that fails when
it is used, so that the tests of the same file that use other doors still say what that code did.
"""

import ast
import importlib
import json
import os
import sys
from collections.abc import Generator
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

OURS = ("aenet", "stages", "flows")
HELPERS = ("serving.world", "serving.watch", "serving.mutations", "tracking_store", "tracer")


class NotThere(Exception):
    """An earlier version lacks what a test uses."""


class _Missing(type):
    """Whatever is done with such a class fails, but for naming it in `except` and `raises`."""

    def __call__(cls, *_: object, **__: object) -> Any:
        raise NotThere(cls.__qualname__)

    def __getattr__(cls, name: str) -> Any:
        return _named(cls.__qualname__, name)


def _named(holder: str, name: str) -> type:
    if name.startswith("__"):  # what Python itself asks everything for
        raise AttributeError(name)
    return missing(f"{holder}.{name}")


def missing(name: str) -> type:
    """Return what stands for something that is not there."""
    return _Missing(name, (Exception,), {"__module__": None})


class Finder:
    """Finds modules of ours that nobody else found: empty ones."""

    def find_spec(self, name: str, _path: object = None, _target: object = None) -> ModuleSpec | None:
        """Answer for what is named as ours."""
        return ModuleSpec(name, self, is_package=True) if name.startswith(tuple(f"{one}." for one in OURS)) else None  # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Return a module in which every name stands for something that is not there."""
        module = ModuleType(spec.name)
        module.__getattr__ = lambda name: _named(spec.name, name)  # type: ignore[method-assign]
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Leave it empty."""


def fill(file: Path) -> None:
    """Put what a file imports from us and is not there where it looks for it."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in OURS:
            module = importlib.import_module(node.module)
            for name in (alias.name for alias in node.names if not hasattr(module, alias.name)):
                try:
                    importlib.import_module(f"{node.module}.{name}")
                except ImportError:
                    setattr(module, name, missing(f"{node.module}.{name}"))


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests() -> None:
    """Begin to answer for what is missing, and give the small world of the tests the calibration of its time."""
    # An installation for development finds what the earlier version lacks where it is installed from: in today's tree.
    sys.meta_path[:] = [finder for finder in sys.meta_path if "editable" not in getattr(finder, "__module__", "")]
    sys.meta_path.append(Finder())  # type: ignore[arg-type]
    tests = Path("tests").resolve()
    sys.path.insert(0, str(tests))
    for name in HELPERS:
        fill(tests / f"{name.replace('.', '/')}.py")
    world = importlib.import_module("serving.world")
    if "Acuity" not in dir(importlib.import_module("aenet.data.card")) or isinstance(world.Acuity, _Missing):
        world.calibration = lambda sharpness: world.Calibration(  # type: ignore[attr-defined]
            known=sharpness, unknown=sharpness, queries=1, references=1
        )


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makemodule(module_path: Path) -> None:
    """Fill in what this file of tests imports before it does."""
    fill(module_path)


def _keep(**line: object) -> None:
    """Append to the file that AENET_OUTCOMES names, at once: the next test may never end."""
    with Path(os.environ["AENET_OUTCOMES"]).open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(line) + "\n")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what began in an earlier process of the same run."""
    lines = Path(os.environ["AENET_OUTCOMES"]).read_text(encoding="utf-8").splitlines()
    begun = {line["begun"] for line in map(json.loads, lines) if "begun" in line}
    items[:] = [item for item in items if item.nodeid not in begun]
    _keep(collected=[item.nodeid for item in items])


def pytest_runtest_logstart(nodeid: str) -> None:
    """Say which test is under way."""
    _keep(begun=nodeid)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    """Say how it ended."""
    report = yield
    if report.when == "call" or (report.when == "setup" and not report.passed):
        error = call.excinfo and call.excinfo.value
        said = f"{type(error).__name__}: {error}" if error else ""
        _keep(test=item.nodeid, outcome=report.outcome, said=said, new=isinstance(error, NotThere))
    return report
