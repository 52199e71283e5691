"""Circular padding: a turned panorama gives a turned map, with the weights, the cost and the graph of the other."""

import copy
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import load_file, save_file
from timm.layers import BlurPool2d, Conv2dSame, StdConv2dSame
from timm.layers.pool2d_same import AvgPool2dSame, MaxPool2dSame
from torch import Tensor, nn
from torch.nn import functional

from aenet.card import ViewSpec
from aenet.complexity import complexity
from aenet.errors import AenetError
from aenet.export import export_branch, run_onnx
from aenet.nn.branches import Branch, ModelConfig
from aenet.nn.padding import check_turns, pad_circularly
from aenet.nn.wrapping import wrap

HEIGHT, WIDTH, STRIDE = 32, 128, 32
ATTENTIONS = ("none", "triplet", "bam", "cbam")
# The town's; TensorFlow's padding; a stem with max pooling; 7 x 7 kernels; a stem that pads by a layer.
BACKBONES = ("test_efficientnet", "tf_efficientnetv2_b0", "resnet10t", "convnext_atto", "resnetv2_50x1_bit")


def _config(padding: str, name: str = "test_efficientnet", attention: str = "triplet") -> ModelConfig:
    return ModelConfig.model_validate(
        {
            "backbone": {"name": name, "weights": "random"},
            "attention": {"kind": attention},
            "head": {"kind": "flatten"},
            "padding": padding,
        }
    )


def _branch(padding: str, backbone: str = "test_efficientnet", attention: str = "triplet") -> Branch:
    torch.manual_seed(0)
    branch = Branch(_config(padding, backbone, attention))
    for name, parameter in branch.named_parameters():  # what starts at nought, or near it, would hide a wrong edge
        if name.endswith(("norm.bias", ".gamma")):
            nn.init.uniform_(parameter, -0.5, 0.5)
    return branch.eval()


def _pixels(n: int = 2) -> Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (n, HEIGHT, WIDTH, 3), dtype=np.uint8))


def _turn_error(branch: Branch, pixels: Tensor) -> float:
    """Return how far the map of the turned view is from the turned map, of the map's largest value."""
    with torch.inference_mode():
        plain, turned = branch.features(pixels), branch.features(pixels.roll(STRIDE, 2))
    assert plain.shape[3] == WIDTH // STRIDE
    return float((turned - plain.roll(1, 3)).abs().max() / plain.abs().max())


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_turning_the_view_turns_the_map(attention: str) -> None:
    assert _turn_error(_branch("circular", attention=attention), _pixels()) < 1e-5
    assert _turn_error(_branch("zeros", attention=attention), _pixels()) > 1e-2


@pytest.mark.parametrize("name", BACKBONES[1:])
def test_turning_the_view_turns_the_map_of_other_backbones(name: str) -> None:
    """Fifty layers of random weights round more than the town's few."""
    assert _turn_error(_branch("circular", name, "none"), _pixels(1)) < 1e-4
    assert _turn_error(_branch("zeros", name, "none"), _pixels(1)) > 1e-3


def test_only_the_gates_over_columns_are_padded() -> None:
    """The gate over (H, C) runs along the channels, whose ends do not meet."""
    attention: Any = _branch("circular").attention
    assert [gate.conv.padding for gate in (attention.gate_hw, attention.gate_cw, attention.gate_hc)] == [
        (3, 0),
        (3, 0),
        (3, 3),
    ]
    assert not attention.gate_hc.conv._forward_pre_hooks


LAYERS: list[tuple[nn.Module, int]] = [
    (nn.Conv2d(2, 3, 3, padding=1), 1),
    (nn.Conv2d(2, 3, 3, stride=2, padding=1), 1),
    (nn.Conv2d(2, 3, 3, padding=4, dilation=4), 4),
    (nn.Conv2d(2, 2, (1, 5), padding=(0, 2), groups=2), 2),
    (nn.Conv2d(2, 3, 5, padding="same"), 2),
    (Conv2dSame(2, 3, 3, stride=2), 1),
    (Conv2dSame(2, 3, 5, stride=2), 2),
    (StdConv2dSame(2, 3, 3, stride=2), 1),
    (nn.MaxPool2d(3, 2, 1), 1),
    (nn.AvgPool2d(3, 2, 1), 1),
    (nn.AvgPool2d(3, 2, 1, count_include_pad=False), 1),
    (MaxPool2dSame(3, 2), 1),
    (AvgPool2dSame(3, 2), 1),
    (nn.Sequential(nn.ConstantPad2d(1, 0.0), nn.MaxPool2d(3, 1)), 1),
]


