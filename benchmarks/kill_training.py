"""Kill a training run again and again; what comes out must be, bit by bit, what an undisturbed one gives.

    python benchmarks/kill_training.py --kills 30

Each attempt is a process that goes on from the last checkpoint and is sent SIGKILL after a random time: while it
starts, within a step, while it mines hard negatives, in a validation or in the middle of writing a checkpoint. The last
attempt is left alone. Exit status 1 if the SHA-256 of weights or history differ.
"""

import argparse
import hashlib
import json
import multiprocessing
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402  after the path above
import pandas as pd  # noqa: E402

from aenet.data.pairs import COLUMNS  # noqa: E402
from aenet.data.views import Views  # noqa: E402
from aenet.io.atomic import write_json  # noqa: E402
from aenet.io.params import read_section  # noqa: E402
from aenet.training.loop import Step, TrainConfig, Trained, train  # noqa: E402
from aenet.view.spec import ViewSpec  # noqa: E402

PAIRS, BATCH = 160, 8
AT_WORK = "at_work"
STARTING = 0.2  # share of attempts that are killed while they start


def views(n: int, seed: int) -> Views:
    """Return pairs of 32 x 128 whose two views show the same random layout in other colours."""
    rng = np.random.default_rng(seed)
    layout = rng.integers(0, 256, (n, 4, 16, 3), dtype=np.uint8).repeat(8, 1).repeat(8, 2)
    table = pd.DataFrame({column: np.arange(n, dtype=float) for column in COLUMNS})
    return Views(
        "train", table, layout, 255 - layout[..., ::-1], ViewSpec.polar(height=32, width=128, tile_size_m=70.0)
    )


def attempt(folder: Path, epochs: int) -> None:
    """Train to the end, from wherever the checkpoints stand, and write the digests."""
    base = read_section(ROOT / "params.yaml", "train", TrainConfig).model_dump()
    sampling = {"kind": "similarity", "group": 4, "first_epoch": 1, "every": 2}
    changes = {"epochs": epochs, "batch_size": BATCH, "threads": 1, "sampling": sampling}
    changes |= {"checkpoint_every": 3, "ema_decay": 0.9, "accumulate": 2}
    config = TrainConfig.model_validate(base | changes)

    def at_work(step: Step) -> None:
        del step
        with (folder / AT_WORK).open("ab") as stream:
            stream.write(b".")

    trained = train(config, views(PAIRS, 1), views(40, 2), folder / "checkpoints", on_step=at_work)
    write_json(folder / "result.json", digests(trained))


def digests(trained: Trained) -> dict[str, Any]:
    """Return the SHA-256 of best, last and averaged weights and of the history."""
    found = {}
    for name in ("best", "last", "ema"):
        weights = getattr(trained, name)
        digest = hashlib.sha256()
        for key in sorted(weights):
            digest.update(key.encode() + weights[key].contiguous().numpy().tobytes())
        found[name] = digest.hexdigest()
    history = json.dumps([epoch.numbers() for epoch in trained.history], allow_nan=False)
    return found | {"history": hashlib.sha256(history.encode()).hexdigest()}


class Attempt:
    """One process that trains: a new interpreter, or a copy of this one, which has its imports done."""

    def __init__(self, folder: Path, epochs: int, fork: bool) -> None:
        self._process: Any
        self._at_work = folder / AT_WORK
        folder.mkdir(exist_ok=True)
        self._at_work.unlink(missing_ok=True)
        if fork:
            self._process = multiprocessing.get_context("fork").Process(target=attempt, args=(folder, epochs))
            self._process.start()
            self.wait: Callable[[float | None], Any] = self._process.join
        else:
            command = [sys.executable, __file__, "--attempt", str(folder), "--epochs", str(epochs)]
            self._process = subprocess.Popen(command)
            self.wait = self._waited

    def _waited(self, seconds: float | None) -> None:
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return

    @property
    def alive(self) -> bool:
        """Whether it has not ended by itself."""
        popen = isinstance(self._process, subprocess.Popen)
        return (self._process.poll() if popen else self._process.exitcode) is None

    def wait_for(self, steps: int) -> None:
        """Return once it has taken so many steps, or ended."""
        while self.alive and (not self._at_work.exists() or self._at_work.stat().st_size < steps):
            time.sleep(0.002)

    def kill(self) -> bool:
        """Kill it; return whether it was still at work."""
        alive = self.alive
        self._process.kill()
        self.wait(None)
        return alive


def main() -> int:
    """Run the undisturbed training, then the killed one; print and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--epochs", type=int, default=12, help=f"of {PAIRS // BATCH} steps")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--fork", action="store_true", help="spare each attempt the start of an interpreter")
    parser.add_argument("--attempt", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.attempt:
        attempt(given.attempt, given.epochs)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        return _compare(Path(folder), given.kills, given.epochs, given.seed, given.fork)


def _compare(folder: Path, kills: int, epochs: int, seed: int, fork: bool) -> int:
    begun = time.monotonic()
    Attempt(folder / "whole", epochs, fork).wait(None)
    longest = time.monotonic() - begun
    whole = _result(folder / "whole")
    print(f"undisturbed: {epochs * PAIRS // BATCH} steps in {longest:.1f} s", flush=True)
    moments, same = random.Random(seed), True  # noqa: S311  moments, no secrets
    runs = 0
    while kills > 0:  # a machine that has become faster may finish before the last kill: then another is begun
        killed, runs = folder / f"killed-{runs}", runs + 1
        steps = _kill(killed, kills, epochs, fork, moments)
        kills -= len(steps)
        result = _result(killed)
        same &= result == whole
        print(f"killed {len(steps)} times, with checkpoints at steps {steps}")
        for name, digest in whole.items():
            print(f"{name:8} {digest} undisturbed\n{'':8} {result[name]} killed {len(steps)} times")
    print("identical" if same else "DIFFERENT")
    return 0 if same else 1


def _result(folder: Path) -> dict[str, str]:
    if not (folder / "result.json").exists():
        sys.exit("a run failed by itself; what it said stands above")
    found: dict[str, str] = json.loads((folder / "result.json").read_text())
    return found


def _kill(folder: Path, kills: int, epochs: int, fork: bool, moments: random.Random) -> list[int]:
    """Kill up to `kills` attempts, then let one end; return the newest checkpoint's step at each kill."""
    steps: list[int] = []
    while len(steps) < kills:
        trial = Attempt(folder, epochs, fork)
        if moments.random() < STARTING:
            trial.wait(moments.uniform(0.0, 0.5 if fork else 10.0))
        else:
            # Steps, not seconds, bring the runs as far on a busy machine; the rest of the moment is time.
            trial.wait_for(moments.randint(1, max(1, 2 * epochs * PAIRS // BATCH // (kills + 5))))
            trial.wait(moments.uniform(0.0, 0.1))
        if not trial.kill():
            return steps
        steps.append(max((int(path.stem[5:]) for path in folder.glob("checkpoints/step-*.pt")), default=0))
    Attempt(folder, epochs, fork).wait(None)
    return steps


if __name__ == "__main__":
    sys.exit(main())
