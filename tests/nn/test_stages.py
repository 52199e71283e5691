"""Maps of any stage of a backbone: the right layers, no layer more, and sentences for what timm cannot do."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import pytest
import timm
import torch
from safetensors.torch import save_file
from timm.layers import resample_abs_pos_embed

from aenet.evaluation.embed import embed
from aenet.export.graphs import descriptor_dim, export_branch, run_onnx
from aenet.io.artifacts import atomic_folder
from aenet.io.errors import AenetError
from aenet.io.params import parse
from aenet.nn.backbones import BackboneConfig, build_backbone
from aenet.nn.branches import Branch, ModelConfig, TwoBranch
from aenet.nn.complexity import complexity
from aenet.nn.model import TrainedCard, load_network, save_model
from aenet.nn.stages import Stages, on_grid
from aenet.view.spec import GroundView, ViewSpec


def model(**backbone: object) -> ModelConfig:
    tree = {
        "backbone": {"weights": "random", **backbone},
        "attention": {"kind": "none"},
        "head": {"kind": "flatten"},
    }
    return parse({"model": tree}, "model", ModelConfig, source="params.yaml")  # as YAML's lists come


def pixels(height: int, width: int, n: int = 2) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (n, height, width, 3), dtype=np.uint8))


@pytest.mark.parametrize(
    ("name", "stage", "layer"),
    [
        ("test_efficientnet", 1, "blocks.1"),
        ("test_efficientnet", 3, "blocks.3"),
        ("test_resnet", 2, "layer2"),
        ("test_convnext", -1, "stages.3"),
        ("test_vit", 2, "blocks.2"),
        ("test_vit", -1, "blocks.5"),
    ],
)
def test_the_map_is_what_the_whole_network_has_there(tmp_path: Path, name: str, stage: int, layer: str) -> None:
    """Bit by bit, seen by a hook on timm's own network with the same weights."""
    torch.manual_seed(0)
    whole = timm.create_model(name).eval()
    save_file(whole.state_dict(), tmp_path / "w.safetensors")
    branch = Branch(model(name=name, weights=str(tmp_path / "w.safetensors"), stages=[stage])).eval()
    seen: list[torch.Tensor] = []
    whole.get_submodule(layer).register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    with torch.inference_mode():
        got = branch.features(pixels(32, 64))
        whole((pixels(32, 64).permute(0, 3, 1, 2).float() - branch.mean) / branch.std)
    (expected,) = seen
    if expected.ndim == 3:  # tokens: one for the class, then patches of 16 x 16 pixels row by row
        expected = expected[:, 1:].transpose(1, 2).unflatten(2, (2, 4))
    assert got.shape[1] == branch.channels
    assert torch.equal(got, expected)


@pytest.mark.parametrize(("stage", "layers"), [(2, 16), (3, 23), (4, 30), (5, 31), (None, 31)])
def test_vgg_ends_with_the_stages_last_relu_or_the_last_pooling(stage: int | None, layers: int) -> None:
    """VGG-16: conv3_3 is its 7th convolution; 2 layers each, and a pooling behind each block before."""
    with torch.device("meta"):
        stages = None if stage is None else (stage,)
        cut = build_backbone(BackboneConfig(name="vgg16", weights="random", stages=stages)).module
        whole = timm.create_model("vgg16")
    assert isinstance(cut, Stages)
    kept = [str(layer) for layer in cut.network.get_submodule("features").children()]
    assert kept == [str(layer) for layer in whole.features.children()][:layers]
    assert kept[-1].split("(")[0] == ("ReLU" if stage in (2, 3, 4) else "MaxPool2d")


@pytest.mark.parametrize(
    ("name", "stages", "parameters", "shape"),
    [
        ("vgg16", None, 14_714_688, (512, 4, 16)),  # not the 268 M of its classifier's first layers
        ("vgg16", [3], 7_635_264, (512, 16, 64)),
        ("vgg16", [4], 14_714_688, (512, 8, 32)),
        ("vgg16_bn", [5], 14_723_136, (512, 4, 16)),
        ("resnet34", [3], 8_170_304, (256, 8, 32)),
        ("resnet50", [3, 4], 23_508_032, (3072, 8, 32)),
        ("resnet50", [4, 3], 23_508_032, (3072, 4, 16)),
        ("convnext_tiny", [2], 12_348_000, (384, 8, 32)),
        ("tf_efficientnetv2_s", None, 20_177_488, (1280, 4, 16)),
        ("tf_efficientnet_lite0", [3], 700_768, (112, 8, 32)),
    ],
)
def test_layers_behind_the_last_stage_are_not_there(
    name: str, stages: list[int] | None, parameters: int, shape: tuple[int, int, int]
) -> None:
    counted = complexity(model(name=name, stages=stages), 128, 512)
    assert (counted.ground_parameters, counted.feature_map) == (parameters, shape)


