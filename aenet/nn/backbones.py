"""Feature extraction: any timm convolutional network without its classifier."""

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import timm
import torch
from huggingface_hub import try_to_load_from_cache
from pydantic import Field
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from aenet.artifacts import sha256_file
from aenet.card import InitialWeights
from aenet.errors import AenetError
from aenet.params import Config

# What timm looks for in a repository that names no file, in its order.
_HUB_FILES = ("model.safetensors", "pytorch_model.bin")


class BackboneConfig(Config):
    """A timm model by name.

    Attributes:
        name: timm's name, e.g. `tf_efficientnetv2_s` (the paper) or `test_efficientnet` (the town's); one of several
            published trainings may be named behind a point, as in `tf_efficientnetv2_s.in1k`.
        weights: `imagenet` (timm's pretrained weights), `random`, or the path of a .safetensors file.
    """

    name: str
    weights: str = Field(min_length=1)

    @property
    def file(self) -> Path | None:
        """The file of weights that `weights` names, None where it names none."""
        return None if self.weights in ("imagenet", "random") else Path(self.weights)


@dataclass(frozen=True)
class Backbone:
    """A feature extractor with what the rest of the network must know of it.

    Attributes:
        channels: of the map it answers.
        channels_last: the map is [B, H, W, C], as some families of timm have it.
        mean, std: of pixels in 0..1, a value a colour.
    """

    module: nn.Module
    channels: int
    channels_last: bool
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


def build_backbone(config: BackboneConfig) -> Backbone:
    """Return the extractor; normalisation is the one its pretrained weights expect, whatever the weights.

    Raises:
        AenetError: timm does not know the name, or the weights cannot be had. Never silently random.
    """
    published = _published(config.name)
    if config.weights == "imagenet":
        module = _pretrained(config.name, published)
    else:
        module = timm.create_model(config.name, pretrained=False, num_classes=0, global_pool="")
    cfg = module.pretrained_cfg
    if config.file is not None:
        _load(module, config.file, config.name, cfg["classifier"])
    channels = getattr(module, "head_hidden_size", None) or module.num_features  # some widen the map once more
    channels_last = str(getattr(module, "output_fmt", "NCHW")) == "NHWC"
    return Backbone(module, channels, channels_last, tuple(cfg["mean"]), tuple(cfg["std"]))


def initial_weights(config: BackboneConfig) -> InitialWeights:
    """Return what `build_backbone` begins with, down to the bytes: what `imagenet` is depends on timm and on the hub.

    Raises:
        AenetError: the weights cannot be had.
    """
    if config.file is not None:
        _check_file(config.file)
        return InitialWeights(source=config.weights, sha256=sha256_file(config.file))
    if config.weights == "random":
        return InitialWeights(source="random")
    published = _published(config.name)
    _pretrained(config.name, published)  # so that there is a file
    return _downloaded(published)


def _downloaded(published: Any) -> InitialWeights:
    """Return what timm has just read from the hub's cache, or from torch's."""
    tag = f"{published.architecture}.{published.tag}" if published.tag else str(published.architecture)
    if not published.hf_hub_id:
        kept = Path(torch.hub.get_dir()) / "checkpoints" / Path(published.url).name
        return InitialWeights(source=published.url, tag=tag, sha256=sha256_file(kept) if kept.is_file() else None)
    repository, _, revision = published.hf_hub_id.partition("@")
    for name in [published.hf_hub_filename] if published.hf_hub_filename else _HUB_FILES:
        if isinstance(file := try_to_load_from_cache(repository, name, revision=revision or None), str):
            commit = Path(file).parts[-2 - name.count("/")]  # .../snapshots/COMMIT/NAME
            return InitialWeights(source=repository, tag=tag, revision=commit, sha256=sha256_file(Path(file)))
    return InitialWeights(source=repository, tag=tag)


def _published(name: str) -> Any:
    """Return what timm knows of the model's published weights; refuse names and tags that it does not know."""
    if not timm.is_model(name):
        known = timm.list_models()
        close = difflib.get_close_matches(name, known, n=5, cutoff=0.5) or ["see timm.list_models()"]
        raise AenetError(f"timm {timm.__version__} has no model '{name}' (near: {', '.join(close)})")
    try:
        return timm.get_pretrained_cfg(name)
    except RuntimeError as error:
        plain = name.split(".", 1)[0]
        tags = ", ".join(timm.list_models(f"{plain}.*", pretrained=True)) or "none"
        raise AenetError(f"timm {timm.__version__} knows no weights named '{name}' (known: {tags})") from error


def _pretrained(name: str, published: Any) -> Any:
    if not (published.hf_hub_id or published.url or published.file):
        raise AenetError(
            f"timm {timm.__version__} publishes no weights of '{name}': take another backbone.name, set "
            "backbone.weights to a .safetensors file of your own, or `weights: random` to train from nothing"
        )
    try:
        return timm.create_model(name, pretrained=True, num_classes=0, global_pool="")
    except (OSError, RuntimeError, ValueError) as error:
        repository = published.hf_hub_id
        source = (
            f"they are model.safetensors of https://huggingface.co/{repository}; where there is a network, run `hf "
            f"download {repository} model.safetensors --local-dir weights`"
            if repository
            else f"they are {published.url}; where there is a network, make timm.create_model('{name}', "
            "pretrained=True) and write its state_dict() with safetensors.torch.save_file"
        )
        raise AenetError(
            f"ImageNet weights of '{name}' cannot be had ({type(error).__name__}): {source}, bring the file here and "
            "set backbone.weights to its path; `weights: random` trains from nothing"
        ) from error


def _check_file(path: Path) -> None:
    if not path.is_file():
        raise AenetError(f"backbone.weights: {path} does not exist (use `imagenet`, `random` or a .safetensors file)")
    if path.suffix != ".safetensors":
        raise AenetError(
            f"backbone.weights: {path} is not a .safetensors file; other formats can run code when read: where you "
            "trust it, convert it with safetensors.torch.save_file(torch.load(PATH, weights_only=True), NEW_PATH)"
        )


def _load(module: nn.Module, path: Path, name: str, classifier: str | tuple[str, ...]) -> None:
    _check_file(path)
    try:
        weights: dict[str, torch.Tensor] = load_file(path)
        missing, unexpected = module.load_state_dict(weights, strict=False)
    except (SafetensorError, RuntimeError) as error:
        first = str(error).splitlines()[-1].strip()
        raise AenetError(f"{path} does not fit '{name}' or is damaged: {first}") from error
    heads = (classifier,) if isinstance(classifier, str) else tuple(classifier or ())  # the distilled have two
    extra = [key for key in unexpected if not key.startswith(tuple(f"{head}." for head in heads))]
    if missing or extra:
        raise AenetError(
            f"{path} does not fit '{name}': {len(missing)} weights missing, {len(extra)} unknown "
            f"(first: {(missing + extra)[0]})"
        )
