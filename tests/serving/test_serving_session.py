"""Sessions: the model that runs is the one its card describes, where it was asked to run."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, external_data_helper, helper, numpy_helper
from serving import world
from serving.world import World

from aenet.errors import AenetError, CorruptArtifact
from aenet.serving.cuda import cuda_device
from aenet.serving.session import Branch


def _views(count: int, seed: int = 0) -> np.ndarray:
    shape = (count, world.HEIGHT, world.WIDTH, 3)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def test_descriptors_do_not_depend_on_the_batch(small_world: World) -> None:
    views = _views(11)
    whole = Branch(small_world.model, "ground", "cpu", 1, batch_size=11).embed(views)
    parts = Branch(small_world.model, "ground", "cpu", 1, batch_size=4).embed(views)
    assert whole.shape == (11, 96)
    np.testing.assert_allclose(np.linalg.norm(whole, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(whole, parts, atol=1e-6)
    assert Branch(small_world.model, "ground", "cpu", 1).embed(views[:0]).shape == (0, 96)


def test_views_of_another_size_are_refused_with_both_sizes(small_world: World) -> None:
    with pytest.raises(AenetError, match=r"16 x 64 px, got 32 x 64"):
        Branch(small_world.model, "ground", "cpu", 1).embed(np.zeros((1, 32, 64, 3), np.uint8))


def test_a_constant_view_has_no_direction_and_is_an_error_not_a_nan(tmp_path: Path) -> None:
    """Descriptors of zero length or NaN would rank somewhere all the same."""
    model = world.make_model(tmp_path / "model")
    graph = onnx.load(model / "ground.onnx")
    graph.graph.initializer[1].CopyFrom(helper.make_tensor("bias", TensorProto.FLOAT, [1], [float("nan")]))
    (model / "ground.onnx").write_bytes(graph.SerializeToString())
    world.write_card(model, 96)
    with pytest.raises(AenetError, match="length nan instead of 1, whatever the view: the model is damaged"):
        Branch(model, "ground", "cpu", 1).embed(_views(1))


def test_a_view_without_direction_is_named_and_the_others_are_embedded(tmp_path: Path) -> None:
    branch = Branch(world.make_model(tmp_path / "model", bias=0.0), "ground", "cpu", 1, batch_size=2)
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
        Branch(model, "ground", "cpu", 1)


def test_a_graph_that_is_not_the_cards_is_refused(small_world: World, tmp_path: Path) -> None:
    model = shutil.copytree(small_world.model, tmp_path / "model")
    card = json.loads((model / "model.json").read_text())
    card["view"]["width"] = 128
    (model / "model.json").write_text(json.dumps(card))
    with pytest.raises(AenetError, match=r"\[16, 128, 3\] by its card"):
        Branch(model, "ground", "cpu", 1)
    card["view"]["width"], card["descriptor_dim"] = 64, 95
    (model / "model.json").write_text(json.dumps(card))
    with pytest.raises(AenetError, match="descriptor N x 95"):
        Branch(model, "ground", "cpu", 1)


def test_weights_outside_the_file_are_refused(tmp_path: Path) -> None:
    model = world.make_model(tmp_path / "model")
    graph = onnx.load(model / "ground.onnx")
    graph.graph.initializer[1].CopyFrom(numpy_helper.from_array(np.ones(1, np.float32), "bias"))
    external_data_helper.convert_model_to_external_data(graph, location="weights.bin", size_threshold=0)
    onnx.save(graph, model / "ground.onnx")
    world.write_card(model, 96)
    with pytest.raises(CorruptArtifact, match="weights outside its file"):
        Branch(model, "ground", "cpu", 1)


def test_no_model_there(tmp_path: Path) -> None:
    with pytest.raises(AenetError, match="export_onnx"):
        Branch(tmp_path, "ground", "cpu", 1)


@pytest.mark.skipif(bool(cuda_device()), reason="this machine has a CUDA device")
def test_without_a_device_cuda_is_an_error_and_auto_says_cpu_and_prints_nothing(small_world: World) -> None:
    with pytest.raises(AenetError, match=r"cuda was demanded but .* --provider auto or cpu"):
        Branch(small_world.model, "ground", "cuda", 1)
    code = (
        "import sys; from pathlib import Path; from aenet.serving.session import Branch;"
        "print(Branch(Path(sys.argv[1]), 'ground', 'auto', 1).runs_on)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, str(small_world.model)], capture_output=True, text=True, check=True
    )
    assert ran.stdout == "CPU (1 thread)\n"
    assert ran.stderr == ""


@pytest.mark.skipif(not cuda_device(), reason="this machine has no CUDA device")
def test_with_a_device_cuda_gives_the_same_descriptors(small_world: World) -> None:
    views = _views(5)
    on_cuda = Branch(small_world.model, "ground", "cuda", 1)
    assert on_cuda.runs_on.startswith("CUDA")
    np.testing.assert_allclose(on_cuda.embed(views), Branch(small_world.model, "ground", "cpu").embed(views), atol=1e-3)
