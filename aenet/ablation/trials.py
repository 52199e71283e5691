"""The ablation's trials: what a row of the paper's Tables 5 and 6 changes, and how its networks are measured."""

from pathlib import Path

import torch
from pydantic import Field

from aenet.data.masks import Masks
from aenet.data.views import Views
from aenet.evaluation.embed import embed_pairs
from aenet.heat.shares import measure_shares
from aenet.io.params import Config
from aenet.nn.attention import AttentionConfig
from aenet.nn.branches import TwoBranch
from aenet.nn.losses import LossConfig
from aenet.nn.model import untrained
from aenet.retrieval.recall import EvaluateConfig, score
from aenet.training.loop import TrainConfig


class Variant(Config):
    """What a row of the tables changes in the model of section `train`."""

    label: str
    attention: AttentionConfig
    loss: LossConfig


class AblateConfig(Config):
    """The rows of the comparison, in order.

    Attributes:
        epochs: of every run; None trains as long as section `train` does.
        seeds: one run each; their spread is what a difference between rows must exceed.
    """

    epochs: int | None = Field(default=None, ge=1)
    seeds: tuple[int, ...] = Field(default=(0,), min_length=1)
    variants: dict[str, Variant] = Field(min_length=1)

    def training(self, variant: str, base: TrainConfig) -> TrainConfig:
        """Section `train` with a row's changes; its seed is still to be set."""
        row = self.variants[variant]
        model = base.model.model_copy(update={"attention": row.attention})
        return base.model_copy(update={"model": model, "loss": row.loss, "epochs": self.epochs or base.epochs})


def measure_trial(
    network: TwoBranch, config: TrainConfig, views: Views, masks: Masks | None, settings: EvaluateConfig, state: Path
) -> dict[str, float]:
    """Return a trained network's metrics on a split and, where there are masks, where its heat falls (`heat.shares`).

    `state` is where descriptors may lie while they are ranked (`embed_pairs`).
    """
    pairs = embed_pairs(network, views, settings.batch_size, state)
    values = score(*pairs, views, settings.positives_within_m).values
    if masks is not None:
        values |= measure_shares(network, views, masks, settings.batch_size)
        # Borders and padding alone make a pattern: what training adds shows only beside a network without any.
        torch.manual_seed(config.seed)
        before = measure_shares(untrained(config.model), views, masks, settings.batch_size)
        values |= {f"untrained_{key}": value for key, value in before.items()}
    return values
