"""The network: the paper's sizes, attention by hand, weights that are what they claim."""

import hashlib
import math
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest
import timm
import torch
from pydantic import ValidationError
from safetensors.torch import save_file
from torch import nn

from aenet.data.card import InitialWeights
from aenet.io.errors import AenetError
from aenet.nn.attention import BAM, CBAM, Bam, Cbam, NoAttention, Triplet, TripletAttention, ZPoolGate, build_attention
from aenet.nn.backbones import BackboneConfig, build_backbone, initial_weights
from aenet.nn.branches import Branch, ModelConfig, TwoBranch
from aenet.nn.losses import Contrastive, Dbl, Hertl, InfoNCE, LossConfig, Mhnw, SoftTriHard, build_loss

SMALL = "test_efficientnet"
CUBE = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]], [[5.0, 6.0], [7.0, 8.0]]]])


def config(name: str = SMALL, head: str = "flatten", shared: bool = False, weights: str = "random") -> ModelConfig:
    return ModelConfig.model_validate(
        {
            "backbone": {"name": name, "weights": weights},
            "attention": {"kind": "triplet"},
            "head": {"kind": head},
            "shared": shared,
        }
    )


def parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


@pytest.fixture(scope="module")
def paper() -> TwoBranch:
    return TwoBranch(config("tf_efficientnetv2_s")).eval()


@pytest.fixture(scope="module")
def branch() -> Branch:
    torch.manual_seed(0)
    return Branch(config()).eval()


def test_the_papers_network_has_its_size(paper: TwoBranch) -> None:
    """Paper, table 7: 40.34 M; two times V2-S without classifier, and two times 300."""
    assert parameters(paper) == 2 * (20_177_488 + 300)
    assert round(parameters(paper) / 1e6, 4) == 40.3556


def test_the_papers_map_and_descriptor_have_their_size(paper: TwoBranch) -> None:
    with torch.inference_mode():
        view = torch.zeros(1, 128, 512, 3, dtype=torch.uint8)
        features = paper.ground.features(view)
        descriptor = nn.functional.normalize(paper.ground.head(features))
    assert features.shape == (1, 1280, 4, 16)
    assert descriptor.shape == (1, 81_920)


def test_triplet_attention_has_300_parameters() -> None:
    assert parameters(TripletAttention()) == 300
    assert parameters(build_attention(Triplet(kind="triplet"), 1280)) == 300


@pytest.mark.parametrize("kernel_size", [1, 3, 7])
def test_parameters_of_triplet_attention_by_formula(kernel_size: int) -> None:
    """Three gates, each a kernel over two pooled maps and a batch norm's scale and shift; channels do not matter."""
    assert parameters(TripletAttention(kernel_size)) == 3 * (2 * kernel_size**2 + 2)


def test_one_gate_of_triplet_attention_by_hand() -> None:
    """A 3 x 3 kernel, zeros beyond the border, and a batch norm with statistics of its own."""
    gate = ZPoolGate(3)
    gate.conv.weight.data.zero_()
    gate.conv.weight.data[0, 0, 1, 1] = 1.0  # the maximum here
    gate.conv.weight.data[0, 1, 1, 2] = 0.5  # and half the mean of the neighbour to the right
    gate.norm.eps = 0.0
    gate.norm.running_mean = torch.tensor([4.0])
    gate.norm.running_var = torch.tensor([4.0])
    gate.norm.weight.data[:] = 3.0
    gate.norm.bias.data[:] = 1.0
    y = gate.eval()(CUBE)[0]
    # Upper left: max 5, mean to the right (2 + 6) / 2 = 4: 5 + 2 = 7; (7 - 4) / 2 * 3 + 1 = 5.5.
    assert y[:, 0, 0].tolist() == pytest.approx([1 * sigmoid(5.5), 5 * sigmoid(5.5)])
    # Lower right: max 8, nothing to the right: 8; (8 - 4) / 2 * 3 + 1 = 7.
    assert y[:, 1, 1].tolist() == pytest.approx([4 * sigmoid(7), 8 * sigmoid(7)])


