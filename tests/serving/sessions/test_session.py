"""Sessions: the model that runs is the one its card describes, where it was asked to run."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, external_data_helper, helper, numpy_helper

from aenet.data.card import HALF, model_digest, read_card
from aenet.io.errors import AenetError, CorruptArtifact
from aenet.serving.sessions.cuda import Bound, CudaOptions, cuda_device, providers
from aenet.serving.sessions.runtime import SessionOptions, open_network
from aenet.serving.sessions.session import OnnxBranch
from tests.support import world
from tests.support.world import CPU, World


def _views(count: int, seed: int = 0) -> np.ndarray:
    shape = (count, world.HEIGHT, world.WIDTH, 3)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def test_descriptors_do_not_depend_on_the_batch(small_world: World) -> None:
    views = _views(11)
    whole = OnnxBranch(small_world.model, "ground", SessionOptions(provider="cpu", threads=1, batch_size=11)).embed(
        views
    )
    parts = OnnxBranch(small_world.model, "ground", SessionOptions(provider="cpu", threads=1, batch_size=4)).embed(
        views
    )
    assert whole.shape == (11, 96)
    np.testing.assert_allclose(np.linalg.norm(whole, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(whole, parts, atol=1e-6)
    assert OnnxBranch(small_world.model, "ground", CPU).embed(views[:0]).shape == (0, 96)


def test_views_of_another_size_are_refused_with_both_sizes(small_world: World) -> None:
    with pytest.raises(AenetError, match=r"16 x 64 px, got 32 x 64"):
        OnnxBranch(small_world.model, "ground", CPU).embed(np.zeros((1, 32, 64, 3), np.uint8))


def test_a_constant_view_has_no_direction_and_is_an_error_not_a_nan(tmp_path: Path) -> None:
    """Descriptors of zero length or NaN would rank somewhere all the same."""
    model = world.make_model(tmp_path / "model")
    graph = onnx.load(model / "ground.onnx")
    graph.graph.initializer[1].CopyFrom(helper.make_tensor("bias", TensorProto.FLOAT, [1], [float("nan")]))
    (model / "ground.onnx").write_bytes(graph.SerializeToString())
    world.write_card(model, 96)
    with pytest.raises(AenetError, match="length nan instead of 1, whatever the view: the model is damaged"):
        OnnxBranch(model, "ground", CPU).embed(_views(1))


def test_a_view_without_direction_is_named_and_the_others_are_embedded(tmp_path: Path) -> None:
    branch = OnnxBranch(
        world.make_model(tmp_path / "model", bias=0.0),
        "ground",
        SessionOptions(provider="cpu", threads=1, batch_size=2),
    )
    views = _views(5)
    views[3] = 128
    descriptors, faults = branch.embed_each(views)
    assert list(faults) == [3] and re.search(r"length (0|nan) instead of 1", faults[3])
    np.testing.assert_allclose(np.linalg.norm(descriptors[[0, 1, 2, 4]], axis=1), 1, atol=1e-5)
    with pytest.raises(AenetError, match=r"ground\.onnx on CPU .*, view 3: the model gives"):
        branch.embed(views)


def test_a_flipped_byte_in_the_model_is_refused(small_world: World, tmp_path: Path) -> None:
    model = shutil.copytree(small_world.model, tmp_path / "model")
    content = bytearray((model / "ground.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    (model / "ground.onnx").write_bytes(content)
    with pytest.raises(CorruptArtifact, match=r"ground\.onnx has SHA-256"):
        OnnxBranch(model, "ground", CPU)


def test_a_graph_that_is_not_the_cards_is_refused(small_world: World, tmp_path: Path) -> None:
    model = shutil.copytree(small_world.model, tmp_path / "model")
    card = json.loads((model / "model.json").read_text())
    card["view"]["aerial"]["width"] = 128
    (model / "model.json").write_text(json.dumps(card))
    with pytest.raises(AenetError, match=r"\[16, 128, 3\] by its card"):
        OnnxBranch(model, "aerial", CPU)
    card["view"]["aerial"]["width"], card["descriptor_dim"], card["map_shape"] = 64, 95, None
    (model / "model.json").write_text(json.dumps(card))
    with pytest.raises(AenetError, match="descriptor N x 95"):
        OnnxBranch(model, "ground", CPU)


def test_weights_outside_the_file_are_refused(tmp_path: Path) -> None:
    model = world.make_model(tmp_path / "model")
    graph = onnx.load(model / "ground.onnx")
    graph.graph.initializer[1].CopyFrom(numpy_helper.from_array(np.ones(1, np.float32), "bias"))
    external_data_helper.convert_model_to_external_data(graph, location="weights.bin", size_threshold=0)
    onnx.save(graph, model / "ground.onnx")
    world.write_card(model, 96)
    with pytest.raises(CorruptArtifact, match="weights outside its file"):
        OnnxBranch(model, "ground", CPU)


def test_no_model_there(tmp_path: Path) -> None:
    with pytest.raises(AenetError, match="export_onnx"):
        OnnxBranch(tmp_path, "ground", CPU)


@pytest.mark.skipif(bool(cuda_device()), reason="this machine has a CUDA device")
def test_without_a_device_cuda_is_an_error_and_auto_says_cpu_and_prints_nothing(small_world: World) -> None:
    with pytest.raises(AenetError, match=r"cuda was demanded but .* `provider` auto or cpu"):
        OnnxBranch(small_world.model, "ground", SessionOptions(provider="cuda", threads=1))
    code = (
        "import sys; from pathlib import Path; from aenet.serving.sessions.session import OnnxBranch;"
        "from aenet.serving.sessions.runtime import SessionOptions;"
        "print(OnnxBranch(Path(sys.argv[1]), 'ground', SessionOptions(threads=1)).runs_on)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, str(small_world.model)], capture_output=True, text=True, check=True
    )
    assert ran.stdout == "CPU (1 thread)\n"
    assert ran.stderr == ""


@pytest.mark.skipif(not cuda_device(), reason="this machine has no CUDA device")
def test_with_a_device_cuda_gives_the_same_descriptors(small_world: World) -> None:
    views = _views(5)
    on_cuda = OnnxBranch(small_world.model, "ground", SessionOptions(provider="cuda", threads=1))
    assert on_cuda.runs_on.startswith("CUDA")
    np.testing.assert_allclose(
        on_cuda.embed(views),
        OnnxBranch(small_world.model, "ground", SessionOptions(provider="cpu")).embed(views),
        atol=1e-3,
    )


@pytest.mark.skipif(not cuda_device(), reason="this machine has no CUDA device")
def test_with_a_device_graphs_and_short_batches_change_nothing(small_world: World) -> None:
    views = _views(11)
    plain = OnnxBranch(small_world.model, "ground", SessionOptions(provider="cuda", threads=1, batch_size=4)).embed(
        views
    )
    options = CudaOptions(graphs=True, memory_mib=512)
    graphs = OnnxBranch(
        small_world.model, "ground", SessionOptions(provider="cuda", threads=1, batch_size=4, cuda=options)
    )
    np.testing.assert_allclose(graphs.embed(views), plain, atol=1e-6)
    np.testing.assert_allclose(graphs.embed(views[::-1].copy()), plain[::-1], atol=1e-6)  # replayed on other pixels


@pytest.mark.skipif(not cuda_device(), reason="this machine has no CUDA device")
def test_a_device_number_that_is_not_there_is_refused(small_world: World) -> None:
    with pytest.raises(AenetError, match="device 99 was asked for, the NVIDIA driver shows"):
        OnnxBranch(small_world.model, "ground", SessionOptions(provider="cuda", threads=1, cuda=CudaOptions(device=99)))


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder with two files a branch, told apart by what they answer."""
    model = world.make_model(tmp_path_factory.mktemp("both") / "model")
    for side in ("ground", "aerial"):
        graph = onnx.load(model / f"{side}.onnx")
        graph.graph.initializer[1].CopyFrom(helper.make_tensor("bias", TensorProto.FLOAT, [1], [50.0]))
        (model / f"{side}{HALF}").write_bytes(graph.SerializeToString())
    world.write_card(model, 96)
    return model


