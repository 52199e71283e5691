"""A trained model's folder, damaged or anybody's: rebuilt as it was saved, or one sentence."""

from collections.abc import Callable
from pathlib import Path

import pytest

from aenet.data.card import CARD
from aenet.io.artifacts import atomic_folder
from aenet.io.errors import CorruptArtifact
from aenet.nn.attention import NoAttention
from aenet.nn.backbones import BackboneConfig
from aenet.nn.branches import ModelConfig
from aenet.nn.heads import Gap
from aenet.nn.model import TrainedCard, load_network, save_model, untrained
from aenet.view.spec import ViewSpec
from tests.support import watch
from tests.support.mutations import exchanged, mutated_bytes, mutated_json, outcomes


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = ModelConfig(
        backbone=BackboneConfig(name="test_efficientnet", weights="random"),
        attention=NoAttention(kind="none"),
        head=Gap(kind="gap"),
        shared=True,
    )
    view = ViewSpec.polar(height=32, width=64, tile_size_m=50.0)
    card = TrainedCard(model=config, view=view, trained_on="x", fingerprint="0", epochs=1, best_epoch=1)
    weights = untrained(config).state_dict()
    folder = tmp_path_factory.mktemp("trained") / "model"
    with atomic_folder(folder) as temporary:
        save_model(temporary, card, weights, weights)
    return folder


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[:-7],
        lambda content: content[:100],
        lambda content: b"",
        lambda content: b"\xff" * 8 + content[8:],
        lambda content: content[:20] + b"}" + content[21:],
        lambda content: (2).to_bytes(8, "little") + b"{}",
    ],
)
def test_damaged_weights_are_a_sentence(model: Path, damage: Callable[[bytes], bytes]) -> None:
    """With the digest right, as from whoever made both."""
    file = model / "best.safetensors"
    with (
        exchanged(file, damage(file.read_bytes())),
        pytest.raises(CorruptArtifact, match=r"best\.safetensors does not fit its card, or is damaged"),
    ):
        load_network(model)


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("name", "count"), [(CARD, 25), ("best.safetensors", 15)])
def test_mutations_of_a_trained_model_are_sentences(model: Path, name: str, count: int) -> None:
    mutate = mutated_json if name == CARD else mutated_bytes
    with watch.watching() as seen:
        said = outcomes(model / name, mutate, lambda: load_network(model), 1, count)
    assert seen == [] and sum(map(bool, said)) >= 5
