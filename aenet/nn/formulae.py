"""The formulae of the losses: every anchor's positive must be nearer than its negatives.

Each function takes the distance matrix d[i, j] (anchor i, reference j; the diagonal holds the positives) and returns
one value per anchor. In the formulae d_ap is the anchor's positive, d_an one of its n - 1 negatives, or of fewer where
`ignore` is true for some: references that are no negatives of the anchor (`aenet.data.pairs`). An anchor without
any negative costs nothing.
"""

from math import log

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, log_softmax, softplus

from aenet.nn.distances import best_products, mean_over_negatives, not_negatives

_LN2 = log(2.0)
Mask = Bool[Tensor, "n n"] | None


def wsmr(d: Float[Tensor, "n n"], alpha: float, ignore: Mask = None) -> Float[Tensor, " n"]:
    """ln(1 + exp(alpha (d_ap - min_n d_an))) (AENet, eq. 3.1)."""
    return softplus(alpha * (d.diagonal() - nearest_negative(d, ignore)))


def wsmr_all(d: Float[Tensor, "n n"], alpha: float, ignore: Mask = None) -> Float[Tensor, " n"]:
    """Mean over negatives of ln(1 + exp(alpha (d_ap - d_an))) (Hu et al., CVM-Net, CVPR 2018)."""
    return mean_over_negatives(softplus(alpha * (d.diagonal()[:, None] - d)), ignore)


def mhnw(d: Float[Tensor, "n n"], alpha: float, ignore: Mask = None) -> Float[Tensor, " n"]:
    """Weighted mean over an anchor's hard negatives, those nearer than its positive (AENet, eqs. 3.2 and 3.3).

    D_i = d_ap - d_an_i > 0, w_i = D_i / max_j D_j (a constant for the gradient), and for N hard negatives
    1/N sum_i w_i ln(1 + exp(alpha D_i)). With N <= 1 it is `wsmr`; at N = 1 the two agree.
    """
    margin = d.diagonal()[:, None] - d
    hard = hard_negatives(d, ignore)
    count = hard.sum(1)
    hardest = margin.detach().masked_fill(~hard, 0.0).amax(1, keepdim=True)
    weight = (margin.detach() / hardest.clamp_min(torch.finfo(d.dtype).tiny)).masked_fill(~hard, 0.0)
    several = (weight * softplus(alpha * margin)).sum(1) / count.clamp_min(1)
    return torch.where(count > 1, several, wsmr(d, alpha, ignore))


def soft_trihard(
    d: Float[Tensor, "n n"], alpha: float, within: Float[Tensor, "n n"] | None = None, ignore: Mask = None
) -> Float[Tensor, " n"]:
    """ln(1 + exp(alpha (max_p d_ap - min_n d_an))) with batch-hard negatives (Hermans et al. 2017, arXiv:1703.07737).

    A place has one image a view, so an anchor has one positive and the maximum is it. The negatives are the images
    of all other places: of the other view and, where `within` holds the distances inside the anchor's own view
    (its diagonal is ignored, and whatever is no negative either way), of both views, as Hermans' batches of P places
    and K = 2 images have it.
    """
    nearest = nearest_negative(d, ignore)
    if within is not None:
        inside = None if ignore is None else ignore | ignore.T
        nearest = torch.minimum(nearest, nearest_negative(within, inside))
    return softplus(alpha * (d.diagonal() - nearest))


def hertl(d: Float[Tensor, "n n"], margin: float, ignore: Mask = None) -> Float[Tensor, " n"]:
    """Hard exemplar reweighting triplet loss (Cai et al., Siam-FCANet, ICCV 2019, doi 10.1109/ICCV.2019.00848).

    Mean over negatives of w ln(1 + exp(D)), D = d_ap - d_an in squared Euclidean distances, where
    w = -log2(p), p = 1 / (1 + exp(D + m/2)), is bounded: above, by its value at D = 0 (an extreme negative is likelier
    a wrong label); below its value at D = -m, an easy negative, it is 0.1 / n. The gradient passes through w where it
    is not bounded, as in the authors' published code; they average over n^2 entries with an empty diagonal, which is
    (n - 1) / n of this mean.
    """
    difference = d.diagonal()[:, None] - d
    weight = softplus(difference + margin / 2) / _LN2
    zero = torch.zeros((), dtype=d.dtype, device=d.device)
    highest, lowest = softplus(zero + margin / 2) / _LN2, softplus(zero - margin / 2) / _LN2
    weight = torch.where(weight < lowest, 0.1 / d.shape[0], torch.minimum(weight, highest))
    return mean_over_negatives(weight * softplus(difference), ignore)


def nearest_negative(d: Float[Tensor, "n n"], ignore: Mask = None) -> Float[Tensor, " n"]:
    """Return min_n d_an of each anchor; infinity where it has no negative."""
    return d.masked_fill(not_negatives(d, ignore), torch.inf).amin(1)


def hard_negatives(d: Float[Tensor, "n n"], ignore: Mask = None) -> Bool[Tensor, "n n"]:
    """True where a negative is nearer to the anchor than its positive."""
    return (d < d.diagonal()[:, None]) & ~not_negatives(d, ignore)


# Losses on pairs and on a whole row of similarities; the same seen from both views unless said otherwise.

_NEAREST = 1e-6
# of what is no negative: `aenet.data.pairs`


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
