"""The exported model: equal to torch, the same wherever and whenever it is built, and silent about its builder."""

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from aenet.data.card import HALF
from aenet.data.pairs import COLUMNS
from aenet.data.views import Views
from aenet.export.graphs import VIEWS, ExportConfig, descriptor_dim, export_branch, parity, run_onnx
from aenet.export.halfprecision import half_parity, write_half
from aenet.io.artifacts import atomic_folder, sha256_file
from aenet.io.errors import AenetError
from aenet.io.params import read_section
from aenet.nn.branches import ModelConfig, TwoBranch
from aenet.nn.heads import Gem, HeadConfig, Projection
from aenet.nn.model import TrainedCard, load_network, save_model
from aenet.serving.sessions.cuda import BATCH_DIMENSION, CPU, CudaOptions, cuda_device, open_cuda
from aenet.training.loop import TrainConfig
from aenet.view.spec import ViewSpec

ROOT = Path(__file__).resolve().parents[2]
SPEC = ViewSpec.polar(height=32, width=64, tile_size_m=70.0)


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
        export_branch(network.branch(view), SPEC.ground, folder / f"{view}.onnx")
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
    export_branch(network.ground, SPEC.ground, tmp_path / "again.onnx")
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
        export_branch(network.branch(view), SPEC.ground, tmp_path / f"{view}.onnx")
    assert parity(network, tmp_path, _views(5), ExportConfig(threads=1, batches=(1, 3)))["passed"]
    assert descriptor_dim(tmp_path / "aerial.onnx") == dim


def test_shared_branches_survive_saving(config: ModelConfig, tmp_path: Path) -> None:
    shared = config.model_copy(update={"shared": True})
    network = TwoBranch(shared).eval()
    card = TrainedCard(model=shared, view=SPEC, trained_on="t", fingerprint="f", epochs=1, best_epoch=0)
    weights = network.state_dict()
    with atomic_folder(tmp_path / "model") as folder:
        save_model(folder, card, weights, weights)
    loaded, again = load_network(tmp_path / "model")
    pixels = torch.from_numpy(_views(2).ground)
    assert again == card and loaded.aerial is loaded.ground
    assert torch.equal(loaded.ground(pixels), network.ground(pixels))


@pytest.fixture(scope="module")
def halved(exported: Path) -> Path:
    for view in VIEWS:
        write_half(exported / f"{view}.onnx", exported / f"{view}{HALF}")
    return exported


def test_half_precision_gives_the_places_of_full_precision(halved: Path) -> None:
    config = ExportConfig(threads=1, precisions=("fp32", "fp16"))
    report = half_parity(halved, _views(9), config)
    assert report["passed"] and report["top1_changed"] == report["top1_changed_mixed"] == 0
    assert 0.9999 < min(report["cosine"].values()) < 1  # exactly 1 would mean that nothing was rounded
    assert (halved / f"ground{HALF}").stat().st_size < 0.6 * (halved / "ground.onnx").stat().st_size


@pytest.mark.skipif(not cuda_device(), reason="this machine has no CUDA device")
@pytest.mark.parametrize("half", [False, True], ids=["fp32", "fp16"])
def test_cuda_gives_the_descriptors_of_the_cpu(halved: Path, half: bool) -> None:
    """Nothing is left to the CPU, and half precision really computes in half there."""
    views = _views(9).ground
    expected = run_onnx(halved / "ground.onnx", views, 9, 1)
    content = (halved / f"ground{HALF if half else '.onnx'}").read_bytes()
    session = open_cuda(content, CudaOptions(), half, 9, only=True)
    (got,) = session.run(["descriptor"], {"image": views})
    assert (got * expected).sum(axis=1).min() > (0.999 if half else 0.999999)


def test_half_precision_of_another_model_does_not_pass(halved: Path, tmp_path: Path) -> None:
    for name in ("ground.onnx", "aerial.onnx"):
        (tmp_path / name).write_bytes((halved / name).read_bytes())
    (tmp_path / f"ground{HALF}").write_bytes((halved / f"aerial{HALF}").read_bytes())
    (tmp_path / f"aerial{HALF}").write_bytes((halved / f"ground{HALF}").read_bytes())
    assert not half_parity(tmp_path, _views(9), ExportConfig(threads=1))["passed"]


