"""Evaluate a trained network on one split: who is found, at which rank, how far off in metres."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from pydantic import Field

from aenet import metrics
from aenet.data.views import Views
from aenet.embed import embed
from aenet.geodesy import distance_m
from aenet.nn.branches import TwoBranch
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


def evaluate(network: TwoBranch, views: Views, config: EvaluateConfig) -> Evaluation:
    """Rank every aerial view of the split for every ground view of it."""
    torch.set_num_threads(config.threads)
    ground = embed(network.ground, views.ground, config.batch_size)
    aerial = embed(network.aerial, views.aerial, config.batch_size)
    return score(ground, aerial, views)


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
