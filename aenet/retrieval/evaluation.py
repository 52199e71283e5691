"""Evaluate descriptors of one split: who is found, at which rank, how far off in metres. No torch here."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from pydantic import Field

from aenet.card import Paint
from aenet.data.views import Views
from aenet.geodesy import distance_m
from aenet.params import Config
from aenet.retrieval import metrics
from aenet.retrieval.positives import Positives, of_pairs, within
from aenet.retrieval.ranking import rank
from aenet.retrieval.tally import Tally

_TOP = 5


class EvaluateConfig(Config):
    """How to evaluate.

    Attributes:
        batch_size: views embedded at once.
        threads: CPU threads of torch.
        figures: rows of retrieval strips and heat maps drawn.
        positives_within_m: metres around the photo within which every reference is right (CVACT_test's protocol: 5);
            null: only the query's own one is.
        fov_deg: degrees of the panorama that a query keeps, one evaluation each.
        unknown_heading: whether to evaluate queries whose heading is not known, too (several times the work).
        phases: rolls within one column of the feature map that a query of unknown heading is described at.
        seed: draws the headings.
        unseen: what stands in a query's columns outside its field of view; null: what the model's card says, as in
            training and service. Any other is a study of what it costs, and no figure of what serving gives.
    """

    batch_size: int = Field(ge=1)
    threads: int = Field(ge=1)
    figures: int = Field(default=6, ge=1)
    positives_within_m: float | None = Field(default=None, ge=0)
    fov_deg: tuple[Annotated[float, Field(gt=0, le=360)], ...] = Field(default=(360.0,), min_length=1)
    unknown_heading: bool = False
    phases: int = Field(default=4, ge=1)
    seed: int = 0
    unseen: Paint | None = None


@dataclass(frozen=True)
class Evaluation:
    """Outcome on one split; `top` holds the rows of the best references, best first."""

    values: dict[str, float]
    rank: Int[np.ndarray, " q"]
    top: Int[np.ndarray, "q k"]
    similarity: Float[np.ndarray, "q k"]
    error_m: Float[np.ndarray, " q"]


def score(
    ground: Float[np.ndarray, "q d"],
    aerial: Float[np.ndarray, "q d"],
    views: Views,
    positives_within_m: float | None = None,
) -> Evaluation:
    """Score descriptors whose rows match the split's pairs; they may be memory maps (`aenet.retrieval.ranking.rank`).

    `chance_at_1` is what guessing gives; distances are from the photo to the centre of the tile ranked first.
    """
    return evaluate(rank(ground, aerial, right_answers(views, positives_within_m), _TOP), views)


def right_answers(views: Views, within_m: float | None) -> Positives:
    """Return each query's own reference, or all within so many metres (`aenet.retrieval.positives`)."""
    return of_pairs(views.pairs) if within_m is None else within(views.pairs, within_m)


def protocol(within_m: float | None) -> str:
    """Name the rule by which a reference answers a query."""
    return "identity" if within_m is None else f"any reference within {within_m:g} m"


def evaluate(tally: Tally, views: Views) -> Evaluation:
    """Turn counted ranks into metrics, metres among them."""
    pairs, first = views.pairs, tally.best.top[:, 0]
    error_m = distance_m(
        pairs["latitude"].to_numpy(),
        pairs["longitude"].to_numpy(),
        pairs["aerial_latitude"].to_numpy()[first],
        pairs["aerial_longitude"].to_numpy()[first],
    )
    tiles = tally.positives.listed(len(views))
    chance = 100 * len(tally.positives.rows) / (len(views) * tiles)  # 100 / places where each has one right answer
    values = metrics.summary(tally.rank, tiles) | {"chance_at_1": chance, "places": float(tiles)}
    if np.isfinite(error_m).all():
        values |= metrics.error_summary(error_m)
    return Evaluation(values, tally.rank, tally.best.top, tally.best.similarity, error_m)


def curve(rank: Int[np.ndarray, " q"]) -> pd.DataFrame:
    """Return recall in percent at K = 1, 2, 5, 10, 20, 50, ... up to the number of queries."""
    n = len(rank)
    ks = sorted({k for power in range(7) for m in (1, 2, 5) if (k := m * 10**power) < n} | {n})
    return pd.DataFrame({"k": ks, "recall": [100 * metrics.recall(rank, k) for k in ks]})