def test_the_precision_asked_for_is_the_file_that_runs(both: Path) -> None:
    views = _views(3)
    by_precision = {
        name: OnnxBranch(both, "ground", SessionOptions(provider="cpu", threads=1, precision=name))
        for name in ("auto", "fp32", "fp16")
    }
    assert by_precision["auto"].runs_on == by_precision["fp32"].runs_on == "CPU (1 thread)"
    assert by_precision["fp16"].runs_on == "CPU (1 thread, fp16)"
    answers = {name: branch.embed(views) for name, branch in by_precision.items()}
    np.testing.assert_array_equal(answers["auto"], answers["fp32"])
    assert np.abs(answers["fp16"] - answers["fp32"]).max() > 0.01


def test_half_precision_added_to_a_model_leaves_its_galleries_valid(both: Path) -> None:
    card = read_card(both)
    alone = {name: digest for name, digest in card.sha256.items() if not name.endswith(HALF)}
    assert len(alone) == 2 < len(card.sha256)
    assert model_digest(card) == model_digest(card.model_copy(update={"sha256": alone}))
    other = alone | {"aerial.onnx": "0" * 64}
    assert model_digest(card) != model_digest(card.model_copy(update={"sha256": other}))


def test_a_precision_that_is_not_there_is_refused(small_world: World) -> None:
    with pytest.raises(AenetError, match=r"no half-precision model \(ground\.fp16\.onnx\): export with precisions"):
        OnnxBranch(small_world.model, "ground", SessionOptions(provider="cpu", threads=1, precision="fp16"))


