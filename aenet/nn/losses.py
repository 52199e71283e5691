"""Metric-learning losses on a batch of matching pairs: row i of the ground matches row i of the aerial descriptors.

Where the paper is silent the decisions are: squared Euclidean distance of unit vectors, alpha = 10, both directions
averaged. The formulae, with their sources, are in `ranking` and `contrastive`.
"""

from collections.abc import Callable
from functools import partial
from typing import assert_never

from jaxtyping import Float
from torch import Tensor, nn

from aenet.errors import AenetError
from aenet.nn.contrastive import InfoNCELoss, contrastive, logistic_pairs
from aenet.nn.distances import Distance, pairwise_distance
from aenet.nn.lossconfigs import (
    Anchors,
    Contrastive,
    Dbl,
    Hertl,
    InfoNCE,
    LossConfig,
    Mhnw,
    SoftTriHard,
    Wsmr,
    WsmrAll,
)
from aenet.nn.ranking import hard_negatives, hertl, mhnw, soft_trihard, wsmr, wsmr_all

__all__ = [
    "BatchLoss",
    "Contrastive",
    "Dbl",
    "Hertl",
    "InfoNCE",
    "LossConfig",
    "Mhnw",
    "SoftTriHard",
    "Wsmr",
    "WsmrAll",
    "build_loss",
    "hard_negatives",
    "pairwise_distance",
]


class BatchLoss(nn.Module):
    """The loss of a whole batch: ground and aerial descriptors of matching rows -> one value.

    Attributes:
        unit: whether the descriptors must have length one; False asks for them as the heads left them.
    """

    def __init__(self, formula: Callable[[Tensor, Tensor], Tensor], unit: bool = True) -> None:
        super().__init__()
        self.formula = formula  # a module's own parameters become this module's
        self.unit = unit

    def forward(self, ground: Float[Tensor, "n d"], aerial: Float[Tensor, "m d"]) -> Float[Tensor, ""]:
        """Return the batch's loss.

        Raises:
            AenetError: the two differ in shape, or there is no second pair to tell the first from.
        """
        if ground.shape != aerial.shape or len(ground) < 2:
            raise AenetError(
                f"a loss needs at least two matching pairs, got ground {tuple(ground.shape)} and aerial "
                f"{tuple(aerial.shape)}: use a batch_size of 2 or more"
            )
        return self.formula(ground, aerial)


def build_loss(config: LossConfig) -> BatchLoss:  # noqa: PLR0911  # one return a kind
    """Return the loss as a module, called with ground and aerial descriptors [n, d]; some have a parameter to learn."""
    match config:
        case Wsmr():
            return _ranking(partial(wsmr, alpha=config.alpha), config.distance, config.anchors)
        case WsmrAll():
            return _ranking(partial(wsmr_all, alpha=config.alpha), config.distance, config.anchors)
        case Mhnw():
            return _ranking(partial(mhnw, alpha=config.alpha), config.distance, config.anchors)
        case SoftTriHard():
            return BatchLoss(partial(_soft_trihard, config))
        case Dbl(form="triplet"):
            return _ranking(partial(wsmr_all, alpha=1.0), config.distance, config.anchors, config.unit)
        case Dbl():
            distance = partial(pairwise_distance, kind=config.distance, unit=config.unit)
            return BatchLoss(lambda g, a: logistic_pairs(distance(g, a), config.margin), config.unit)
        case Hertl():
            return _ranking(partial(hertl, margin=config.margin), "squared", "ground", unit=False)
        case Contrastive():
            return BatchLoss(lambda g, a: contrastive(pairwise_distance(g, a, "euclidean"), config.margin))
        case InfoNCE():
            return BatchLoss(
                InfoNCELoss(
                    config.temperature,
                    config.max_scale,
                    config.smoothing,
                    config.learn_scale,
                    both=config.anchors == "both",
                )
            )
    assert_never(config)


def _ranking(
    per_anchor: Callable[[Tensor], Tensor], distance: Distance, anchors: Anchors, unit: bool = True
) -> BatchLoss:
    def formula(ground: Tensor, aerial: Tensor) -> Tensor:
        d = pairwise_distance(ground, aerial, distance, unit)
        value = per_anchor(d).mean()
        return (value + per_anchor(d.T).mean()) / 2 if anchors == "both" else value

    return BatchLoss(formula, unit)


def _soft_trihard(config: SoftTriHard, ground: Tensor, aerial: Tensor) -> Tensor:
    def one_way(anchors: Tensor, references: Tensor) -> Tensor:
        both = config.negatives == "both_views"
        within = pairwise_distance(anchors, anchors, config.distance) if both else None
        return soft_trihard(pairwise_distance(anchors, references, config.distance), config.alpha, within).mean()

    value = one_way(ground, aerial)
    return (value + one_way(aerial, ground)) / 2 if config.anchors == "both" else value
