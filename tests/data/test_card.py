"""A model's card vouches for its files: nothing else is opened."""

import hashlib
import json
from pathlib import Path

import pytest

from aenet.data.card import CARD, ModelCard, read_card
from aenet.io.errors import AenetError, CorruptArtifact
from aenet.view.spec import ViewSpec

FILES = {"ground.onnx": b"one network", "aerial.onnx": b"another"}


def model(folder: Path, **changes: object) -> ModelCard:
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
    card = ModelCard(
        view=ViewSpec.polar(height=64, width=256, rows=(10, 200), panorama_size=(224, 1232), tile_size_m=70.0),
        descriptor_dim=256,
        backbone="test_efficientnet",
        attention="triplet",
        head="gap",
        trained_on="town",
        fingerprint="abc",
        recall_at_1=81.25,
        sha256={name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()},
    )
    (folder / CARD).write_text(json.dumps(card.model_dump(mode="json") | changes))
    return card


def test_card_reads_back_as_written(tmp_path: Path) -> None:
    assert model(tmp_path) == read_card(tmp_path)


def test_no_card_names_the_stage_to_run(tmp_path: Path) -> None:
    with pytest.raises(AenetError, match="run the export_onnx stage first"):
        read_card(tmp_path)


def test_a_changed_network_is_refused(tmp_path: Path) -> None:
    model(tmp_path)
    (tmp_path / "aerial.onnx").write_bytes(b"Another")
    with pytest.raises(CorruptArtifact, match=r"aerial.onnx has SHA-256 [0-9a-f]{12}, its card says [0-9a-f]{12}"):
        read_card(tmp_path)


def test_a_missing_network_is_refused(tmp_path: Path) -> None:
    model(tmp_path)
    (tmp_path / "ground.onnx").unlink()
    with pytest.raises(CorruptArtifact, match=r"ground.onnx is missing"):
        read_card(tmp_path)


@pytest.mark.parametrize(
    "changes", [{"extra": 1}, {"descriptor_dim": "256"}, {"view": {"height": 64}}, {"sha256": None}]
)
def test_a_card_of_another_make_is_refused(tmp_path: Path, changes: dict[str, object]) -> None:
    model(tmp_path, **changes)
    with pytest.raises(CorruptArtifact, match="not a valid model card"):
        read_card(tmp_path)


def test_half_a_card_is_refused(tmp_path: Path) -> None:
    model(tmp_path)
    (tmp_path / CARD).write_bytes((tmp_path / CARD).read_bytes()[:40])
    with pytest.raises(CorruptArtifact, match="not a valid model card"):
        read_card(tmp_path)
