"""dvc.yaml tells the truth: DVC does not follow imports, so a missing dependency would be a missed rebuild."""

from pathlib import Path

import pytest

from aenet.io.params import read_yaml
from stages.project import Paths
from tests.support.closure import ROOT, import_closure

STAGES = read_yaml(ROOT / "dvc.yaml")["stages"]


def _spec(stage: str) -> dict[str, list[str]]:
    spec: dict[str, list[str]] = STAGES[stage].get("do", STAGES[stage])
    return spec


def _code(stage: str) -> tuple[set[str], list[str]]:
    """Files that the stage's code dependencies cover, and those dependencies."""
    deps = [dep for dep in _spec(stage)["deps"] if dep.startswith(("aenet", "stages"))]
    files: set[str] = set()
    for dep in deps:
        found = [ROOT / dep] if dep.endswith(".py") else sorted((ROOT / dep).rglob("*.py"))
        files |= {path.relative_to(ROOT).as_posix() for path in found if path.name != "__init__.py"}
    return files, deps


@pytest.mark.parametrize("stage", STAGES)
def test_dependencies_cover_every_module_the_stage_imports(stage: str) -> None:
    missing = import_closure(stage) - _code(stage)[0]
    assert not missing, f"add to dvc.yaml, stage {stage}: {sorted(missing)}"


@pytest.mark.parametrize("stage", STAGES)
def test_no_dependency_is_superfluous(stage: str) -> None:
    closure = import_closure(stage)
    superfluous = [dep for dep in _code(stage)[1] if not any(f == dep or f.startswith(dep + "/") for f in closure)]
    assert not superfluous, f"an edit there would re-run {stage} for nothing: {superfluous}"


def test_the_comparison_does_not_rerun_for_an_edit_of_the_network() -> None:
    """Its inputs are the variants' metrics; a run that changed them reruns it."""
    learning = ("aenet/nn/", "aenet/training/", "aenet/evaluation/embed", "stages/ablate", "stages/fitting")
    assert [file for file in import_closure("compare") if file.startswith(learning)] == []


def test_stage_is_module_is_section() -> None:
    sections = read_yaml(ROOT / "params.yaml")
    modules = {path.stem for path in (ROOT / "stages").glob("*.py")}
    assert set(STAGES) <= modules
    assert set(STAGES) - {"compare"} == set(sections)  # compare has no settings: it reads section ablate
    for stage in STAGES:
        assert stage in _spec(stage)["cmd"].split("stages.")[1]


def test_outs_are_where_the_stages_write() -> None:
    paths = Paths(Path())
    outs = {stage: _spec(stage)["outs"] for stage in ("download", "polar_transform", "train", "export_onnx")}
    written = (paths.raw, paths.views, paths.model, paths.onnx)
    assert [out for (out,) in outs.values()] == [path.as_posix() for path in written]


@pytest.mark.parametrize("stage", ["train", "ablate"])
def test_replaced_weights_are_seen(stage: str) -> None:
    """`stages.fitting` refuses a file anywhere else; git keeps the folder, which must exist."""
    folder = Paths(Path()).weights.as_posix()
    assert folder in _spec(stage)["deps"] and (ROOT / folder / "README.md").exists()
