"""What a training reports: a step, an epoch, the end."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

import numpy as np
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Epoch:
    """What one epoch came to. Numbers `val_*` are of the validation split, in percent.

    Attributes:
        loss: mean over the epoch's steps.
        several_hard: share of anchors with more than one hard negative: where MHNW differs from WSMR.
        skipped: steps left out because their loss or gradient was not finite; an overflow that fp16's scaler
            answers by itself is none.
        val_mrr: the criterion that epochs are chosen by (`validation`), None where the epoch was not validated.
        val_mrr_se: its standard error over the places.
        val_recall_at_1, val_recall_at_5, val_recall_at_10: with headings known.
        val_unknown_heading_recall_at_1: where the loss trains for unknown headings.
        ema_...: the same of the averaged weights, where there are any.
    """

    epoch: int
    loss: float
    lr: float
    several_hard: float
    skipped: int = 0
    val_mrr: float | None = None
    val_mrr_se: float | None = None
    val_recall_at_1: float | None = None
    val_recall_at_5: float | None = None
    val_recall_at_10: float | None = None
    val_unknown_heading_recall_at_1: float | None = None
    ema_mrr: float | None = None
    ema_mrr_se: float | None = None
    ema_recall_at_1: float | None = None
    ema_recall_at_5: float | None = None
    ema_recall_at_10: float | None = None
    ema_unknown_heading_recall_at_1: float | None = None

    def numbers(self) -> dict[str, int | float]:
        """Return what there is by name; a training without averaged weights has no columns for them."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True)
class Trained:
    """The finished training: weights of the chosen epoch (`best.Best`) and of the last.

    With averaged weights, the best are the better of an epoch's weights and their average; `ema` is the last average.

    Attributes:
        best_values: the criterion of every validation place at the chosen weights, in percent (`validation`); empty in
            all processes but the first.
        negatives: how many rows were not taken as each other's negatives, and why (`data.sharing.Ignored.counts`).
    """

    best: dict[str, Tensor]
    last: dict[str, Tensor]
    best_epoch: int
    best_values: Float[np.ndarray, " n"]
    history: list[Epoch]
    ema: dict[str, Tensor] | None = None
    negatives: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Step:
    """Progress of a running epoch, for display.

    Attributes:
        step, steps: steps done, and of the whole epoch.
        pairs_per_second: since the epoch began, or went on, in this process; pairs of all processes.
        several_hard: share of anchors with more than one hard negative, in the epoch so far.
        memory_bytes: of this process; on a GPU the largest amount reserved there.
    """

    epoch: int
    step: int
    steps: int
    loss: float
    pairs_per_second: float
    several_hard: float = 0.0
    memory_bytes: int = 0
