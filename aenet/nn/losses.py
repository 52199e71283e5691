"""Metric-learning losses on a batch of matching pairs: row i of the ground matches row i of the aerial descriptors.

Where the paper is silent the decisions are: squared Euclidean distance of unit vectors, alpha = 10, both directions
averaged. The formulae, with their sources, are in `ranking` and `contrastive`.
"""

from collections.abc import Callable
from functools import partial
from typing import Annotated, Literal, assert_never

from jaxtyping import Bool, Float
from pydantic import Field, model_validator
from torch import Tensor, nn

from aenet.io.errors import AenetError
from aenet.io.params import Config
from aenet.nn.distances import Distance, pairwise_distance
from aenet.nn.formulae import (
    InfoNCELoss,
    contrastive,
    hard_negatives,
    hertl,
    logistic_pairs,
    mhnw,
    soft_trihard,
    wsmr,
    wsmr_all,
)

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

# The configurations of the losses, one a kind; `build_loss` makes them work.

Anchors = Literal["both", "ground"]
SearchHeading = Literal["known", "unknown"]


class _Loss(Config):
    """What all losses have in common.

    Attributes:
        heading: what the search will know of the camera's heading. `known` compares views as they stand. `unknown` is
            the mean of that and of comparing negatives at the azimuth where they are most alike, as a search over
            all azimuths does; it turns the ground views of a run, validates by such a search, and needs a head
            that keeps the map. Twice the loss's work, which is little beside the network's.
    """

    heading: SearchHeading = "known"


class _Ranking(_Loss):
    alpha: float = Field(default=10.0, gt=0)
    distance: Distance = "squared"
    anchors: Anchors = "both"


class Wsmr(_Ranking):
    """Weighted soft-margin ranking with the hardest negative of the batch (paper, eq. 3.1)."""

    kind: Literal["wsmr"]


class WsmrAll(_Ranking):
    """Weighted soft-margin ranking averaged over all negatives of the batch (SAFA, DSM, Polar-L2LTR)."""

    kind: Literal["wsmr_all"]


class Mhnw(_Ranking):
    """Multiple hard negatives weighting (paper, eqs. 3.2 and 3.3)."""

    kind: Literal["mhnw"]


class SoftTriHard(_Loss):
    """Soft-margin triplet loss with batch-hard mining (Hermans et al. 2017; in this field GeoCapsNet, ICME 2019).

    Attributes:
        alpha: 1 for Hermans, 10 in this field.
        distance: Hermans found the plain Euclidean distance the better one.
        negatives: of both views, as Hermans' batch has them, or of the other view alone, as the search has them;
            then, for one positive an anchor, the formula is that of `wsmr`.
    """

    kind: Literal["soft_trihard"]
    alpha: float = Field(default=10.0, gt=0)
    distance: Distance = "euclidean"
    anchors: Anchors = "both"
    negatives: Literal["both_views", "other_view"] = "both_views"


class Dbl(_Loss):
    """Distance-based logistic loss (Vo and Hays, ECCV 2016, arXiv:1608.00161, section 3.5).

    Attributes:
        form: `triplet`: mean over all triplets of ln(1 + exp(d_ap - d_an)), that is `wsmr_all` with alpha 1;
            `pair`: see `logistic_pairs`, the same from both sides.
        margin: m of the pair form; the authors' 10 goes with distances of features that are not normalised.
        unit: normalise the descriptors first; the authors do not.
    """

    kind: Literal["dbl"]
    form: Literal["triplet", "pair"] = "triplet"
    margin: float = Field(default=10.0, gt=0)
    distance: Distance = "euclidean"
    anchors: Anchors = "both"
    unit: bool = False

    @model_validator(mode="after")
    def _pairs_have_no_anchor(self) -> "Dbl":
        if self.form == "pair" and self.anchors != "both":
            raise ValueError("a pair has no anchor: leave `anchors` at `both`, or use `form: triplet`")
        return self


class Hertl(_Loss):
    """Hard exemplar reweighting triplet loss (Cai et al., ICCV 2019): features not normalised, ground anchors alone.

    Attributes:
        margin: m, in the units of squared distances of those features: where a negative counts as easy.
    """

    kind: Literal["hertl"]
    margin: float = Field(default=10.0, gt=0)


class Contrastive(_Loss):
    """Contrastive loss (Hadsell et al., CVPR 2006) on Euclidean distances of unit vectors, which end at 2."""

    kind: Literal["contrastive"]
    margin: float = Field(default=1.0, gt=0)


class InfoNCE(_Loss):
    """Symmetric InfoNCE with a learned scale and smoothed labels (CLIP; Sample4Geo, ICCV 2023)."""

    kind: Literal["infonce"]
    temperature: float = Field(default=0.07, gt=0)
    learn_scale: bool = True
    max_scale: float = Field(default=100.0, ge=1)
    smoothing: float = Field(default=0.1, ge=0, lt=1)
    anchors: Anchors = "both"


LossConfig = Annotated[
    Wsmr | WsmrAll | Mhnw | SoftTriHard | Dbl | Hertl | Contrastive | InfoNCE, Field(discriminator="kind")
]


# Of ground, aerial, the columns that negatives are turned by, and which pairs are no negatives.
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
