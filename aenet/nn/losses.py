"""Metric-learning losses on a batch of matching pairs: row i of the ground matches row i of the aerial descriptors.

Where the paper is silent the decisions are: squared Euclidean distance of unit vectors, alpha = 10, both directions
averaged. The formulae, with their sources, are in `ranking` and `contrastive`.
"""

from collections.abc import Callable
from functools import partial
from typing import assert_never

from jaxtyping import Bool, Float
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

# Of ground, aerial, the columns that strangers are turned by, and who is no stranger.
_Formula = Callable[[Tensor, Tensor, int, Tensor | None], Tensor]


class BatchLoss(nn.Module):
    """The loss of a whole batch: ground and aerial descriptors of matching rows -> one value.

    Attributes:
        unit: whether the descriptors must have length one; False asks for them as the heads left them.
        columns: turns at which views of different places are compared; 1 compares them as they stand, more both as
            they stand and at the best of so many turns, and takes the mean of the two losses: a new network finds
            everything alike at some turn, and what tells places apart as they stand it learns sooner.
    """

    def __init__(self, formula: _Formula, unit: bool = True, columns: int = 1) -> None:
        super().__init__()
        self.formula = formula  # a module's own parameters become this module's
        self.unit, self.columns = unit, columns

    def forward(
        self, ground: Float[Tensor, "n d"], aerial: Float[Tensor, "m d"], ignore: Bool[Tensor, "n m"] | None = None
    ) -> Float[Tensor, ""]:
        """Return the batch's loss.

        Args:
            ignore: true where a tile is no negative of a panorama although it is not its match in the batch.

        Raises:
            AenetError: the two differ in shape, or there is no second pair to tell the first from.
        """
        if ground.shape != aerial.shape or len(ground) < 2:
            raise AenetError(
                f"a loss needs at least two matching pairs, got ground {tuple(ground.shape)} and aerial "
                f"{tuple(aerial.shape)}: use a batch_size of 2 or more"
            )
        value = self.formula(ground, aerial, 1, ignore)
        return value if self.columns == 1 else (value + self.formula(ground, aerial, self.columns, ignore)) / 2


def build_loss(config: LossConfig, columns: int = 1) -> BatchLoss:
    """Return the loss as a module, called with ground and aerial descriptors [n, d]; some have a parameter to learn.

    Args:
        columns: of the descriptors' map around the horizon, by which `heading: unknown` turns it.

    Raises:
        AenetError: the heading is unknown, and there are no columns to turn by.
    """
    if config.heading == "known":
        columns = 1
    elif columns < 2:
        raise AenetError(
            f"loss.heading is unknown, and a descriptor of {columns} column has nothing to turn: use head.kind flatten "
            "on a feature map of two columns or more, or loss.heading known"
        )
    unit = config.unit if isinstance(config, Dbl) else not isinstance(config, Hertl)
    return BatchLoss(_formula(config, unit), unit, columns)


def _formula(config: LossConfig, unit: bool) -> _Formula:  # noqa: PLR0911  # one return a kind
    match config:
        case Wsmr():
            return _ranking(partial(wsmr, alpha=config.alpha), config.distance, config.anchors)
        case WsmrAll():
            return _ranking(partial(wsmr_all, alpha=config.alpha), config.distance, config.anchors)
        case Mhnw():
            return _ranking(partial(mhnw, alpha=config.alpha), config.distance, config.anchors)
        case SoftTriHard():
            return partial(_soft_trihard, config)
        case Dbl(form="triplet"):
            return _ranking(partial(wsmr_all, alpha=1.0), config.distance, config.anchors, unit)
        case Dbl():
            distance = partial(pairwise_distance, kind=config.distance, unit=unit)
            return lambda g, a, columns, ignore: logistic_pairs(distance(g, a, columns=columns), config.margin, ignore)
        case Hertl():
            return _ranking(partial(hertl, margin=config.margin), "squared", "ground", unit)
        case Contrastive():
            distance = partial(pairwise_distance, kind="euclidean")
            return lambda g, a, columns, ignore: contrastive(distance(g, a, columns=columns), config.margin, ignore)
        case InfoNCE():
            both = config.anchors == "both"
            return InfoNCELoss(config.temperature, config.max_scale, config.smoothing, config.learn_scale, both)
    assert_never(config)


def _ranking(per_anchor: Callable[..., Tensor], distance: Distance, anchors: Anchors, unit: bool = True) -> _Formula:
    def formula(ground: Tensor, aerial: Tensor, columns: int, ignore: Tensor | None) -> Tensor:
        d = pairwise_distance(ground, aerial, distance, unit, columns)
        value = per_anchor(d, ignore=ignore).mean()
        if anchors == "ground":
            return value
        return (value + per_anchor(d.T, ignore=None if ignore is None else ignore.T).mean()) / 2

    return formula


def _soft_trihard(config: SoftTriHard, ground: Tensor, aerial: Tensor, columns: int, ignore: Tensor | None) -> Tensor:
    def one_way(anchors: Tensor, references: Tensor, ignore: Tensor | None) -> Tensor:
        distance = partial(pairwise_distance, kind=config.distance, columns=columns)
        within = distance(anchors, anchors) if config.negatives == "both_views" else None
        return soft_trihard(distance(anchors, references), config.alpha, within, ignore).mean()

    value = one_way(ground, aerial, ignore)
    if config.anchors == "ground":
        return value
    return (value + one_way(aerial, ground, None if ignore is None else ignore.T)) / 2