def test_another_input_type_is_refused(tmp_path: Path) -> None:
    model = world.make_model(tmp_path / "model")
    graph = onnx.load(model / "ground.onnx")
    graph.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT
    (model / "ground.onnx").write_bytes(graph.SerializeToString())
    world.write_card(model, 96)
    with pytest.raises(AenetError, match=r"must be uint8 N x \[16, 64, 3\] by its card, the graph has .*float"):
        OnnxBranch(model, "ground", CPU)


def test_another_output_name_is_refused(tmp_path: Path) -> None:
    model = world.make_model(tmp_path / "model")
    graph = onnx.load(model / "ground.onnx")
    graph.graph.output[0].name = graph.graph.node[-1].output[0] = "logits"
    (model / "ground.onnx").write_bytes(graph.SerializeToString())
    world.write_card(model, 96)
    with pytest.raises(AenetError, match=r"must be descriptor N x 96, the graph has .*logits"):
        OnnxBranch(model, "ground", CPU)


def test_what_onnxruntime_raises_becomes_one_sentence(small_world: World) -> None:
    branch = OnnxBranch(small_world.model, "ground", CPU)
    branch._input = "picture"  # as if the graph had changed under it
    with pytest.raises(AenetError, match=r"ground\.onnx on CPU \(1 thread\): onnxruntime failed \(.*picture"):
        branch.embed(_views(1))


def test_bound_memory_gives_what_plain_runs_give(small_world: World) -> None:
    """The way of CUDA graphs, on the CPU's memory."""
    branch = OnnxBranch(small_world.model, "ground", CPU)
    network = open_network(small_world.model, "ground", branch.card, CPU)
    bound = Bound(network.session, "image", (4, world.HEIGHT, world.WIDTH, 3), 96, "cpu", 0)
    first, second = _views(4, seed=1), _views(4, seed=2)
    answers = [bound.run(first), bound.run(second)]
    np.testing.assert_array_equal(answers[0], branch.embed(first))  # not overwritten by the second
    np.testing.assert_array_equal(answers[1], branch.embed(second))


def test_options_reach_the_providers_by_names_that_onnxruntime_knows() -> None:
    options = CudaOptions(device=1, memory_mib=2048, tf32=True, graphs=True)
    ((name, cuda),) = providers(options, True, Path("engines"))
    assert name == "CUDAExecutionProvider"
    assert cuda == {
        "device_id": "1",
        "cudnn_conv_algo_search": "EXHAUSTIVE",
        "use_tf32": "1",
        "arena_extend_strategy": "kSameAsRequested",
        "enable_cuda_graph": "1",
        "gpu_mem_limit": str(2048 * 1024 * 1024),
    }
    (first, engine), (second, cuda) = providers(options.model_copy(update={"tensorrt": True}), True, Path("engines"))
    assert (first, second) == ("TensorrtExecutionProvider", "CUDAExecutionProvider")
    assert (engine["trt_fp16_enable"], engine["trt_cuda_graph_enable"], cuda["enable_cuda_graph"]) == ("1", "1", "0")
    capi = Path(onnxruntime.__file__).parent / "capi"
    for names, library in ((cuda, "cuda"), (engine, "tensorrt")):
        content = (capi / f"libonnxruntime_providers_{library}.so").read_bytes()
        assert [name for name in names if name.encode() not in content] == []