def by_hand(module: nn.Module, weights: tuple[float, float]) -> None:
    """One-pixel kernels with given weights of (max, mean), and a batch norm that does nothing."""
    for gate in module.modules():
        if isinstance(gate, ZPoolGate):
            gate.conv.weight.data = torch.tensor(weights).view(1, 2, 1, 1)
            gate.norm.eps = 0.0
    module.eval()


def test_triplet_attention_by_hand() -> None:
    attention = TripletAttention(kernel_size=1)
    by_hand(attention, (1.0, 0.0))
    y = attention(CUBE)
    # The element 1 sees the maxima 5 over channels, 3 over rows, 2 over columns; the element 8 is every maximum.
    assert y[0, 0, 0, 0].item() == pytest.approx((sigmoid(5) + sigmoid(3) + sigmoid(2)) / 3)
    assert y[0, 1, 1, 1].item() == pytest.approx(8 * sigmoid(8))
    # The element 6 (second channel, first row, second column): maxima 6, 8, 6.
    assert y[0, 1, 0, 1].item() == pytest.approx(6 * (2 * sigmoid(6) + sigmoid(8)) / 3)
    by_hand(attention, (0.0, 1.0))
    # Means of the element 1: 3 over channels, 2 over rows, 1.5 over columns.
    assert attention(CUBE)[0, 0, 0, 0].item() == pytest.approx((sigmoid(3) + sigmoid(2) + sigmoid(1.5)) / 3)


def test_bam_by_hand() -> None:
    attention = BAM(2, reduction=1, dilation=1).eval()
    for parameter in attention.parameters():
        parameter.data.zero_()
    attention.channel[-1].bias.data[:] = torch.tensor([1.0, 2.0])  # type: ignore[operator]  # a convolution
    attention.spatial[-1].bias.data[:] = -3.0  # type: ignore[operator]  # likewise
    gates = torch.tensor([1 + sigmoid(-2), 1 + sigmoid(-1)]).view(1, 2, 1, 1)
    assert torch.allclose(attention(CUBE), CUBE * gates)


def test_cbam_by_hand() -> None:
    attention = CBAM(2, reduction=2, kernel_size=1)
    by_hand(attention, (0.0, 0.1))
    first, last = attention.channel[0], attention.channel[2]
    first.weight.data[:] = 0.1  # type: ignore[operator]  # a convolution
    first.bias.data[:] = 0.0  # type: ignore[operator]  # likewise
    last.weight.data[:] = torch.tensor([1.0, -1.0]).view(2, 1, 1, 1)  # type: ignore[operator]  # likewise
    last.bias.data[:] = 0.0  # type: ignore[operator]  # likewise
    # Averages 2.5 and 6.5, maxima 4 and 8: the hidden unit is 0.9 and then 1.2, the logits are +2.1 and -2.1.
    channels = CUBE[0].numpy() * np.array([sigmoid(2.1), sigmoid(-2.1)])[:, None, None]
    expected = channels * (1 / (1 + np.exp(-0.1 * channels.mean(0))))
    assert np.allclose(attention(CUBE)[0].detach().numpy(), expected)


@pytest.mark.parametrize("channels", [64, 1280])
def test_parameters_by_formula(channels: int) -> None:
    c, h = channels, channels // 16
    channel_gate = c * h + 2 * h + h * c + c
    spatial_gate = c * h + 2 * h + 2 * (9 * h * h + 2 * h) + h + 1
    assert parameters(build_attention(Bam(kind="bam"), c)) == channel_gate + spatial_gate
    assert parameters(build_attention(Cbam(kind="cbam"), c)) == (c * h + h) + (h * c + c) + 2 * 49 + 2
    assert parameters(build_attention(NoAttention(kind="none"), c)) == 0