def test_normalising_pixels_and_descriptors_stays_in_full_precision(halved: Path) -> None:
    model = onnx.shape_inference.infer_shapes(onnx.load(halved / f"ground{HALF}"))
    graph = model.graph
    kinds = {info.name: info.type.tensor_type.elem_type for info in (*graph.value_info, *graph.output)}
    by_kind = {node.op_type: kinds[node.output[0]] for node in graph.node}
    full, half = onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16
    assert (by_kind["Sub"], by_kind["Conv"], by_kind["ReduceL2"], by_kind["Div"]) == (full, half, full, full)
    assert kinds["descriptor"] == full and graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.UINT8


def _pooled(path: Path) -> None:
    """A convolution, generalised mean pooling with cubes, a projection: activations of 255, cubes of 16 million."""
    nodes = [
        ("Cast", ["image"], ["real"], {"to": TensorProto.FLOAT}),
        ("Transpose", ["real"], ["planes"], {"perm": [0, 3, 1, 2]}),
        ("Conv", ["planes", "kernel"], ["map"], {}),
        ("Pow", ["map", "three"], ["cubes"], {}),
        ("ReduceMean", ["cubes", "rows_columns"], ["means"], {"keepdims": 0}),
        ("Pow", ["means", "third"], ["pooled"], {}),
        ("Gemm", ["pooled", "matrix"], ["projected"], {}),
        ("LpNormalization", ["projected"], ["descriptor"], {"axis": 1}),
    ]
    weights = {
        "kernel": np.eye(3, dtype=np.float32).reshape(3, 3, 1, 1),
        "three": np.float32(3),
        "third": np.float32(1 / 3),
        "rows_columns": np.array([2, 3]),
        "matrix": np.random.default_rng(0).normal(size=(3, 8)).astype(np.float32),
    }
    graph = helper.make_graph(
        [helper.make_node(kind, inputs, outputs, **attributes) for kind, inputs, outputs, attributes in nodes],
        "pooled",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", 32, 64, 3])],
        [helper.make_tensor_value_info("descriptor", TensorProto.FLOAT, ["batch", 8])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9), path)


def test_cubes_of_large_activations_stay_out_of_half_precision(tmp_path: Path) -> None:
    """Half precision ends at 65,504; the projection behind the cubes is a matrix product and would draw them in."""
    for view in VIEWS:
        _pooled(tmp_path / f"{view}.onnx")
        write_half(tmp_path / f"{view}.onnx", tmp_path / f"{view}{HALF}")
    report = half_parity(tmp_path, _views(9), ExportConfig(threads=1))
    assert min(report["cosine"].values()) > 0.9999


def test_an_overflow_that_the_cpu_does_not_feel_fails(tmp_path: Path) -> None:
    for view in VIEWS:
        _pooled(tmp_path / f"{view}.onnx")
        model = onnx.load(tmp_path / f"{view}.onnx")
        (kernel,) = [tensor for tensor in model.graph.initializer if tensor.name == "kernel"]
        kernel.CopyFrom(numpy_helper.from_array(1e4 * numpy_helper.to_array(kernel), "kernel"))  # 255 e4 > 65,504
        onnx.save(model, tmp_path / f"{view}.onnx")
        write_half(tmp_path / f"{view}.onnx", tmp_path / f"{view}{HALF}")
    report = half_parity(tmp_path, _views(9), ExportConfig(threads=1))
    assert 1e6 < report["largest_activation"]["ground"] <= 255e4 and not report["passed"]
    json.dumps(report, allow_nan=False)  # as it is published


def test_a_graph_with_nothing_to_halve_is_refused(tmp_path: Path) -> None:
    _pooled(tmp_path / "ground.onnx")
    model = onnx.load(tmp_path / "ground.onnx")
    for node in model.graph.node:
        if node.op_type in ("Conv", "Gemm"):
            node.op_type = "Add"
    onnx.save(model, tmp_path / "ground.onnx")
    with pytest.raises(AenetError, match="nothing to put in half precision"):
        write_half(tmp_path / "ground.onnx", tmp_path / f"ground{HALF}")


def test_a_fixed_batch_leaves_no_shape_arithmetic_for_the_cpu(exported: Path, tmp_path: Path) -> None:
    """Such nodes run on the CPU beside CUDA: where CUDA alone is demanded they would be an error."""
    counts = []
    for batch in (None, 4):
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
        if batch:
            options.add_free_dimension_override_by_name(BATCH_DIMENSION, batch)
        onnxruntime.InferenceSession(str(exported / "ground.onnx"), options, providers=[CPU])
        counts.append(sum(node.op_type == "Shape" for node in onnx.load(tmp_path / "optimized.onnx").graph.node))
    assert counts == [1, 0]


def test_export_without_full_precision_is_refused() -> None:
    with pytest.raises(ValueError, match="must contain fp32"):
        ExportConfig(threads=1, precisions=("fp16",))
