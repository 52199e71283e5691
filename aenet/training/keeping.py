"""What a run leaves: a model folder with its weights and its card. The stages and `aenet.train` write it here."""

from pathlib import Path

import pandas as pd
from safetensors.torch import save_file

from aenet.data.card import InitialWeights
from aenet.io.artifacts import atomic_folder
from aenet.io.machine import computing_versions
from aenet.nn.model import Choice, TrainedCard, save_model
from aenet.training.state import Best, Trained
from aenet.training.trainconfig import TrainConfig
from aenet.training.validation import criterion_name, standard_error
from aenet.view.spec import ViewSpec

HISTORY = "history.csv"


def choice(config: TrainConfig, trained: Trained) -> Choice:
    """Return what the chosen epoch was chosen by."""
    return Choice(
        criterion=criterion_name(config),
        rule=Best(config.optimizer.annealed).rule,
        places=len(trained.best_values),
        value=float(trained.best_values.mean()),
        standard_error=standard_error(trained.best_values),
    )


def trained_card(
    config: TrainConfig, view: ViewSpec, source: str, key: str, initial: InitialWeights, trained: Trained
) -> TrainedCard:
    """Return what a model folder says of itself.

    Args:
        source: what it was trained on, in words.
        key: digest of all that decided the outcome.
        initial: what its backbone began with.
    """
    return TrainedCard(
        model=config.model,
        view=view,
        trained_on=source,
        fingerprint=key,
        epochs=config.epochs,
        best_epoch=trained.best_epoch,
        choice=choice(config, trained),
        unseen=config.unseen,
        initial=initial,
        versions=computing_versions(),
    )


def history_table(trained: Trained) -> pd.DataFrame:
    """Return one row an epoch: loss, rate, validation."""
    return pd.DataFrame([epoch.numbers() for epoch in trained.history])


def write_trained(folder: Path, card: TrainedCard, trained: Trained, with_history: bool = False) -> None:
    """Write the model folder, wholly or not at all; the stages keep the history beside their reports instead."""
    with atomic_folder(folder, {"fingerprint": card.fingerprint}) as temporary:
        save_model(temporary, card, trained.best, trained.last)
        if trained.ema is not None:
            averaged = {name: tensor.clone().contiguous() for name, tensor in trained.ema.items()}
            save_file(averaged, temporary / "ema.safetensors")
        if with_history:
            history_table(trained).to_csv(temporary / HISTORY, index=False)
