"""Feature processing: attention modules that map [B, C, H, W] to the same shape.

Every module is written from its paper; ratios the AENet paper leaves open are those papers' defaults.
"""

from typing import Annotated, Literal, assert_never

import torch
from jaxtyping import Float
from pydantic import AfterValidator, Field
from torch import Tensor, nn

from aenet.io.params import Config


class NoAttention(Config):
    """The paper's Baseline: features pass unchanged."""

    kind: Literal["none"]


def _odd(size: int) -> int:
    if size % 2 == 0:
        raise ValueError(f"a kernel of {size} has no middle: use an odd size")
    return size


KernelSize = Annotated[int, Field(ge=1), AfterValidator(_odd)]


class Triplet(Config):
    """Triplet Attention (Misra et al., WACV 2021, arXiv:2010.03045): what AENet uses."""

    kind: Literal["triplet"]
    kernel_size: KernelSize = 7


class Bam(Config):
    """Bottleneck Attention Module (Park et al., BMVC 2018, arXiv:1807.06514)."""

    kind: Literal["bam"]
    reduction: int = Field(default=16, ge=1)
    dilation: int = Field(default=4, ge=1)


class Cbam(Config):
    """Convolutional Block Attention Module (Woo et al., ECCV 2018, arXiv:1807.06521)."""

    kind: Literal["cbam"]
    reduction: int = Field(default=16, ge=1)
    kernel_size: KernelSize = 7


AttentionConfig = Annotated[NoAttention | Triplet | Bam | Cbam, Field(discriminator="kind")]


def build_attention(config: AttentionConfig, channels: int) -> nn.Module:
    """Return the attention module for feature maps of `channels` channels."""
    match config:
        case NoAttention():
            return nn.Identity()
        case Triplet():
            return TripletAttention(config.kernel_size)
        case Bam():
            return BAM(channels, config.reduction, config.dilation)
        case Cbam():
            return CBAM(channels, config.reduction, config.kernel_size)
    assert_never(config)


class TripletAttention(nn.Module):
    """Mean of three gated copies of the map, one gate for each pair of axes; 300 parameters for 7 x 7.

    The gate over (H, W) pools the channels; the gate over (C, W) pools the rows; the gate over (C, H) the columns.
    As the authors' code (landskape-ai/triplet-attention), but for the momentum of its batch norms (`ZPoolGate`).
    """

    def __init__(self, kernel_size: int = 7) -> None:
        super().__init__()
        self.gate_hw = ZPoolGate(kernel_size)
        self.gate_cw = ZPoolGate(kernel_size)
        self.gate_hc = ZPoolGate(kernel_size)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        over_hw = self.gate_hw(x)
        over_cw = self.gate_cw(x.transpose(1, 2)).transpose(1, 2)  # rows take the place of channels
        over_hc = self.gate_hc(x.transpose(1, 3)).transpose(1, 3)  # columns take the place of channels
        return torch.as_tensor((over_hw + over_cw + over_hc) / 3)


class ZPoolGate(nn.Module):
    """Scale a map by sigmoid(BN(conv([max, mean]))), max and mean taken over the first feature axis.

    The batch norm's running statistics move by torch's default share of a batch, momentum 0.1. The authors' code of
    Triplet Attention and of CBAM has 0.01 (the same meaning: new = 0.99 old + 0.01 batch), which averages ten times as
    many batches; the papers name none. Training computes with the batch's own statistics either way: the momentum only
    decides which average of them evaluation finds. After the several hundred steps of our shortest run
    both have forgotten where they began (0.99^600 = 0.2 %).
    """

    def __init__(self, kernel_size: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, kernel_size, padding=kernel_size // 2, bias=False)
        self.norm = nn.BatchNorm2d(1)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        pooled = torch.cat([x.amax(1, keepdim=True), x.mean(1, keepdim=True)], dim=1)
        return x * torch.sigmoid(self.norm(self.conv(pooled)))


class BAM(nn.Module):
    """x * (1 + sigmoid(channel(x) + spatial(x))), the two added by broadcasting.

    The sum is the paper's (equation 2). The authors' published code (Jongchan/attention-module, MODELS/bam.py)
    multiplies the two, x * (1 + sigmoid(channel(x) * spatial(x))), and cannot run on a 4 x 16 map: it pools with a
    window of height x height, which leaves four values a channel where the layer behind expects one.

    Batch norms stand behind the hidden layers, as in that code; the paper's equations 3 and 4 write one at the end of
    each branch instead and leave the activations out. The code's convolutions before a norm have biases, which the norm
    takes off again; ours have none.
    """

    def __init__(self, channels: int, reduction: int = 16, dilation: int = 4) -> None:
        super().__init__()
        hidden = max(channels // reduction, 1)
        self.channel = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, hidden, 1, bias=False),
            nn.BatchNorm2d(hidden),
            nn.ReLU(inplace=True),
            nn.Conv2d(hidden, channels, 1),
        )
        self.spatial = nn.Sequential(
            *_conv_norm_relu(channels, hidden, 1, 1),
            *_conv_norm_relu(hidden, hidden, 3, dilation),
            *_conv_norm_relu(hidden, hidden, 3, dilation),
            nn.Conv2d(hidden, 1, 1),
        )

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        return x * (1 + torch.sigmoid(self.channel(x) + self.spatial(x)))


class CBAM(nn.Module):
    """Channel gate sigmoid(mlp(mean) + mlp(max)), then a spatial gate over [max, mean] of what it lets through.

    The batch norm behind the spatial convolution is the authors' code's, their paper's equation 3 has none; it is the
    same gate that Triplet Attention took over.
    """

    def __init__(self, channels: int, reduction: int = 16, kernel_size: int = 7) -> None:
        super().__init__()
        hidden = max(channels // reduction, 1)
        self.channel = nn.Sequential(
            nn.Conv2d(channels, hidden, 1), nn.ReLU(inplace=True), nn.Conv2d(hidden, channels, 1)
        )
        self.spatial = ZPoolGate(kernel_size)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        average = self.channel(x.mean((2, 3), keepdim=True))
        maximum = self.channel(x.amax((2, 3), keepdim=True))
        return torch.as_tensor(self.spatial(x * torch.sigmoid(average + maximum)))


def _conv_norm_relu(inputs: int, outputs: int, kernel_size: int, dilation: int) -> list[nn.Module]:
    padding = dilation * (kernel_size // 2)
    return [
        nn.Conv2d(inputs, outputs, kernel_size, padding=padding, dilation=dilation, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    ]
