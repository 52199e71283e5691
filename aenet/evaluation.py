"""Evaluate descriptors of one split: who is found, at which rank, how far off in metres. No torch here."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from pydantic import Field

from aenet import metrics
from aenet.data.views import Views
from aenet.geodesy import distance_m
from aenet.params import Config

_TOP = 5


class EvaluateConfig(Config):
    """How to evaluate.

    Attributes:
        batch_size: views embedded at once.
        threads: CPU threads of torch.
        figures: rows of retrieval strips and heat maps drawn.
    """

    batch_size: int = Field(ge=1)
    threads: int = Field(ge=1)
    figures: int = Field(default=6, ge=1)


@dataclass(frozen=True)
class Evaluation:
    """Outcome on one split; `top` holds the rows of the best references, best first."""

    values: dict[str, float]
    rank: Int[np.ndarray, " q"]
    top: Int[np.ndarray, "q k"]
    similarity: Float[np.ndarray, "q k"]
    error_m: Float[np.ndarray, " q"]


def score(ground: Float[np.ndarray, "q d"], aerial: Float[np.ndarray, "q d"], views: Views) -> Evaluation:
    """Score descriptors whose rows match the split's pairs.

    `chance_at_1` is what guessing gives; distances are from the photo to the centre of the tile ranked first.
    """
    rank = metrics.ranks(ground, aerial, np.arange(len(views)))
    top = metrics.best_match(ground, aerial, _TOP)
    similarity = np.einsum("qd,qkd->qk", ground, aerial[top])
    pairs = views.pairs
    error_m = distance_m(
        pairs["latitude"].to_numpy(),
        pairs["longitude"].to_numpy(),
        pairs["aerial_latitude"].to_numpy()[top[:, 0]],
        pairs["aerial_longitude"].to_numpy()[top[:, 0]],
    )
    values = metrics.summary(rank, len(views)) | {"chance_at_1": 100 / len(views), "places": float(len(views))}
    if np.isfinite(error_m).all():
        values |= metrics.error_summary(error_m)
    return Evaluation(values, rank, top, similarity, error_m)


def curve(rank: Int[np.ndarray, " q"]) -> pd.DataFrame:
    """Return recall in percent at K = 1, 2, 5, 10, 20, 50, ... up to the number of queries."""
    n = len(rank)
    ks = sorted({k for power in range(7) for m in (1, 2, 5) if (k := m * 10**power) < n} | {n})
    return pd.DataFrame({"k": ks, "recall": [100 * metrics.recall(rank, k) for k in ks]})
