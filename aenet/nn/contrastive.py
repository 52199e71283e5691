"""Losses on pairs and on a whole row of similarities; the same seen from both views unless said otherwise."""

from math import log

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, log_softmax, softplus

from aenet.nn.distances import best_products, mean_over_negatives

_NEAREST = 1e-6
Mask = Bool[Tensor, "n n"] | None  # of what is no negative: `aenet.data.sharing`


def contrastive(d: Float[Tensor, "n n"], margin: float, ignore: Mask = None) -> Float[Tensor, ""]:
    """Return 1/2 [mean over matches of d^2 + mean over others of max(0, m - d)^2], d Euclidean.

    Hadsell, Chopra, LeCun, CVPR 2006. They give every pair the same weight; here the n matches together weigh as much
    as the n (n - 1) others, or the batch size would decide between pulling and pushing.
    """
    others = mean_over_negatives((margin - d).clamp_min(0).square(), ignore).mean()
    return (d.diagonal().square().mean() + others) / 2


def logistic_pairs(d: Float[Tensor, "n n"], margin: float, ignore: Mask = None) -> Float[Tensor, ""]:
    """Return the mean log loss of p = (1 + exp(-m)) / (1 + exp(d - m)), the probability that a pair matches.

    Vo and Hays, ECCV 2016, arXiv:1608.00161, section 3.5: -ln p for matches, -ln(1 - p) for others; matches and
    others weigh the same together, as in `contrastive`. 1 - p is 0 at d = 0, where others would cost infinitely much:
    distances below 1e-6 count as 1e-6.
    """
    match = softplus(d.diagonal() - margin) - softplus(torch.full_like(d.diagonal(), -margin))
    apart = d.clamp_min(_NEAREST)
    # 1 - p = exp(-m) (exp(d) - 1) / (1 + exp(d - m)); ln(exp(d) - 1) = d + ln(1 - exp(-d)) overflows nowhere.
    other = softplus(apart - margin) + margin - apart - torch.log(-torch.expm1(-apart))
    return (match.mean() + mean_over_negatives(other, ignore).mean()) / 2


class InfoNCELoss(nn.Module):
    """Cross-entropy of each row of scaled cosines against its match: symmetric InfoNCE.

    Mean over anchors of -sum_j q_j ln softmax_j(s g a_j); smoothing e gives q = 1 - e + e / n at the match and e / n
    elsewhere. What is to be ignored is in neither sum, and n is then the number of what is left.
    The scale s starts at 1 / temperature, is learned as its logarithm and never passes `max_scale` (Radford et al.,
    CLIP, 2021, arXiv:2103.00020; for cross-view geo-localization Sample4Geo, ICCV 2023, arXiv:2303.11851).
    """

    def __init__(
        self,
        temperature: float = 0.07,
        max_scale: float = 100.0,
        smoothing: float = 0.1,
        learn_scale: bool = True,
        both: bool = True,
    ) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(-log(temperature)), requires_grad=learn_scale)
        self.max_log_scale, self.smoothing, self.both = log(max_scale), smoothing, both

    def forward(
        self, ground: Float[Tensor, "n d"], aerial: Float[Tensor, "n d"], columns: int = 1, ignore: Mask = None
    ) -> Float[Tensor, ""]:
        """Return the batch's loss for unit descriptors of matching rows; `best_products` says what `columns` does."""
        with torch.no_grad():  # the parameter itself: a bound in the graph would leave it no slope to come back by
            self.log_scale.clamp_(max=self.max_log_scale)
        logits = best_products(self.log_scale.exp() * ground, aerial, columns)
        value = self._one_way(logits, ignore)
        if self.both:
            value = (value + self._one_way(logits.T, None if ignore is None else ignore.T)) / 2
        return value

    def _one_way(self, logits: Tensor, ignore: Tensor | None) -> Tensor:
        if ignore is None:
            match = torch.arange(len(logits), device=logits.device)
            return cross_entropy(logits, match, label_smoothing=self.smoothing)
        surprise = -log_softmax(logits.masked_fill(ignore, -torch.inf), dim=1)
        smooth = surprise.masked_fill(ignore, 0.0).sum(1) / (~ignore).sum(1)
        return ((1 - self.smoothing) * surprise.diagonal() + self.smoothing * smooth).mean()
