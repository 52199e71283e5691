"""The network: two branches, ground and aerial, from pixels to unit descriptors (paper, Fig. 2)."""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from aenet.io.errors import AenetError
from aenet.io.params import Config
from aenet.nn.attention import AttentionConfig, build_attention
from aenet.nn.backbones import BackboneConfig, build_backbone
from aenet.nn.heads import HeadConfig, build_head
from aenet.nn.stages import Stages, check_input_size, refused_size

View = Literal["ground", "aerial"]


class ModelConfig(Config):
    """The network's make-up; the paper's is V2-S, triplet, flatten, not shared."""

    backbone: BackboneConfig
    attention: AttentionConfig
    head: HeadConfig
    shared: bool = False


class Branch(nn.Module):
    """Pixels 0..255 in NHWC -> normalise -> backbone -> attention -> head -> unit descriptor.

    Normalisation lives here and nowhere else, so that training, evaluation and the exported graph agree.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        backbone = build_backbone(config.backbone)
        self.register_buffer("mean", 255 * torch.tensor(backbone.mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", 255 * torch.tensor(backbone.std).view(3, 1, 1), persistent=False)
        self.name, self.backbone = config.backbone.name, backbone.module
        self.channels, self.channels_last = backbone.channels, backbone.channels_last
        self.attention = build_attention(config.attention, backbone.channels)
        self.head = build_head(config.head, backbone.channels)

    @property
    def zero_colour(self) -> tuple[int, int, int]:
        """The RGB colour, 0..255, that normalisation makes zero, as nearly as whole numbers can."""
        red, green, blue = (min(255, max(0, round(value))) for value in self.mean.flatten().tolist())
        return red, green, blue

    def features(self, pixels: Tensor) -> Float[Tensor, "b c h w"]:
        """Return the attended feature map of NHWC pixels (uint8, or float in 0..255)."""
        x_BCHW = (pixels.permute(0, 3, 1, 2).float() - self.mean) / self.std
        map_BCHW = self._map(x_BCHW)
        if self.channels_last and map_BCHW.ndim == 4:
            map_BCHW = map_BCHW.permute(0, 3, 1, 2)
        if map_BCHW.ndim != 4 or map_BCHW.shape[1] != self.channels:  # transformers put tokens or channels elsewhere
            raise AenetError(
                f"'{self.name}' answers {tuple(map_BCHW.shape)}, not a map [B, {self.channels}, H, W]: set "
                "backbone.stages, [-1] for the map of its last stage"
            )
        return torch.as_tensor(self.attention(map_BCHW))

    def _map(self, x_BCHW: Tensor) -> Tensor:
        high, wide = x_BCHW.shape[2:]
        network = self.backbone.network if isinstance(self.backbone, Stages) else self.backbone
        check_input_size(network, self.name, high, wide)
        try:
            return torch.as_tensor(self.backbone(x_BCHW))
        except (AssertionError, RuntimeError) as error:
            raise refused_size(error, self.name, high, wide) from error

    def forward(self, pixels: Tensor, unit: bool = True) -> Float[Tensor, "b d"]:
        """Return float32 descriptors, of length one if `unit`; as the head left them for a loss that wants lengths."""
        descriptor = torch.as_tensor(self.head(self.features(pixels)).float())
        return functional.normalize(descriptor, dim=1) if unit else descriptor


class TwoBranch(nn.Module):
    """A ground and an aerial branch; with `shared` they are one and the same."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.ground = Branch(config)
        self.aerial = self.ground if config.shared else Branch(config)

    def branch(self, view: View) -> Branch:
        """Return the branch of one view."""
        return self.ground if view == "ground" else self.aerial

    def forward(
        self, ground: Tensor, aerial: Tensor, unit: bool = True
    ) -> tuple[Float[Tensor, "b d"], Float[Tensor, "b d"]]:
        """Return the descriptors of both views; see `Branch.forward` for `unit`."""
        return self.ground(ground, unit), self.aerial(aerial, unit)
