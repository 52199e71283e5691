"""A training run as it is, and with glibc's own ways of giving memory back: `python benchmarks/allocation.py`.

Processor time a step, and page faults, of the town's network on random views; each in a process of its own.
"""

import subprocess
import sys

PROGRAM = """
import resource, sys, tempfile
from pathlib import Path
import numpy as np, pandas as pd
from aenet.data.card import ViewSpec
from aenet.data.pairs import COLUMNS
from aenet.data.views import Views
from aenet.training import memory
from aenet.io.params import read_section
from aenet.training.loop import TrainConfig, train
if sys.argv[1] == "glibc":
    import aenet.training.loop
    aenet.training.loop.keep_freed_memory = lambda: False
config = read_section(Path("presets/town.yaml"), "train", TrainConfig).model_copy(update={"epochs": 1})
def views(pairs):
    pixels = np.random.default_rng(0).integers(0, 256, (2, pairs, 64, 256, 3), dtype=np.uint8)
    table = pd.DataFrame({name: [str(row) for row in range(pairs)] for name in COLUMNS})
    return Views("train", table, pixels[0], pixels[1], ViewSpec.polar(height=64, width=256, tile_size_m=70.0))
before = resource.getrusage(resource.RUSAGE_SELF)
train(config, views(960), views(32), Path(tempfile.mkdtemp()))
after = resource.getrusage(resource.RUSAGE_SELF)
print(*((getattr(after, k) - getattr(before, k)) / 30 for k in ("ru_utime", "ru_stime", "ru_minflt")))
"""


def main() -> None:
    """Run both ways and print a table."""
    print("| memory given back | ms a step | of these in the kernel | page faults a step |\n|---|---:|---:|---:|")
    totals = []
    for way, label in (("glibc", "as glibc does"), ("kept", "kept for the next step")):
        command = [sys.executable, "-c", PROGRAM, way]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        user, system, faults = (float(word) for word in done.stdout.split()[-3:])
        totals.append(user + system)
        print(f"| {label} | {1000 * (user + system):.0f} | {1000 * system:.0f} | {faults:.0f} |")
    print(f"\nkept / as glibc does: {totals[1] / totals[0]:.2f}")


if __name__ == "__main__":
    main()
