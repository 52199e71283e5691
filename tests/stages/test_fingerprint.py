"""What names a run and keys a checkpoint changes with everything that decides the outcome, and with nothing else."""

import shutil
from pathlib import Path

import pytest

from aenet.data.card import InitialWeights
from aenet.io import machine
from aenet.io.artifacts import atomic_folder
from aenet.io.errors import AenetError
from aenet.io.params import read_section
from aenet.nn.backbones import BackboneConfig, initial_weights
from aenet.training.loop import TrainConfig
from stages.project import fingerprint, training_key

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the code with views of a sort, so that stage `train` has all it depends on."""
    for name in ("aenet", "stages"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("dvc.yaml", "params.yaml"):
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights/w.safetensors").write_bytes(b"weights")
    with atomic_folder(tmp_path / "data/views") as folder:
        (folder / "x").write_bytes(b"pixels")
    return tmp_path


def _key(project: Path) -> str:
    config = read_section(project / "params.yaml", "train", TrainConfig)
    return training_key(project, config, project / "data/views", _initial(project))


def _initial(project: Path) -> InitialWeights:
    file = str(project / "weights/w.safetensors")
    return initial_weights(BackboneConfig(name="test_efficientnet", weights=file))


def _edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_nothing_changed_nothing_changes(project: Path) -> None:
    assert fingerprint(project, "train") == fingerprint(project, "train")
    (project / "aenet/nn/__pycache__").mkdir()
    (project / "aenet/nn/__pycache__/losses.pyc").write_bytes(b"compiled")
    assert fingerprint(project, "train") == fingerprint(shutil.copytree(project, project / "copy"), "train")


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("params.yaml", "batch_size: ", "batch_size: 1"),
        ("aenet/nn/losses.py", "import", "import  "),
        ("aenet/training/loop.py", "import", "import  "),
    ],
)
def test_code_and_parameters_change_both(project: Path, file: str, old: str, new: str) -> None:
    before = fingerprint(project, "train"), _key(project)
    _edit(project / file, old, new)
    after = fingerprint(project, "train"), _key(project)
    assert before[0] != after[0] and before[1] != after[1]


def test_data_change_both(project: Path) -> None:
    before = fingerprint(project, "train"), _key(project)
    with atomic_folder(project / "data/views") as folder:
        (folder / "x").write_bytes(b"others")
    after = fingerprint(project, "train"), _key(project)
    assert before[0] != after[0] and before[1] != after[1]


def test_replaced_weights_change_both(project: Path) -> None:
    """Under the name they had."""
    before = fingerprint(project, "train"), fingerprint(project, "ablate", "bam"), _key(project)
    (project / "weights/w.safetensors").write_bytes(b"others!")
    after = fingerprint(project, "train"), fingerprint(project, "ablate", "bam"), _key(project)
    assert all(a != b for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize("library", ["torch", "timm"])
def test_another_torch_or_timm_changes_both(project: Path, monkeypatch: pytest.MonkeyPatch, library: str) -> None:
    before = fingerprint(project, "train"), _key(project)
    installed = machine.version
    monkeypatch.setattr(machine, "version", lambda name: installed(name) + ".9" * (name == library))
    after = fingerprint(project, "train"), _key(project)
    assert before[0] != after[0] and before[1] != after[1]


def test_an_edited_figure_reruns_the_stage_but_not_the_training(project: Path) -> None:
    before = fingerprint(project, "train"), _key(project)
    _edit(project / "aenet/evaluation/figures.py", "import", "import  ")
    after = fingerprint(project, "train"), _key(project)
    assert before[0] != after[0] and before[1] == after[1]


def test_a_variant_is_told_from_another_and_from_a_change_of_its_own(project: Path) -> None:
    names = ("baseline", "bam", "cbam")
    before = {name: fingerprint(project, "ablate", name) for name in names}
    assert len(set(before.values())) == len(names)
    _edit(project / "params.yaml", "{kind: bam, reduction: 16", "{kind: bam, reduction: 8")
    assert [name for name in names if fingerprint(project, "ablate", name) != before[name]] == ["bam"]


def test_a_missing_input_and_an_unknown_stage_are_named(project: Path) -> None:
    shutil.rmtree(project / "data")
    with pytest.raises(AenetError, match=r"data/views does not exist: run the stage"):
        fingerprint(project, "train")
    with pytest.raises(AenetError, match="no stage 'trian'"):
        fingerprint(project, "trian")


def test_a_training_is_keyed_by_the_bytes_it_begins_with_and_not_by_their_licence(project: Path) -> None:
    config, views = read_section(project / "params.yaml", "train", TrainConfig), project / "data/views"
    begun = InitialWeights(source="a-package", revision="0.1.0", sha256="a", licence="Apache-2.0")
    key = training_key(project, config, views, begun)
    assert key == training_key(project, config, views, begun.model_copy(update={"licence": None}))
    assert key != training_key(project, config, views, begun.model_copy(update={"sha256": "b"}))
