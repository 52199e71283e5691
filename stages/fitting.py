"""One training on the packed views, as `train` and every `ablate` variant do it."""

from dataclasses import asdict
from pathlib import Path

import pandas as pd

from aenet import figures, tracking
from aenet.artifacts import atomic_file, atomic_folder, folder_digest
from aenet.data.views import open_views
from aenet.locks import wait_for
from aenet.model import TrainedCard, save_model
from aenet.progress import progress
from aenet.training import Epoch, Step, TrainConfig, Trained, train
from stages.fingerprint import training_key
from stages.paths import Paths


def fit(paths: Paths, config: TrainConfig, label: str, active: tracking.Run, model: Path, report: Path) -> Trained:
    """Train, or go on from the checkpoint of the very same training; write the model folder, history and curves."""
    key = training_key(paths.root, config, paths.views)
    train_views, val_views = open_views(paths.views, "train"), open_views(paths.views, "val")
    active.dataset("views/train", folder_digest(paths.views), str(paths.views), len(train_views), context="training")

    def log(epoch: Epoch) -> None:
        active.metrics({name: float(value) for name, value in asdict(epoch).items()}, step=epoch.epoch)

    checkpoints = paths.state / "checkpoints" / key
    # A second training of the same thing waits, and then finds it done.
    with wait_for(checkpoints / "lock"), progress(label) as show:

        def advance(step: Step) -> None:
            note = f"epoch {step.epoch + 1}/{config.epochs}, loss {step.loss:.3f}, {step.pairs_per_second:.0f} pairs/s"
            show(step.epoch * step.steps + step.step, config.epochs * step.steps, note)

        trained = train(config, train_views, val_views, checkpoints, on_step=advance, on_epoch=log)
    card = TrainedCard(
        model=config.model,
        view=train_views.spec,
        trained_on=f"{paths.raw.name} ({len(train_views)} pairs)",
        fingerprint=key,
        epochs=config.epochs,
        best_epoch=trained.best_epoch,
    )
    with atomic_folder(model, {"fingerprint": key}) as folder:
        save_model(folder, card, trained.best, trained.last)
    frame = pd.DataFrame([asdict(epoch) for epoch in trained.history])
    with atomic_file(report / "history.csv") as temporary:
        frame.to_csv(temporary, index=False)
    figures.history(frame, report / "history.png")
    active.artifact(report / "history.csv", folder="history")
    active.figure("history.png", report / "history.png")
    active.artifact(model, folder="model")
    return trained
