"""Metric-learning losses on a batch of matching pairs: row i of the ground matches row i of the aerial descriptors.

Each loss takes the distance matrix d[i, j] (anchor i, reference j; the diagonal holds the positives) and returns one
value per anchor. Where the paper is silent the decisions are: squared Euclidean distance of unit vectors,
alpha = 10, both directions averaged.
"""

from typing import Annotated, Literal, assert_never

import torch
from jaxtyping import Bool, Float
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import softplus

from aenet.params import Config


class _Ranking(Config):
    alpha: float = Field(default=10.0, gt=0)
    distance: Literal["squared", "euclidean"] = "squared"
    anchors: Literal["both", "ground"] = "both"


class Wsmr(_Ranking):
    """Weighted soft-margin ranking with the hardest negative of the batch (paper, eq. 3.1)."""

    kind: Literal["wsmr"]


class WsmrAll(_Ranking):
    """Weighted soft-margin ranking averaged over all negatives of the batch (SAFA, DSM, Polar-L2LTR)."""

    kind: Literal["wsmr_all"]


class Mhnw(_Ranking):
    """Multiple hard negatives weighting (paper, eqs. 3.2 and 3.3)."""

    kind: Literal["mhnw"]


LossConfig = Annotated[Wsmr | WsmrAll | Mhnw, Field(discriminator="kind")]


def build_loss(config: LossConfig) -> "BatchLoss":
    """Return the loss as a module: some have a parameter of their own to learn."""
    return BatchLoss(config)


class BatchLoss(nn.Module):
    """The loss of a whole batch: ground and aerial descriptors of matching rows -> one value.

    Attributes:
        unit: whether the descriptors must have length one; False asks for them as the heads left them.
    """

    unit: bool

    def __init__(self, config: LossConfig) -> None:
        super().__init__()
        self.config = config
        self.unit = True

    def forward(self, ground: Float[Tensor, "n d"], aerial: Float[Tensor, "n d"]) -> Float[Tensor, ""]:
        return loss(self.config, ground, aerial)


def loss(config: LossConfig, ground: Float[Tensor, "n d"], aerial: Float[Tensor, "n d"]) -> Float[Tensor, ""]:
    """Return the batch's loss for unit descriptors of matching rows; needs n >= 2."""
    distances = pairwise_distance(ground, aerial, config.distance)
    value = _per_anchor(config, distances).mean()
    if config.anchors == "both":
        value = (value + _per_anchor(config, distances.T).mean()) / 2
    return value


def pairwise_distance(
    ground: Float[Tensor, "n d"], aerial: Float[Tensor, "m d"], kind: Literal["squared", "euclidean"]
) -> Float[Tensor, "n m"]:
    """Return Euclidean distances, or their squares 2 - 2 cos, between unit vectors."""
    squared = (2 - 2 * ground @ aerial.T).clamp_min(0)
    if kind == "squared":
        return squared
    return squared.clamp_min(1e-12).sqrt()  # the root's slope is infinite at zero


def _per_anchor(config: LossConfig, distances: Float[Tensor, "n n"]) -> Float[Tensor, " n"]:
    match config:
        case Wsmr():
            return wsmr(distances, config.alpha)
        case WsmrAll():
            return wsmr_all(distances, config.alpha)
        case Mhnw():
            return mhnw(distances, config.alpha)
    assert_never(config)


def wsmr(d: Float[Tensor, "n n"], alpha: float) -> Float[Tensor, " n"]:
    """ln(1 + exp(alpha (d_ap - min_n d_an))) for each anchor (paper, eq. 3.1)."""
    nearest = d.masked_fill(_diagonal(d), torch.inf).amin(1)
    return softplus(alpha * (d.diagonal() - nearest))


def wsmr_all(d: Float[Tensor, "n n"], alpha: float) -> Float[Tensor, " n"]:
    """Mean over negatives of ln(1 + exp(alpha (d_ap - d_an))) for each anchor."""
    terms = softplus(alpha * (d.diagonal()[:, None] - d))
    return terms.masked_fill(_diagonal(d), 0.0).sum(1) / (d.shape[0] - 1)


def mhnw(d: Float[Tensor, "n n"], alpha: float) -> Float[Tensor, " n"]:
    """Weighted mean over an anchor's hard negatives, those nearer than its positive (paper, eqs. 3.2 and 3.3).

    D_i = d_ap - d_an_i > 0, w_i = D_i / max_j D_j (a constant for the gradient), and for N hard negatives
    1/N sum_i w_i ln(1 + exp(alpha D_i)). With N <= 1 it is `wsmr`; at N = 1 the two agree.
    """
    margin = d.diagonal()[:, None] - d
    hard = hard_negatives(d)
    count = hard.sum(1)
    hardest = margin.detach().masked_fill(~hard, 0.0).amax(1, keepdim=True)
    weight = (margin.detach() / hardest.clamp_min(torch.finfo(d.dtype).tiny)).masked_fill(~hard, 0.0)
    several = (weight * softplus(alpha * margin)).sum(1) / count.clamp_min(1)
    return torch.where(count > 1, several, wsmr(d, alpha))


def hard_negatives(d: Float[Tensor, "n n"]) -> Bool[Tensor, "n n"]:
    """True where a negative is nearer to the anchor than its positive."""
    return (d < d.diagonal()[:, None]) & ~_diagonal(d)


def _diagonal(d: Float[Tensor, "n n"]) -> Bool[Tensor, "n n"]:
    return torch.eye(d.shape[0], dtype=torch.bool, device=d.device)
