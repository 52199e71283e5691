"""Validation: how well a network finds each place of the validation split, with headings as the loss has them.

**The criterion** by which one epoch's weights are preferred to another's is the mean reciprocal rank: a place counts
1 / (rank + 1), with the heading known, or half of that and half of the same with the heading unknown where the loss
trains for unknown headings. Recall at 1 only knows found or not found: of 200 places its standard error is 3.5 points
at 50 %. A place's reciprocal rank also tells second from hundredth, and two searches for it average some of its luck.

Three passes over the views, whatever the heading: tiles, photos as they stand, photos turned away. A search describes
a photo at several turns within one column of its map (`data.turning.PHASES`); here each is described once, turned as a
training's views are (`draw_turns`), which is what the nearest of a search's turns leaves over. The turns are the same
every time, so that two epochs are compared on the same photos.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int

from aenet.data.views import Views
from aenet.evaluation.embed import embed_pairs
from aenet.evaluation.horizon import open_horizon, unknown_heading
from aenet.nn.branches import TwoBranch
from aenet.retrieval import recall
from aenet.retrieval.ranking import rank
from aenet.retrieval.recall import EvaluateConfig, right_answers
from aenet.training.augment import draw_turns
from aenet.training.trainconfig import TrainConfig

_TURNS_SEED = 0


@dataclass(frozen=True)
class Validation:
    """Ranks of all places of a split, 0 is best; `unknown` is None where the loss takes headings as known."""

    known: Int[np.ndarray, " n"]
    unknown: Int[np.ndarray, " n"] | None = None

    @property
    def criterion(self) -> Float[np.ndarray, " n"]:
        """Reciprocal rank of each place in percent, averaged over its searches; epochs are chosen by its mean."""
        searches = [self.known] if self.unknown is None else [self.known, self.unknown]
        return np.asarray(np.mean([100.0 / (found + 1) for found in searches], axis=0))

    def numbers(self, prefix: str) -> dict[str, float]:
        """Return criterion, its standard error and recalls in percent under names that begin with `prefix`."""
        found = recall.summary(self.known, len(self.known))
        values = {"mrr": float(self.criterion.mean()), "mrr_se": standard_error(self.criterion)}
        values |= {f"recall_at_{k}": found[f"recall_at_{k}"] for k in (1, 5, 10)}
        if self.unknown is not None:
            values["unknown_heading_recall_at_1"] = 100 * recall.recall(self.unknown, 1)
        return {f"{prefix}_{name}": value for name, value in values.items()}


def criterion_name(config: TrainConfig) -> str:
    """Say in words what `Validation.criterion` is under a configuration."""
    known = config.loss.heading == "known"
    return f"mean reciprocal rank, {'heading known' if known else 'mean of heading known and heading unknown'}"


def standard_error(values: Float[np.ndarray, " n"]) -> float:
    """Return the standard error of the mean over n >= 2 places, taken as independent of each other."""
    return float(values.std(ddof=1) / np.sqrt(len(values)))


def validate(network: TwoBranch, views: Views, config: TrainConfig) -> Validation:
    """Rank all places of a split."""
    ground, aerial = embed_pairs(network, views, config.batch_size)
    known = rank(ground, aerial, right_answers(views, None)).rank
    del ground  # GiB of it, perhaps, before the turned ones
    if config.loss.heading == "known":
        return Validation(known)
    searched = EvaluateConfig(batch_size=config.batch_size, threads=config.threads, phases=1)
    horizon = open_horizon(network, views, aerial, searched)
    generator = torch.Generator().manual_seed(_TURNS_SEED)
    turns = draw_turns(len(views), horizon.width, horizon.shape[2], generator)[1].numpy()
    return Validation(known, unknown_heading(replace(horizon, turns=turns), 360.0)[0].rank)
