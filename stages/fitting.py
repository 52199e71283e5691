"""One training run on the packed views, as `train` and every `ablate` variant do it, in one process or in many."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import FrameType

from aenet import tracking
from aenet.data.card import InitialWeights
from aenet.data.pairs import said
from aenet.data.views import open_views
from aenet.evaluation import figures
from aenet.io.artifacts import folder_digest, read_manifest
from aenet.io.atomic import atomic_file
from aenet.io.errors import AenetError
from aenet.io.locks import wait_for
from aenet.nn.backbones import initial_weights
from aenet.progress import progress
from aenet.training.epoch import ignored_rows
from aenet.training.keeping import history_table, trained_card, write_trained
from aenet.training.loop import Epoch, Step, Stop, Stopped, TrainConfig, Trained, train, wait_for_all
from stages.project import Paths, training_key
from stages.running import console

# SIGTERM and Ctrl-C during training: a request that the loop answers with a checkpoint.

DEADLINE_S = 4.5  # from the signal to the end of the process, come what may
_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def stop_on_signals() -> Iterator[Stop]:
    """Yield what to hand to `train`; within the block signals ask it to stop, a second one ends the process."""
    stop = Stop(DEADLINE_S)

    def ask(signum: int, frame: FrameType | None) -> None:
        del frame
        stop.request(signum)

    before = {number: signal.signal(number, ask) for number in _SIGNALS}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def fit_tracked(
    paths: Paths, config: TrainConfig, label: str, active: tracking.Run, model: Path, report: Path
) -> Trained:
    """Train, or go on from the checkpoint of the very same run; write the model folder, history and curves.

    Of several processes the first one locks, reports and writes, and the others wait until it has.
    """
    initial = _initial_weights(paths, config)
    key = training_key(paths.root, config, paths.views, initial)
    train_views, val_views = open_views(paths.views, "train"), open_views(paths.views, "val")
    told = ignored_rows(config, train_views)
    if first_process() and (sentence := said(told.counts(), told.within_m)):
        console.print(f"note: {sentence}", soft_wrap=True)
    active.dataset("views/train", folder_digest(paths.views), str(paths.views), len(train_views), context="training")

    checkpoints = paths.state / "checkpoints" / key
    # A second training of the same thing waits, and then finds it done.
    lock = wait_for(checkpoints / "lock") if first_process() else nullcontext()
    try:
        with lock, _shown(config, label) as (advance, validated), stop_on_signals() as stop:

            def log(epoch: Epoch) -> None:
                active.metrics(epoch.numbers(), step=epoch.epoch)
                validated(epoch)

            trained = train(config, train_views, val_views, checkpoints, advance, log, stop)
    except Stopped as stopped:
        sys.exit(128 + stopped.signal)
    if first_process():
        source = f"{data_name(paths)} ({len(train_views)} pairs)"
        write_trained(model, trained_card(config, train_views.spec, source, key, initial, trained), trained)
        _write_history(trained, report)
        active.artifact(report / "history.csv", folder="history")
        active.figure("history.png", report / "history.png")
        active.artifact(model, folder="model")
    wait_for_all()
    return trained


def data_name(paths: Paths) -> str:
    """Return what the views are of, in the words of `download.kind`."""
    return str(read_manifest(paths.views).meta.get("data") or "unnamed data")


def first_process() -> bool:
    """Return whether this is the only process of its job, or the first."""
    return int(os.environ.get("RANK", "0")) == 0


@contextmanager
def _shown(config: TrainConfig, label: str) -> Iterator[tuple[Callable[[Step], None] | None, Callable[[Epoch], None]]]:
    """Yield what shows a step and what shows an epoch's validation; the other processes show nothing."""
    said = ""

    def validated(epoch: Epoch) -> None:
        nonlocal said
        if epoch.val_mrr is not None:
            said = f", validation MRR {epoch.val_mrr:.1f} % in epoch {epoch.epoch + 1}"

    if not first_process():
        yield None, validated
        return
    with progress(label) as show:

        def advance(step: Step) -> None:
            note = (
                f"epoch {step.epoch + 1}/{config.epochs}, loss {step.loss:.3f}, {step.pairs_per_second:.0f} pairs/s, "
                f"{step.memory_bytes / 1e9:.1f} GB, several hard negatives {100 * step.several_hard:.0f} %{said}"
            )
            show(step.epoch * step.steps + step.step, config.epochs * step.steps, note)

        yield advance, validated


def _write_history(trained: Trained, report: Path) -> None:
    frame = history_table(trained)
    with atomic_file(report / "history.csv") as temporary:
        frame.to_csv(temporary, index=False)
    figures.history(frame, report / "history.png")


def _initial_weights(paths: Paths, config: TrainConfig) -> InitialWeights:
    """Return what the training begins with.

    Raises:
        AenetError: a file that DVC would not see replaced.
    """
    initial, file = initial_weights(config.model.backbone), config.model.backbone.file
    if file is not None and not _inside(file, paths.weights):
        raise AenetError(
            f"backbone.weights: {file} lies outside {paths.weights}/, where DVC looks for files of weights that were "
            f"replaced: move it there, and set backbone.weights to {Path(paths.weights.name) / file.name}"
        )
    return initial


def _inside(file: Path, folder: Path) -> bool:
    """Return whether a file is named below a folder; links are not followed, for DVC follows those in the folder."""
    named, inside = (Path(os.path.abspath(path)) for path in (file, folder))  # noqa: PTH100  # resolve() follows links
    return named.is_relative_to(inside)