@pytest.mark.parametrize(
    "kind", [NoAttention(kind="none"), Triplet(kind="triplet"), Bam(kind="bam"), Cbam(kind="cbam")]
)
@pytest.mark.parametrize("shape", [(2, 32, 4, 16), (1, 32, 2, 8), (3, 32, 1, 1), (1, 32, 5, 3)])
def test_attention_keeps_the_shape_and_passes_gradients(
    kind: NoAttention | Triplet | Bam | Cbam, shape: tuple[int, ...]
) -> None:
    attention = build_attention(kind, 32).eval()
    x = torch.randn(shape, requires_grad=True)
    y = attention(x)
    assert y.shape == x.shape
    y.sum().backward()
    assert x.grad is not None
    assert x.grad.abs().sum() > 0


def test_bam_sees_eight_pixels_far_and_no_farther() -> None:
    """Two 3 x 3 convolutions of dilation 4; the channel gate is shut off because it sees everything."""
    torch.manual_seed(0)
    spatial = BAM(16, reduction=4).eval().spatial
    x = torch.randn(64, 16, 1, 40, requires_grad=True)  # many, because each passes half of its units only
    spatial(x)[:, 0, 0, 20].sum().backward()
    assert x.grad is not None
    seen = (x.grad[:, :, 0].abs().sum((0, 1)) > 0).nonzero().flatten().tolist()
    assert seen == [12, 16, 20, 24, 28]


@pytest.mark.parametrize(
    "make", [lambda: Triplet(kind="triplet", kernel_size=4), lambda: Cbam(kind="cbam", kernel_size=2)]
)
def test_even_kernels_are_refused(make: object) -> None:
    with pytest.raises(ValidationError, match="odd"):
        make()  # type: ignore[operator]  # one of the two above


@pytest.mark.parametrize("typed", ["tf_efficientnetv3_s", "tf_eficientnetv2_s", "efficientnet_v2_s"])
def test_unknown_backbone_offers_near_names(typed: str) -> None:
    with pytest.raises(AenetError, match=rf"no model '{typed}' \(near: .*efficientnetv2_s"):
        build_backbone(BackboneConfig(name=typed, weights="random"))


def test_unknown_training_of_a_backbone_offers_the_known_ones() -> None:
    with pytest.raises(
        AenetError, match=r"no weights named 'tf_efficientnetv2_s.in2k' \(known: tf_efficientnetv2_s.in1k"
    ):
        build_backbone(BackboneConfig(name="tf_efficientnetv2_s.in2k", weights="imagenet"))


