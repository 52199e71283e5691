"""Where a training run stands, what it reports, and the weights it keeps."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from aenet.training.sampling import Mined
from aenet.training.step import Gradient, Taken
from aenet.training.validation import standard_error

# What a run reports: a step, an epoch, the end.


@dataclass(frozen=True)
class Epoch:
    """The results of one epoch. Numbers `val_*` are of the validation split, in percent.

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
        """Return what there is by name; a run without averaged weights has no columns for them."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True)
class Trained:
    """The finished training: weights of the chosen epoch (`Best`) and of the last.

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


# The weights a run keeps: those that do best on the validation split, as far as its places can tell.

_LATEST = "the last epoch that no other beats by more than a standard error of their difference"
_HIGHEST = "the highest, of equals the first"


@dataclass
class Best:
    """The chosen weights so far, their epoch, and what the validation places said of them.

    Every epoch is compared with the one whose criterion (`validation`) has the highest mean, `top`. A better one is
    chosen. Where the schedule anneals, so is a later one that is worse by no more than the standard error of the
    difference, which is taken place by place: both were measured on the same places, so most of their luck is shared.
    What a falling rate ends in is better than what it came by unless the places say otherwise, and without this rule
    the best of many epochs is mostly the luckiest. So an annealed training ends with the last epoch that no other
    beats by more than a standard error, and comparing with the top alone keeps many small losses from adding up.

    Attributes:
        annealed: whether the schedule falls to nothing; at a constant rate the highest mean wins, the first of equals.
        values, top: the criterion of each place, in percent, at the chosen epoch and at that of the highest mean.
    """

    annealed: bool = False
    weights: dict[str, Tensor] = field(default_factory=dict)
    epoch: int = -1
    values: Float[np.ndarray, " n"] = field(default_factory=lambda: np.empty(0))
    top: Float[np.ndarray, " n"] = field(default_factory=lambda: np.empty(0))

    def consider(self, epoch: int, values: Float[np.ndarray, " n"], network: nn.Module) -> None:
        """Take a copy of the network's weights if they are to be preferred to those kept."""
        better = self.epoch < 0 or values.mean() > self.top.mean()
        if better or (self.annealed and (self.top - values).mean() <= standard_error(self.top - values)):
            self.weights = copied(network)
            self.epoch, self.values = epoch, values
        if better:
            self.top = values

    @property
    def rule(self) -> str:
        """Say in words which epoch is chosen."""
        return _LATEST if self.annealed else _HIGHEST

    def state_dict(self) -> dict[str, Any]:
        """Return what `load_state_dict` takes."""
        places = {"values": torch.from_numpy(self.values), "top": torch.from_numpy(self.top)}
        return {"weights": self.weights, "epoch": self.epoch, **places}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore."""
        self.weights, self.epoch = state["weights"], state["epoch"]
        self.values, self.top = state["values"].numpy(), state["top"].numpy()


def copied(network: nn.Module) -> dict[str, Tensor]:
    """Return a copy of a network's state on the CPU."""
    return {name: tensor.detach().cpu().clone() for name, tensor in network.state_dict().items()}


_RUNNING = ("step", "losses", "several", "skipped")


@dataclass
class Position:
    """The finished epochs, and how far the running one has come.

    Attributes:
        order: in which the running epoch takes the pairs; kept, because it may come from weights that are gone.
        mined: the hard negatives it was made of, which later epochs make another order of.
        step: steps of the running epoch that are done, of any kind.
        losses, several: of its good steps, one by one, so that a mean has the same bits after a kill.
        skipped: its bad steps.
    """

    history: list[dict[str, Any]] = field(default_factory=list)
    best: Best = field(default_factory=Best)
    order: Int[np.ndarray, " n"] | None = None
    mined: Mined = field(default_factory=Mined)
    step: int = 0
    losses: list[float] = field(default_factory=list)
    several: list[float] = field(default_factory=list)
    skipped: int = 0

    @property
    def epoch(self) -> int:
        """The running epoch, from 0."""
        return len(self.history)

    def add(self, taken: Taken, gradient: Gradient) -> None:
        """Count one step."""
        self.step += 1
        self.skipped += taken == "bad"
        if taken != "bad":
            self.losses.append(gradient.loss)
            self.several.append(gradient.several)

    def finish(self, epoch: Epoch) -> None:
        """Begin the next epoch."""
        self.history.append(epoch.numbers())
        self.order, self.step, self.losses, self.several, self.skipped = None, 0, [], [], 0

    def state_dict(self) -> dict[str, Any]:
        """Return what `load_state_dict` takes."""
        rows = {"order": _stored(self.order), "neighbours": _stored(self.mined.neighbours)}
        running = {name: getattr(self, name) for name in _RUNNING}
        return {"history": self.history, "best": self.best.state_dict(), **rows, **running}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore."""
        self.history, self.order = state["history"], _loaded(state["order"])
        self.mined.neighbours = _loaded(state["neighbours"])
        self.best.load_state_dict(state["best"])
        for name in _RUNNING:
            setattr(self, name, state[name])


def _stored(rows: np.ndarray | None) -> Tensor | None:
    return None if rows is None else torch.from_numpy(rows)


def _loaded(rows: Tensor | None) -> np.ndarray | None:
    return None if rows is None else rows.numpy()
