"""What a training reports: a step, an epoch, the end."""

from dataclasses import asdict, dataclass

from torch import Tensor


@dataclass(frozen=True)
class Epoch:
    """What one epoch came to; recalls are of the validation split, in percent, with headings as the loss has them.

    Attributes:
        loss: mean over the epoch's steps.
        several_hard: share of anchors with more than one hard negative: where MHNW differs from WSMR.
        skipped: steps left out because their loss or gradient was not finite; an overflow that fp16's scaler
            answers by itself is none.
        ema_recall_at_1, ema_recall_at_5, ema_recall_at_10: of the averaged weights, where there are any.
    """

    epoch: int
    loss: float
    lr: float
    several_hard: float
    val_recall_at_1: float
    val_recall_at_5: float
    val_recall_at_10: float
    skipped: int = 0
    ema_recall_at_1: float | None = None
    ema_recall_at_5: float | None = None
    ema_recall_at_10: float | None = None

    def numbers(self) -> dict[str, int | float]:
        """Return what there is by name; a training without averaged weights has no columns for them."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True)
class Trained:
    """The finished training: weights of the best epoch (on validation) and of the last.

    With averaged weights, the best are the better of an epoch's weights and their average; `ema` is the last average.
    """

    best: dict[str, Tensor]
    last: dict[str, Tensor]
    best_epoch: int
    history: list[Epoch]
    ema: dict[str, Tensor] | None = None


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