@pytest.mark.parametrize("width", [16, 17])
@pytest.mark.parametrize(("layer", "reach"), LAYERS, ids=lambda value: type(value).__name__)
def test_inside_is_as_before_and_the_edge_reads_the_other_edge(layer: nn.Module, reach: int, width: int) -> None:
    """By the plain layer on panoramas in a row: all that a middle one reads is there.

    It must start on an even column, where stride 2 has an output: of odd ones, that is the third of five.
    """
    x = torch.randn(2, 2, 9, width, generator=torch.Generator().manual_seed(0))
    layer = copy.deepcopy(layer)
    plain, stride = layer.eval()(x), getattr(layer, "stride", 1)
    step = stride[-1] if isinstance(stride, tuple) else stride
    before = 1 if width % 2 == 0 else 2
    first, wide = before * width, torch.cat([x] * (2 * before + 1), 3)
    along = layer(wide)[..., first // step : first // step + plain.shape[3]]
    pad_circularly(layer)
    got = layer(x)
    assert got.shape == plain.shape
    edge = -(-reach // step)
    inside = slice(edge, plain.shape[3] - edge)
    torch.testing.assert_close(got[..., inside], plain[..., inside], rtol=0, atol=1e-6)
    torch.testing.assert_close(got, along, rtol=0, atol=1e-6)
    assert (got - plain).abs().max() > 1e-2


def test_tensorflows_padding_by_hand() -> None:
    """Kernel 3, stride 2: an even width lacks one column, on the right; an odd one lacks one on either side."""
    conv = Conv2dSame(1, 1, (1, 3), stride=(1, 2), bias=False)
    nn.init.constant_(conv.weight, 1.0)
    pad_circularly(conv)
    even = conv(torch.tensor([1.0, 2.0, 4.0, 8.0]).view(1, 1, 1, 4)).flatten().tolist()
    assert even == [1 + 2 + 4, 4 + 8 + 1]
    odd = conv(torch.tensor([1.0, 2.0, 4.0, 8.0, 16.0]).view(1, 1, 1, 5)).flatten().tolist()
    assert odd == [16 + 1 + 2, 2 + 4 + 8, 8 + 16 + 1]


def test_wrapping_goes_around_as_often_as_it_must() -> None:
    x = torch.arange(3.0).view(1, 1, 1, 3)
    assert wrap(x, 1, 2).flatten().tolist() == [2, 0, 1, 2, 0, 1]
    assert wrap(x, 0, 0).flatten().tolist() == [0, 1, 2]
    assert wrap(x, 4, 7).flatten().tolist() == [2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0]


def test_padding_twice_is_padding_once() -> None:
    for layer in (nn.Conv2d(1, 1, 3, padding=1), Conv2dSame(1, 1, 3, stride=2), StdConv2dSame(1, 1, 3, stride=2)):
        x = torch.randn(1, 1, 4, 8)
        pad_circularly(layer)
        once = layer(x)
        pad_circularly(layer)
        assert torch.equal(layer(x), once)


@pytest.mark.parametrize(
    "layer", [BlurPool2d(4), nn.Conv2d(1, 1, 3, padding=1, padding_mode="reflect"), nn.ZeroPad2d((-1, 1, 0, 0))]
)
def test_what_cannot_be_padded_is_a_sentence(layer: nn.Module) -> None:
    with pytest.raises(AenetError, match=r"'0'.*`padding: zeros`"):
        pad_circularly(nn.Sequential(layer))


@pytest.mark.parametrize("name", BACKBONES[:2])
def test_weights_go_from_one_to_the_other(name: str, tmp_path: Path) -> None:
    """Published weights, and those trained with zeros, load unchanged; and back."""
    plain = timm.create_model(name, num_classes=0, global_pool="")
    save_file(plain.state_dict(), tmp_path / "weights.safetensors")
    tree = _config("circular", name).model_dump()
    tree["backbone"]["weights"] = str(tmp_path / "weights.safetensors")
    circular, zeros = Branch(ModelConfig.model_validate(tree)).eval(), _branch("zeros", name)
    for key, value in load_file(tmp_path / "weights.safetensors").items():
        assert torch.equal(circular.state_dict()[f"backbone.{key}"], value)
    assert list(circular.state_dict()) == list(zeros.state_dict())
    zeros.load_state_dict(circular.state_dict())
    assert _turn_error(circular, _pixels()) < 1e-5 < _turn_error(zeros, _pixels())


@pytest.mark.parametrize("name", BACKBONES[:2])
def test_it_costs_the_same(name: str) -> None:
    zeros, circular = (complexity(_config(padding, name), 64, 256) for padding in ("zeros", "circular"))
    assert zeros == circular


def test_onnx_equals_torch_and_turns_too(tmp_path: Path) -> None:
    branch, spec = _branch("circular"), ViewSpec(height=HEIGHT, width=WIDTH, tile_size_m=70.0)
    export_branch(branch, spec, tmp_path / "ground.onnx")
    pixels = _pixels(5).numpy()
    with torch.inference_mode():
        expected = branch(_pixels(5)).numpy()
    for batch in (1, 3):
        got = run_onnx(tmp_path / "ground.onnx", pixels, batch, 1)
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-5)
    turned = run_onnx(tmp_path / "ground.onnx", np.roll(pixels, STRIDE, 2), 5, 1).reshape(5, -1, WIDTH // STRIDE)
    np.testing.assert_allclose(turned, np.roll(expected.reshape(turned.shape), 1, 2), rtol=0, atol=1e-5)


def test_tensorflows_padding_exports_with_a_dynamic_batch(tmp_path: Path) -> None:
    branch = _branch("zeros", attention="none")
    branch.backbone = nn.Sequential(Conv2dSame(3, branch.channels, 3, stride=2), MaxPool2dSame(3, 2)).eval()
    pad_circularly(branch.backbone)
    export_branch(branch, ViewSpec(height=9, width=17, tile_size_m=70.0), tmp_path / "small.onnx")
    pixels = _pixels(3)[:, :9, :17]
    with torch.inference_mode():
        expected = branch(pixels).numpy()
    np.testing.assert_allclose(run_onnx(tmp_path / "small.onnx", pixels.numpy(), 3, 1), expected, rtol=0, atol=1e-5)


_COMPILE = """
import torch
from aenet.nn.branches import Branch, ModelConfig
branch = Branch(ModelConfig.model_validate_json({config!r})).eval()
pixels = torch.randint(256, (2, 32, 128, 3), dtype=torch.uint8)
with torch.no_grad():
    torch.testing.assert_close(torch.compile(branch, backend="eager", fullgraph=True)(pixels), branch(pixels))
"""


def test_it_compiles_to_one_graph() -> None:
    """In a process of its own: the checks of array shapes that tests add to every function do not compile."""
    script = _COMPILE.format(config=_config("circular").model_dump_json())
    subprocess.run([sys.executable, "-c", script], cwd=Path(__file__).parents[1], check=True)


def test_it_runs_in_nhwc_and_trains_in_bf16() -> None:
    branch, pixels = _branch("circular"), _pixels()
    with torch.no_grad():
        expected = branch.features(pixels)
        branch.to(memory_format=torch.channels_last)
        torch.testing.assert_close(branch.features(pixels), expected, rtol=0, atol=1e-4)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            half = branch.features(pixels)
        assert functional.cosine_similarity(half.float().flatten(1), expected.flatten(1)).min() > 0.99
    with torch.autocast("cpu", dtype=torch.bfloat16):
        branch.train()(pixels).square()[:, 0].sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in branch.parameters())


def test_a_network_that_pads_inside_itself_is_refused() -> None:
    class Inside(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)

        def forward(self, x: Tensor) -> Tensor:
            return torch.as_tensor(self.conv(functional.pad(x, (1, 1, 1, 1))))

    inside = Inside()
    pad_circularly(inside)
    with pytest.raises(AenetError, match="pads inside itself"):
        check_turns(inside, channels_last=False)
