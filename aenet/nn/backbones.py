"""Feature extraction: any timm convolutional network without its classifier."""

from dataclasses import dataclass
from pathlib import Path

import timm
import torch
from pydantic import Field
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from aenet.errors import AenetError
from aenet.params import Config


class BackboneConfig(Config):
    """A timm model by name.

    Attributes:
        name: timm's name, e.g. `tf_efficientnetv2_s` (the paper) or `test_efficientnet` (the town's).
        weights: `imagenet` (timm's pretrained weights), `random`, or the path of a .safetensors file.
    """

    name: str
    weights: str = Field(min_length=1)


@dataclass(frozen=True)
class Backbone:
    """A feature extractor with what the rest of the network must know of it."""

    module: nn.Module
    channels: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


def build_backbone(config: BackboneConfig) -> Backbone:
    """Return the extractor; normalisation is the one its pretrained weights expect, whatever the weights.

    Raises:
        AenetError: timm does not know the name, or the weights cannot be had. Never silently random.
    """
    if not timm.is_model(config.name):
        close = ", ".join(timm.list_models(f"*{config.name[:12]}*")[:5]) or "see timm.list_models()"
        raise AenetError(f"timm {timm.__version__} has no model '{config.name}' (near: {close})")
    pretrained = config.weights == "imagenet"
    try:
        module = timm.create_model(config.name, pretrained=pretrained, num_classes=0, global_pool="")
    except (OSError, RuntimeError, ValueError) as error:
        raise AenetError(
            f"ImageNet weights of '{config.name}' cannot be had ({type(error).__name__}): connect once so that timm "
            "can cache them, or save them as a .safetensors file elsewhere and set backbone.weights to its path; "
            "`weights: random` trains from nothing"
        ) from error
    cfg = module.pretrained_cfg
    if config.weights not in ("imagenet", "random"):
        _load(module, Path(config.weights), config.name, cfg["classifier"])
    return Backbone(module, module.num_features, tuple(cfg["mean"]), tuple(cfg["std"]))


def _load(module: nn.Module, path: Path, name: str, classifier: str) -> None:
    if not path.exists():
        raise AenetError(f"backbone.weights: {path} does not exist (use `imagenet`, `random` or a .safetensors file)")
    if path.suffix != ".safetensors":
        raise AenetError(f"backbone.weights: {path} is not a .safetensors file; other formats can run code when read")
    try:
        weights: dict[str, torch.Tensor] = load_file(path)
        missing, unexpected = module.load_state_dict(weights, strict=False)
    except (SafetensorError, RuntimeError) as error:
        first = str(error).splitlines()[-1].strip()
        raise AenetError(f"{path} does not fit '{name}' or is damaged: {first}") from error
    extra = [key for key in unexpected if not key.startswith(f"{classifier}.")]
    if missing or extra:
        raise AenetError(
            f"{path} does not fit '{name}': {len(missing)} weights missing, {len(extra)} unknown "
            f"(first: {(missing + extra)[0]})"
        )
