"""Evaluate descriptors of one split: who is found, at which rank, how far off in metres. No torch here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from pydantic import Field

from aenet.data.distance import distance_m
from aenet.data.views import Views
from aenet.io.params import Config
from aenet.retrieval.positives import Positives, of_pairs, within
from aenet.retrieval.products import check_descriptors
from aenet.retrieval.ranking import best_match, rank, ranks
from aenet.retrieval.tally import Tally
from aenet.view.spec import Paint

__all__ = ["best_match", "check_descriptors", "error_summary", "one_percent", "ranks", "recall", "summary"]

# Ranking metrics that cannot be fooled: ties count against us, non-finite descriptors are an error.

_PERCENTILES = (75, 90, 95)


def recall(rank: Int[np.ndarray, " q"], k: int) -> float:
    """Return the share of queries whose true reference is among the first `k`, in 0..1."""
    return float((rank < k).mean())


def one_percent(references: int) -> int:
    """Return K for R@1%: floor(0.01 N), at least 1 (8,884 references: 88)."""
    return max(1, references // 100)


def summary(rank: Int[np.ndarray, " q"], references: int) -> dict[str, float]:
    """Return R@1, R@5, R@10, R@1 % in percent, and the median rank counted from 1."""
    at = {"recall_at_1": 1, "recall_at_5": 5, "recall_at_10": 10, "recall_at_1_percent": one_percent(references)}
    values = {name: 100 * recall(rank, k) for name, k in at.items()}
    return values | {"median_rank": float(np.median(rank)) + 1}


def error_summary(
    error_m: Float[np.ndarray, " q"], within_m: Sequence[float] = (5.0, 10.0, 25.0, 50.0)
) -> Mapping[str, float]:
    """Return median, 75th, 90th and 95th percentile of errors in metres, and percentages within given distances."""
    shares = {f"within_{metres:g}_m": 100 * float((error_m <= metres).mean()) for metres in within_m}
    percentiles = {f"p{p}_error_m": float(np.percentile(error_m, p)) for p in _PERCENTILES}
    return {"median_error_m": float(np.median(error_m)), **percentiles, **shares}


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
    return evaluate_ranks(rank(ground, aerial, right_answers(views, positives_within_m), _TOP), views)


def right_answers(views: Views, within_m: float | None) -> Positives:
    """Return each query's own reference, or all within so many metres (`aenet.retrieval.positives`)."""
    return of_pairs(views.pairs) if within_m is None else within(views.pairs, within_m)


def protocol(within_m: float | None) -> str:
    """Name the rule by which a reference answers a query."""
    return "identity" if within_m is None else f"any reference within {within_m:g} m"


def evaluate_ranks(tally: Tally, views: Views) -> Evaluation:
    """Turn counted ranks into metrics, metres among them."""
    pairs, first = views.pairs, tally.best.top[:, 0]
    error_m = distance_m(
        pairs["latitude"].to_numpy(),
        pairs["longitude"].to_numpy(),
        pairs["aerial_latitude"].to_numpy()[first],
        pairs["aerial_longitude"].to_numpy()[first],
    )
    values = metrics(tally, len(views), error_m)
    return Evaluation(values, tally.rank, tally.best.top, tally.best.similarity, error_m)


def metrics(tally: Tally, references: int, error_m: Float[np.ndarray, " q"]) -> dict[str, float]:
    """Return all numbers of an evaluation; those in metres only where every error is known.

    Args:
        tally: counted ranks.
        references: rows that were ranked, repeated tiles among them.
        error_m: metres from each photo to the tile ranked first, NaN where not known.
    """
    tiles, queries = tally.positives.listed(references), len(tally.rank)
    chance = 100 * len(tally.positives.rows) / (queries * tiles)  # 100 / places where each has one right answer
    values = summary(tally.rank, tiles) | {"chance_at_1": chance, "places": float(tiles)}
    return {**values, **error_summary(error_m)} if np.isfinite(error_m).all() else values


def curve(rank: Int[np.ndarray, " q"]) -> pd.DataFrame:
    """Return recall in percent at K = 1, 2, 5, 10, 20, 50, ... up to the number of queries."""
    n = len(rank)
    ks = sorted({k for power in range(7) for m in (1, 2, 5) if (k := m * 10**power) < n} | {n})
    return pd.DataFrame({"k": ks, "recall": [100 * recall(rank, k) for k in ks]})
