"""One training, run by the test alone and by `torchrun` as two processes: `python gloo_training.py OUT.pt`."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from aenet.data.pairs import COLUMNS  # noqa: E402
from aenet.data.views import Views  # noqa: E402
from aenet.io.params import read_section  # noqa: E402
from aenet.nn.losses import Hertl, InfoNCE, Mhnw  # noqa: E402
from aenet.training.batches import batches  # noqa: E402
from aenet.training.engine import Engine  # noqa: E402
from aenet.training.epoch import compute_gradient  # noqa: E402
from aenet.training.loop import TrainConfig, train  # noqa: E402
from aenet.training.processes import synchronise  # noqa: E402
from aenet.training.sampling import RandomBatches, SimilarBatches  # noqa: E402
from aenet.view.spec import ViewSpec  # noqa: E402

EPOCHS = 9
# The town's; one with a scale of its own to learn; one of descriptors that are not normalised; one that turns views.
LOSSES: dict[str, Any] = {
    "mhnw": Mhnw(kind="mhnw"),
    "infonce": InfoNCE(kind="infonce"),
    "hertl": Hertl(kind="hertl"),
    "unknown heading": Mhnw(kind="mhnw", heading="unknown"),
}
PAIRS = 93  # of four batches of 24 the last has 21: ten for one process, eleven for the other


def make_views(n: int, height: int, width: int, seed: int) -> Views:
    """Return pairs whose two views show the same random layout in other colours."""
    rng = np.random.default_rng(seed)
    layout = rng.integers(0, 256, (n, height // 8, width // 8, 3), dtype=np.uint8).repeat(8, 1).repeat(8, 2)
    table = pd.DataFrame({column: np.arange(n, dtype=float) for column in COLUMNS})
    table["pair_id"] = [f"pair-{row}" for row in range(n)]
    return Views(
        "train", table, layout, 255 - layout[..., ::-1], ViewSpec.polar(height=height, width=width, tile_size_m=70.0)
    )


UNTUNED: dict[str, Any] = {
    "batch_size": 32,
    "threads": 1,
    "channels_last": False,
    "validate_every": 1,
    "loss": Mhnw(kind="mhnw"),
    "sampling": SimilarBatches(kind="similarity", group=16, first_epoch=2),
}


def settings(**changes: Any) -> TrainConfig:
    """Return the town's configuration as these tests want it, without what the demo's time asks for, and changed."""
    return read_section(ROOT / "params.yaml", "train", TrainConfig).model_copy(update={**UNTUNED, **changes})


def whole_batch() -> TrainConfig:
    """Return the configuration that one process, or two, train with."""
    return settings(batch_size=24, epochs=EPOCHS, sampling=RandomBatches(kind="random"))


def first_gradient(config: TrainConfig, shared_norm: bool = False) -> dict[str, Any]:
    """Return loss, gradients and running statistics of the first batch.

    Args:
        shared_norm: let one process compute its normalisation as many do; the built-in one rounds worse on a CPU.
    """
    views = make_views(PAIRS, 32, 128, 1)
    engine = Engine(config, PAIRS, views.spec)
    if shared_norm:
        synchronise(engine.plain, torch.device("cpu"))
    engine.network.train()
    processes = engine.processes
    ahead = batches(
        views, np.arange(PAIRS), config.batch_size, config.augment, config.seed, 0,
        rank=processes.rank, world=processes.world, columns=engine.loss.columns,
    )  # fmt: skip
    found = compute_gradient(engine, [next(ahead)])
    processes.average_gradients(list(engine.loss.parameters()))
    learnt = [*engine.plain.named_parameters(), *engine.loss.named_parameters(prefix="loss")]
    gradients = {name: p.grad.clone() for name, p in learnt if p.grad is not None}
    buffers = {name: buffer.clone() for name, buffer in engine.plain.named_buffers()}
    return {"loss": found.loss, "several": found.several, "gradients": gradients, "buffers": buffers}


def main(out: Path) -> None:
    """Write what the test compares."""
    config = whole_batch()
    first = {name: first_gradient(config.model_copy(update={"loss": loss})) for name, loss in LOSSES.items()}
    trained = train(config, make_views(PAIRS, 32, 128, 1), make_views(20, 32, 128, 2), out.with_suffix(".checkpoints"))
    if trained.best:
        torch.save(
            {"first": first, "history": [epoch.numbers() for epoch in trained.history], "last": trained.last}, out
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
