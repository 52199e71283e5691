"""The exported model: equal to torch, the same wherever and whenever it is built, and silent about its builder."""

from pathlib import Path

import numpy as np
import onnx
import pandas as pd
import pytest
import torch

from aenet.artifacts import atomic_folder, sha256_file
from aenet.card import ViewSpec
from aenet.data.pairs import COLUMNS
from aenet.data.views import Views
from aenet.export import VIEWS, ExportConfig, descriptor_dim, export_branch, parity
from aenet.model import TrainedCard, load_model, save_model
from aenet.nn.branches import ModelConfig, TwoBranch
from aenet.nn.heads import Gem, HeadConfig, Projection
from aenet.params import read_section
from aenet.training import TrainConfig

ROOT = Path(__file__).resolve().parents[1]
SPEC = ViewSpec(height=32, width=64, tile_size_m=70.0)


@pytest.fixture(scope="module")
def config() -> ModelConfig:
    return read_section(ROOT / "params.yaml", "train", TrainConfig).model


@pytest.fixture(scope="module")
def network(config: ModelConfig) -> TwoBranch:
    torch.manual_seed(0)
    return TwoBranch(config).eval()


@pytest.fixture(scope="module")
def exported(network: TwoBranch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("onnx")
    for view in VIEWS:
        export_branch(network.branch(view), SPEC, folder / f"{view}.onnx")
    return folder


def _views(n: int) -> Views:
    pixels = np.random.default_rng(0).integers(0, 256, (2, n, 32, 64, 3), dtype=np.uint8)
    table = pd.DataFrame({column: np.zeros(n) for column in COLUMNS})
    return Views("test", table, pixels[0], pixels[1], SPEC)


def test_onnx_equals_torch_at_every_batch_size(network: TwoBranch, exported: Path) -> None:
    report = parity(network, exported, _views(9), ExportConfig(threads=1))
    assert report["passed"] and set(report["batches"]) == {"1", "3", "8"}
    assert report["max_abs_difference"] <= 1e-4 and report["top1_changed"] == 0


def test_parity_fails_for_another_model(network: TwoBranch, exported: Path, config: ModelConfig) -> None:
    torch.manual_seed(1)
    other = TwoBranch(config).eval()
    assert not parity(other, exported, _views(9), ExportConfig(threads=1))["passed"]


def test_the_graph_takes_bytes_gives_units_and_tells_nothing_of_its_builder(exported: Path, tmp_path: Path) -> None:
    graph = onnx.load(exported / "ground.onnx").graph
    (image,), (descriptor,) = graph.input, graph.output
    assert (image.name, descriptor.name) == ("image", "descriptor")
    assert image.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert [d.dim_value for d in image.type.tensor_type.shape.dim[1:]] == [32, 64, 3]
    assert descriptor_dim(exported / "ground.onnx") == 256 * 1 * 2
    content = (exported / "ground.onnx").read_bytes()
    for trace in (str(ROOT).encode(), b"branches.py", b"site-packages"):
        assert trace not in content


def test_the_same_weights_give_the_same_file(network: TwoBranch, exported: Path, tmp_path: Path) -> None:
    export_branch(network.ground, SPEC, tmp_path / "again.onnx")
    assert sha256_file(tmp_path / "again.onnx") == sha256_file(exported / "ground.onnx")


@pytest.mark.parametrize(
    ("head", "dim"),
    [
        (Gem(kind="gem", p=2.5), 256),
        (Projection(kind="projection", of="gem", dim=24), 24),
        (Projection(kind="projection", of="flatten", map_size=(1, 2), dim=24), 24),
    ],
    ids=lambda value: value.kind if hasattr(value, "kind") else "",
)
def test_learned_heads_export_with_a_dynamic_batch(
    config: ModelConfig, head: HeadConfig, dim: int, tmp_path: Path
) -> None:
    torch.manual_seed(2)
    network = TwoBranch(config.model_copy(update={"head": head})).eval()
    for view in VIEWS:
        export_branch(network.branch(view), SPEC, tmp_path / f"{view}.onnx")
    assert parity(network, tmp_path, _views(5), ExportConfig(threads=1, batches=(1, 3)))["passed"]
    assert descriptor_dim(tmp_path / "aerial.onnx") == dim


def test_shared_branches_survive_saving(config: ModelConfig, tmp_path: Path) -> None:
    shared = config.model_copy(update={"shared": True})
    network = TwoBranch(shared).eval()
    card = TrainedCard(model=shared, view=SPEC, trained_on="t", fingerprint="f", epochs=1, best_epoch=0)
    weights = network.state_dict()
    with atomic_folder(tmp_path / "model") as folder:
        save_model(folder, card, weights, weights)
    loaded, again = load_model(tmp_path / "model")
    pixels = torch.from_numpy(_views(2).ground)
    assert again == card and loaded.aerial is loaded.ground
    assert torch.equal(loaded.ground(pixels), network.ground(pixels))