def test_weights_that_cannot_be_had_are_never_random(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """And the sentence says which file of which repository to bring, by which command, and where to name it."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(AenetError, match="ImageNet weights of 'tf_efficientnetv2_s' cannot be had") as caught:
        build_backbone(BackboneConfig(name="tf_efficientnetv2_s", weights="imagenet"))
    repository = "timm/tf_efficientnetv2_s.in21k_ft_in1k"
    for part in (
        f"https://huggingface.co/{repository}",
        f"hf download {repository} model.safetensors --local-dir weights",
        "set backbone.weights to its path",
    ):
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)


def test_weights_that_were_never_published_are_a_sentence() -> None:
    with pytest.raises(AenetError, match="publishes no weights of 'test_mambaout'"):
        build_backbone(BackboneConfig(name="test_mambaout", weights="imagenet"))


@pytest.mark.parametrize("name", [SMALL, "test_resnet", "test_convnext", "test_mambaout", "mobilenetv4_conv_small"])
def test_backbones_of_other_families(name: str) -> None:
    """Plain, channels last (mambaout), and widened behind the last stage (mobilenetv4): always [B, C, H, W]."""
    branch = Branch(config(name, head="gap")).eval()
    pixels = torch.zeros(1, 64, 128, 3, dtype=torch.uint8)
    with torch.inference_mode():
        assert branch.features(pixels).shape == (1, branch.channels, 2, 4)
        assert branch(pixels).shape == (1, branch.channels)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("none.safetensors", "does not exist"),
        ("imagnet", "does not exist"),
        ("folder.safetensors", "does not exist"),
        ("weights.pth", "not a .safetensors file; .* convert it"),
        ("garbage.safetensors", "does not fit .* or is damaged"),
        ("shape.safetensors", "does not fit .* or is damaged"),
        ("other.safetensors", "weights missing"),
    ],
)
def test_wrong_weight_files_are_sentences(tmp_path: Path, name: str, sentence: str) -> None:
    (tmp_path / "weights.pth").touch()
    (tmp_path / "folder.safetensors").mkdir()
    (tmp_path / "garbage.safetensors").write_bytes(b"garbage" * 10)
    weights = timm.create_model(SMALL).state_dict()
    save_file({"conv_stem.weight": weights["conv_stem.weight"]}, tmp_path / "other.safetensors")
    save_file(weights | {"conv_stem.weight": torch.zeros(1, 3, 3, 3)}, tmp_path / "shape.safetensors")
    with pytest.raises(AenetError, match=sentence) as caught:
        build_backbone(BackboneConfig(name=SMALL, weights=str(tmp_path / name)))
    assert "\n" not in str(caught.value)


def test_weights_from_a_file_arrive(tmp_path: Path) -> None:
    weights = timm.create_model(SMALL).state_dict()  # with its classifier, as published files have it
    save_file(weights, tmp_path / "w.safetensors")
    backbone = build_backbone(BackboneConfig(name=SMALL, weights=str(tmp_path / "w.safetensors")))
    for name, tensor in backbone.module.state_dict().items():
        assert torch.equal(tensor, weights[name]), name


def test_what_a_training_begins_with_is_named_down_to_the_bytes(tmp_path: Path) -> None:
    assert initial_weights(BackboneConfig(name=SMALL, weights="random")) == InitialWeights(source="random")
    (tmp_path / "w.safetensors").write_bytes(b"abc")
    named = initial_weights(BackboneConfig(name=SMALL, weights=str(tmp_path / "w.safetensors")))
    assert named.source == str(tmp_path / "w.safetensors")
    assert named.sha256 == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, B.1
    with pytest.raises(AenetError, match="imagnet does not exist"):
        initial_weights(BackboneConfig(name=SMALL, weights="imagnet"))


def test_imagenet_is_named_as_the_hub_knows_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """From a cache as `huggingface_hub` keeps one: refs/main names the commit, snapshots/COMMIT holds the file."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    commit, repository = "0123456789abcdef0123456789abcdef01234567", f"timm/{SMALL}.r160_in1k"
    folder = tmp_path / f"models--{repository.replace('/', '--')}"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs/main").write_text(commit)
    (folder / "snapshots" / commit).mkdir(parents=True)
    weights = timm.create_model(SMALL).state_dict()
    save_file(weights, folder / "snapshots" / commit / "model.safetensors")
    config = BackboneConfig(name=SMALL, weights="imagenet")
    assert initial_weights(config) == InitialWeights(
        source=repository,
        tag=f"{SMALL}.r160_in1k",
        revision=commit,
        sha256=hashlib.sha256((folder / "snapshots" / commit / "model.safetensors").read_bytes()).hexdigest(),
        licence="apache-2.0",
    )
    arrived = build_backbone(config).module.state_dict()
    assert all(torch.equal(tensor, weights[name]) for name, tensor in arrived.items())


def test_normalisation_is_the_backbones_own(branch: Branch) -> None:
    """The small network's weights expect ImageNet's means and deviations."""
    pixels = torch.randint(0, 256, (2, 32, 64, 3), dtype=torch.uint8)
    with torch.inference_mode():
        x = (pixels.numpy() / 255 - np.array([0.485, 0.456, 0.406])) / np.array([0.229, 0.224, 0.225])
        expected = branch.attention(branch.backbone(torch.from_numpy(x).float().permute(0, 3, 1, 2)))
        assert torch.allclose(branch.features(pixels), expected, rtol=1e-3, atol=1e-6)


def test_the_papers_backbone_expects_minus_one_to_one(paper: TwoBranch) -> None:
    """timm's tf_efficientnetv2_s takes (x / 255 - 0.5) / 0.5, not ImageNet's means."""
    assert paper.ground.mean.flatten().tolist() == [127.5] * 3
    assert paper.ground.std.flatten().tolist() == [127.5] * 3


def test_whole_and_real_pixels_give_the_same(branch: Branch) -> None:
    pixels = torch.randint(0, 256, (2, 32, 64, 3), dtype=torch.uint8)
    with torch.inference_mode():
        assert torch.equal(branch(pixels), branch(pixels.float()))


def test_descriptors_are_unit_and_do_not_depend_on_the_batch(branch: Branch) -> None:
    pixels = torch.randint(0, 256, (5, 32, 64, 3), dtype=torch.uint8)
    with torch.inference_mode():
        together = branch(pixels)
        alone = torch.cat([branch(row[None]) for row in pixels])
    assert torch.allclose(together.norm(dim=1), torch.ones(5), atol=1e-6)
    assert torch.allclose(together, alone, atol=1e-5)


def test_a_backbone_without_a_map_is_refused() -> None:
    transformer = Branch(config("test_vit")).eval()
    with pytest.raises(AenetError, match=r"not a map \[B, 64, H, W\]"):
        transformer(torch.zeros(1, 160, 160, 3, dtype=torch.uint8))


def test_descriptors_have_length_one_unless_a_loss_wants_their_lengths() -> None:
    network = TwoBranch(config()).eval()
    pixels = torch.randint(0, 256, (2, 32, 64, 3), dtype=torch.uint8)
    with torch.inference_mode():
        units, raw = network(pixels, pixels), network(pixels, pixels, unit=False)
        flat = network.ground.features(pixels).flatten(1)
    for unit, long in zip(units, raw, strict=True):
        assert torch.allclose(unit.norm(dim=1), torch.ones(2))
        assert torch.allclose(long / long.norm(dim=1, keepdim=True), unit, atol=1e-6)
    assert torch.equal(raw[0], flat)


@pytest.mark.parametrize(
    "loss",
    [
        Mhnw(kind="mhnw"),
        SoftTriHard(kind="soft_trihard"),
        Dbl(kind="dbl"),
        Dbl(kind="dbl", form="pair"),
        Hertl(kind="hertl"),
        Contrastive(kind="contrastive"),
        InfoNCE(kind="infonce"),
    ],
    ids=lambda loss: loss.kind,
)
def test_every_loss_trains_the_network(loss: LossConfig) -> None:
    """A few steps on one batch: every weight gets a finite gradient, and the loss falls."""
    torch.manual_seed(3)
    network, module = TwoBranch(config(head="gem")), build_loss(loss)
    pixels = torch.randint(0, 256, (2, 6, 32, 64, 3), dtype=torch.uint8)
    parameters = [*network.parameters(), *module.parameters()]
    optimizer, values = torch.optim.AdamW(parameters, lr=1e-2), []
    for _ in range(6):
        value = module(*network(*pixels, unit=module.unit))
        optimizer.zero_grad()
        value.backward()
        assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in parameters)
        optimizer.step()
        values.append(value.item())
    assert min(values[1:]) < values[0]


def test_shared_branches_are_one() -> None:
    separate, shared = TwoBranch(config()), TwoBranch(config(shared=True))
    assert parameters(separate) == 2 * parameters(shared)
    assert shared.branch("aerial") is shared.branch("ground")
    assert separate.branch("aerial") is not separate.branch("ground")
    start = [next(separate.branch(view).parameters()) for view in ("ground", "aerial")]
    assert not torch.equal(*start), "random branches must not start alike"
