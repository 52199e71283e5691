"""A training run and what is kept of it. It needs PyTorch: `aenet.doors.traindoor` says so where that is missing."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

import aenet
from aenet.data.views import open_views
from aenet.doors.given import PathLike, one_path
from aenet.io.artifacts import MANIFEST, folder_digest, read_manifest, sha256_file, verify_folder
from aenet.io.errors import AenetError
from aenet.io.locks import hold
from aenet.io.machine import computing_versions
from aenet.io.params import parse
from aenet.nn.backbones import initial_weights
from aenet.nn.branches import TwoBranch
from aenet.nn.model import TrainedCard, load_network
from aenet.presets import FOLDER, changed, read_preset
from aenet.training.keeping import HISTORY, trained_card, write_trained
from aenet.training.loop import Epoch, Step, TrainConfig
from aenet.training.loop import train as run_loop

_PACKAGE = Path(aenet.__file__).parent
# What decides a run's outcome: the rooms that dvc.yaml names for the stage `train`.
ROOMS = ("data", "evaluation", "io", "nn", "retrieval", "training", "view")


@dataclass(frozen=True)
class Kept:
    """A trained model that was kept.

    Attributes:
        folder: its weights (`best`, `last` and, with `ema_decay`, `ema`) and its card.
        card: what it says of itself.
        history: a row an epoch.
        network: the best weights in PyTorch, in evaluation mode.
    """

    folder: Path
    card: TrainedCard
    history: pd.DataFrame

    @property
    def network(self) -> TwoBranch:
        """The best weights."""
        return load_network(self.folder)[0]


def fit(
    views: PathLike,
    preset: PathLike,
    out: PathLike,
    changes: Mapping[str, Any] | None,
    overwrite: bool,
    on_step: Callable[[Step], None] | None,
    on_epoch: Callable[[Epoch], None] | None,
) -> Kept:
    """Train and keep; arguments and errors as `aenet.train`."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise AenetError("aenet.train is of one process: start several with `accelerate launch -m stages.train`")
    source, folder = one_path(views, "views"), one_path(out, "out")
    config = _config(preset, changes or {})
    initial = initial_weights(config.model.backbone)
    key = _key(config, source, initial.model_dump(mode="json"))
    with hold(folder.with_name(f".{folder.name}.lock"), f"model folder {folder}"):
        if _finished(folder, key, overwrite):
            return _kept(folder)
        train_views, val_views = open_views(source, "train"), open_views(source, "val")
        checkpoints = folder.with_name(f".{folder.name}.checkpoints") / key
        trained = run_loop(config, train_views, val_views, checkpoints, on_step, on_epoch)
        named = f"{read_manifest(source).meta.get('data') or 'unnamed data'} ({len(train_views)} pairs)"
        card = trained_card(config, train_views.spec, named, key, initial, trained)
        write_trained(folder, card, trained, with_history=True)
        _remove(checkpoints)
    return _kept(folder)


def _config(preset: PathLike, changes: Mapping[str, Any]) -> TrainConfig:
    named = os.fspath(preset)
    root = Path() if (Path() / FOLDER).is_dir() else _PACKAGE.parent
    sections = read_preset(named, root)
    if "train" not in sections:
        raise AenetError(f"preset {named} has no section `train`: {', '.join(sections) or 'it is empty'}")
    return parse(changed(sections, changes, "train"), "train", TrainConfig, source=f"preset {named}")


def _key(config: TrainConfig, views: Path, initial: dict[str, Any]) -> str:
    """Return the digest of all that decides the outcome."""
    parts = {
        "config": config.model_dump(mode="json", exclude=set(TrainConfig.SAFEKEEPING)),
        "views": folder_digest(views),
        "code": {path.relative_to(_PACKAGE).as_posix(): sha256_file(path) for path in _code()},
        "initial": initial,
        "versions": computing_versions(),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _code() -> list[Path]:
    return sorted(path for room in ROOMS for path in (_PACKAGE / room).rglob("*.py"))


def _finished(folder: Path, key: str, overwrite: bool) -> bool:
    """Return whether the model is there; errors where something else is."""
    if not folder.exists() or not any(folder.iterdir()):
        return False
    if (folder / MANIFEST).exists() and read_manifest(folder).meta.get("fingerprint") == key:
        return True
    if overwrite and (folder / MANIFEST).exists():
        return False
    raise AenetError(
        f"{folder} holds a model of other inputs, or other files: give another folder, or `overwrite` to replace "
        "a model"
    )


def _kept(folder: Path) -> Kept:
    verify_folder(folder, needed=(HISTORY,))
    _, card = load_network(folder)
    return Kept(folder, card, pd.read_csv(folder / HISTORY))


def _remove(checkpoints: Path) -> None:
    shutil.rmtree(checkpoints)
    if not any(checkpoints.parent.iterdir()):
        checkpoints.parent.rmdir()
