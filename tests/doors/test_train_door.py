"""`aenet.train`: a model is kept with its weights, card and history; a second call finds it; a killed one goes on."""

from pathlib import Path

import pytest

import aenet
from aenet.io.params import read_yaml
from aenet.nn.model import load_network
from tests.support.training_project import new_project

CHANGES = {
    "epochs": 2, "batch_size": 8, "threads": 1, "validate_every": 1,
    "sampling": {"kind": "similarity", "group": 4, "first_epoch": 2},
}  # fmt: skip
ROOT = Path(__file__).resolve().parents[2]


class Killed(Exception):
    """Stands for a kill after an epoch."""


def test_a_training_is_kept_found_and_taken_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    views, out = new_project(tmp_path, monkeypatch) / "data" / "views", tmp_path / "models" / "mine"
    seen: list[int] = []

    def stop_after_one(epoch: object) -> None:
        raise Killed

    with pytest.raises(Killed):
        aenet.train(str(views), "town", str(tmp_path / "killed"), changes=CHANGES, on_epoch=stop_after_one)
    assert not (tmp_path / "killed").exists()
    told: list[int] = []
    again = aenet.train(
        views, "town", tmp_path / "killed", changes=CHANGES, on_step=lambda step: told.append(step.epoch)
    )
    assert set(told) == {1}  # the first epoch was not trained again
    run = aenet.train(views, preset="town", out=out, changes=CHANGES, on_epoch=lambda epoch: seen.append(epoch.epoch))
    assert seen == [0, 1] and len(run.history) == 2 and run.card.epochs == 2
    assert {"best.safetensors", "last.safetensors", "model.json", "history.csv"} <= {
        file.name for file in out.iterdir()
    }
    weights, card = load_network(out)
    assert card == run.card == again.card and card.trained_on == "unnamed data (48 pairs)"
    for name, tensor in again.network.state_dict().items():
        assert tensor.equal(weights.state_dict()[name]), name
    assert [path.name for path in out.parent.iterdir() if "checkpoints" in path.name] == []
    found = aenet.train(views, "town", out, changes=CHANGES, on_step=lambda step: pytest.fail("trained again"))
    assert found.history.equals(run.history)
    with pytest.raises(aenet.AenetError, match="holds a model of other inputs"):
        aenet.train(views, "town", out, changes={**CHANGES, "seed": 1})


@pytest.mark.parametrize(
    ("preset", "changes", "sentence"),
    [
        ("papre", {}, r"there is no preset 'papre' \(known: .*paper"),
        ("town-study", {"epoch": 2}, r"unknown key 'train.epoch' \(did you mean 'epochs'\?\)"),
        ("paper", {"modle.head": 1}, r"no mapping 'modle' there \(did you mean 'model'\?\)"),
        ("paper", {"epochs": "two"}, r"preset paper: 'train.epochs': .*found 'two'"),
    ],
)
def test_what_cannot_be_trained_is_said(tmp_path: Path, preset: str, changes: dict[str, object], sentence: str) -> None:
    with pytest.raises(aenet.AenetError, match=sentence):
        aenet.train(tmp_path, preset, tmp_path / "out", changes=changes)


def test_the_code_that_decides_a_training_is_that_of_the_stage() -> None:
    from aenet.doors.fitdoor import ROOMS

    deps = read_yaml(ROOT / "dvc.yaml")["stages"]["train"]["deps"]
    assert {f"aenet/{room}" for room in ROOMS} == {dep for dep in deps if dep.startswith("aenet/")}
