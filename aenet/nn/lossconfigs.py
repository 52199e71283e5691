"""The configurations of the losses, one a kind; `losses.build_loss` makes them work."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from aenet.nn.distances import Distance
from aenet.params import Config

Anchors = Literal["both", "ground"]
Heading = Literal["known", "unknown"]


class _Loss(Config):
    """What all losses have in common.

    Attributes:
        heading: what the search will know of the camera's heading. `known` compares views as they stand. `unknown` is
            the mean of that and of comparing strangers at the azimuth where they are most alike, as a search over
            all azimuths does; it turns the ground views of a training, validates by such a search, and needs a head
            that keeps the map. Twice the loss's work, which is little beside the network's.
    """

    heading: Heading = "known"


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
