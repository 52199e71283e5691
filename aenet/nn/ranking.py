"""Ranking losses: every anchor's positive must be nearer than its negatives.

Each function takes the distance matrix d[i, j] (anchor i, reference j; the diagonal holds the positives) and returns
one value per anchor. In the formulae d_ap is the anchor's positive, d_an one of its n - 1 negatives, or of fewer where
`ignore` is true for some: references that are no negatives of the anchor (`aenet.data.sharing`). An anchor without
any negative costs nothing.
"""

from math import log

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import softplus

from aenet.nn.distances import mean_over_negatives, not_negatives

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