def test_multiplications_are_those_of_vggs_convolutions_up_to_the_stage() -> None:
    """3 x 3 convolutions at 32 x 64, two branches; stage 3 ends with the tenth, before the fourth pooling."""
    widths = [[3, 64, 64], [64, 128, 128], [128, 256, 256, 256], [256, 512, 512, 512]]
    macs = sum(32 * 64 // 4**n * 9 * a * b for n, stage in enumerate(widths) for a, b in pairwise(stage))
    assert complexity(model(name="vgg16", stages=[3]), 32, 64).exact_macs == 2 * macs


@pytest.mark.parametrize(("name", "stages"), [("test_efficientnet", [2]), ("test_vit", [-2]), ("test_resnet", [3, 1])])
def test_every_parameter_is_trained(name: str, stages: list[int] | None) -> None:
    branch = Branch(model(name=name, stages=stages))
    branch(pixels(64, 64)).square().sum().add(branch(pixels(64, 64)).sum()).backward()
    assert [key for key, parameter in branch.named_parameters() if parameter.grad is None] == []


def test_several_stages_stand_side_by_side_on_the_firsts_grid() -> None:
    torch.manual_seed(0)
    backbone = build_backbone(BackboneConfig(name="test_resnet", weights="random", stages=(3, 1))).module.eval()
    assert isinstance(backbone, Stages)
    with torch.inference_mode():
        x = torch.randn(1, 3, 32, 64)
        coarse, fine = backbone.maps(x)
        both = backbone(x)
    assert (coarse.shape[2:], fine.shape[2:]) == ((2, 4), (8, 16))
    assert torch.equal(both[:, : coarse.shape[1]], coarse)
    assert torch.allclose(both[0, coarse.shape[1] :, 1, 2], fine[0, :, 4:8, 8:12].mean((1, 2)), atol=1e-6)


def test_maps_come_onto_another_grid_by_hand() -> None:
    x = torch.tensor([[[[1.0, 2.0, 5.0, 8.0], [3.0, 6.0, 7.0, 4.0]]]])
    assert on_grid(x, 1, 2).tolist() == [[[[3.0, 6.0]]]]  # means of 2 x 2 cells
    assert on_grid(x, 2, 4) is x
    row = torch.tensor([[[[0.0, 4.0]]]])
    assert on_grid(row, 1, 4).tolist() == [[[[0.0, 1.0, 3.0, 4.0]]]]  # centres at 1/4 and 3/4 of a cell


@pytest.mark.parametrize(
    ("backbone", "size", "sentences"),
    [
        ({"name": "vgg16", "stages": [6]}, (64, 64), ["no stage 6", "4: stride 16, 512 channels", "-1 is the last"]),
        ({"name": "test_vit", "stages": [-7]}, (64, 64), ["no stage -7", "0 to 5, each of stride 16 and 64 channels"]),
        ({"name": "test_resnet", "stages": [1, -4]}, (64, 64), ["[1, -4] names a stage of 'test_resnet' twice"]),
        (
            {"name": "vit_tiny_patch16_224", "stages": [-1]},
            (64, 256),
            ["takes images of 224 x 224 pixels, the view has 64 x 256", "set backbone.image_size: [64, 256]"],
        ),
        (
            {"name": "vit_small_patch14_dinov2", "stages": [-1]},
            (128, 512),
            ["518 x 518", "128 x 512", "14 x 14 pixels", "give the view 126 x 504", "image_size: [126, 504]"],
        ),
        (
            {"name": "vit_small_patch14_dinov2", "stages": [-1], "image_size": [128, 512]},
            (128, 512),
            ["128 x 512 pixels are no whole patches", "image_size: [126, 504]"],
        ),
        ({"name": "vit_small_r26_s32_224", "stages": [-1]}, (64, 256), ["set backbone.image_size: [64, 256]"]),
        ({"name": "test_vit", "stages": [0]}, (60, 64), ["cannot take images of 60 x 64", "divisible by patch size"]),
        ({"name": "hiera_tiny_224", "stages": [-1]}, (64, 256), ["cannot take images of 64 x 256", "image_size"]),
        ({"name": "test_resnet", "image_size": [64, 64]}, (64, 64), ["takes images of any size"]),
        ({"name": "deit_tiny_distilled_patch16_224"}, (224, 224), ["set backbone.stages, [-1]"]),
        ({"name": "test_vit"}, (160, 160), ["not a map [B, 64, H, W]", "set backbone.stages, [-1]"]),
    ],
)
def test_what_timm_cannot_do_is_a_sentence_with_the_way_out(
    backbone: dict[str, object], size: tuple[int, int], sentences: list[str]
) -> None:
    with pytest.raises(AenetError) as caught:
        complexity(model(**backbone), *size)
    assert "\n" not in str(caught.value)
    for sentence in sentences:
        assert sentence in str(caught.value)


@pytest.mark.parametrize("key", [{"stages": []}, {"image_size": [0, 64]}, {"image_size": [64]}])
def test_keys_that_say_nothing_are_refused(key: dict[str, object]) -> None:
    with pytest.raises(AenetError, match=f"backbone.{next(iter(key))}"):
        model(name="test_resnet", **key)


def test_transformers_are_laid_out_for_the_view_and_their_positions_resampled(tmp_path: Path) -> None:
    torch.manual_seed(0)
    full = timm.create_model("vit_tiny_patch16_224").state_dict()
    save_file(full, tmp_path / "w.safetensors")
    asked = {"name": "vit_tiny_patch16_224", "stages": [0], "image_size": [64, 256]}
    branch = Branch(model(weights=str(tmp_path / "w.safetensors"), **asked)).eval()
    expected = resample_abs_pos_embed(full["pos_embed"], [4, 16], num_prefix_tokens=1)
    assert isinstance(branch.backbone, Stages)
    assert torch.equal(torch.as_tensor(branch.backbone.network.pos_embed), expected)
    with torch.inference_mode():
        assert branch.features(pixels(64, 256, 1)).shape == (1, 192, 4, 16)


def test_a_configuration_without_stages_is_written_as_it_always_was() -> None:
    """Its digest keys checkpoints: finished runs must not be lost for a key that they do not use."""
    plain = BackboneConfig(name="test_efficientnet", weights="random")
    assert plain.model_dump(mode="json") == {"name": "test_efficientnet", "weights": "random"}
    chosen = BackboneConfig(name="test_vit", weights="random", stages=(-1,), image_size=(64, 64))
    assert json.loads(chosen.model_dump_json())["stages"] == [-1]
    assert chosen.model_dump(mode="json")["image_size"] == [64, 64]


@pytest.mark.parametrize(
    "backbone",
    [
        {"name": "test_efficientnet", "stages": [2]},
        {"name": "test_resnet", "stages": [3, 4, 1]},
        {"name": "test_vit", "stages": [-1, 0], "image_size": [32, 64]},
    ],
    ids=lambda backbone: f"{backbone['name']} {backbone['stages']}",
)
def test_exported_stages_equal_torch_and_hold_no_other_layer(tmp_path: Path, backbone: dict[str, object]) -> None:
    torch.manual_seed(0)
    branch = Branch(model(**backbone)).eval()
    export_branch(branch, GroundView(height=32, width=64), tmp_path / "b.onnx")
    views = pixels(32, 64, 5).numpy()
    expected = embed(branch, views, 4)
    assert np.abs(run_onnx(tmp_path / "b.onnx", views, 3, 1) - expected).max() < 1e-5
    assert descriptor_dim(tmp_path / "b.onnx") == expected.shape[1]
    held = sum(int(np.prod(tensor.dims)) for tensor in onnx.load(tmp_path / "b.onnx").graph.initializer)
    assert held <= 1.05 * sum(tensor.numel() for tensor in branch.state_dict().values()) + 1000


def test_a_model_with_stages_comes_back_from_its_folder(tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = model(name="test_vit", stages=[-1, 2], image_size=[32, 64])
    network = TwoBranch(config).eval()
    card = TrainedCard(
        model=config,
        view=ViewSpec.polar(height=32, width=64, tile_size_m=70.0),
        trained_on="nothing",
        fingerprint="f",
        epochs=1,
        best_epoch=0,
    )
    with atomic_folder(tmp_path / "model", {}) as folder:
        save_model(folder, card, network.state_dict(), network.state_dict())
    again, read = load_network(tmp_path / "model")
    assert read.model == config
    with torch.inference_mode():
        assert torch.equal(again.aerial(pixels(32, 64)), network.aerial(pixels(32, 64)))
