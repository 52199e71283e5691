"""Time and peak memory of ranking, each in a process of its own.

python benchmarks/ranking.py              8,884 x 8,884 at 512 dimensions, in memory, beside the whole matrix
python benchmarks/ranking.py --large      at 81,920 dimensions, from files (2 x 2.9 GB, deleted afterwards)
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from aenet.retrieval.positives import identity
from aenet.retrieval.ranking import rank

PLACES = 8884  # CVUSA's and CVACT's
NOISE = {512: 5.0, 81_920: 60.0}  # in lengths of a descriptor: enough that some queries are missed


def main() -> None:
    """Write descriptors, rank them in child processes, print one row each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--large", action="store_true", help="81,920 dimensions, from files")
    parser.add_argument("--folder", type=Path, help="where the files go (default: the system's temporary folder)")
    parser.add_argument("--child", nargs=2, metavar=("METHOD", "FOLDER"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        print(json.dumps(child(arguments.child[0], Path(arguments.child[1]))))
        return
    dimensions = 81_920 if arguments.large else 512
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        need, free = 8 * PLACES * dimensions, shutil.disk_usage(folder).free
        if free < 1.2 * need:
            sys.exit(f"{folder} has {free / 1e9:.1f} GB free, this takes {need / 1e9:.1f}")
        write(Path(folder), dimensions)
        found = {method: start(method, folder) for method in (("mapped",) if arguments.large else ("blocks", "whole"))}
        check([np.load(Path(folder, f"{method}.npy")) for method in found])
    for method, row in found.items():
        print(
            f"{PLACES} x {PLACES} at {dimensions}, {method}: {row['seconds']:.1f} s, peak {row['peak_mb']:.0f} MB, "
            f"{row['extra_mb']:.0f} MB over its inputs; R@1 {row['recall_at_1']:.2f} %"
        )


def check(ranks: list[np.ndarray]) -> None:
    """Refuse ranks that differ by more than rounding: a reference as near as the true one may fall either way."""
    for other in ranks[1:]:
        assert np.abs(other - ranks[0]).max() <= 2, "ranks differ"


def write(folder: Path, dimensions: int) -> None:
    """Write unit descriptors: references, and queries that are references with noise, in blocks."""
    generator = np.random.default_rng(0)
    shape = (PLACES, dimensions)
    files = [
        np.lib.format.open_memmap(folder / f"{side}.npy", mode="w+", dtype=np.float32, shape=shape)
        for side in ("query", "reference")
    ]
    for first in range(0, PLACES, 256):
        rows = slice(first, min(first + 256, PLACES))
        reference = unit(generator.standard_normal((rows.stop - first, dimensions), dtype=np.float32))
        noise = unit(generator.standard_normal(reference.shape, dtype=np.float32))
        files[0][rows], files[1][rows] = unit(reference + NOISE[dimensions] * noise), reference
    for file in files:
        file.flush()


def unit(rows: np.ndarray) -> np.ndarray:
    """Return rows of length one."""
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def start(method: str, folder: str) -> dict[str, float]:
    """Run `child` in a fresh process."""
    command = [sys.executable, __file__, "--child", method, folder]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return dict(json.loads(done.stdout))


def child(method: str, folder: Path) -> dict[str, float]:
    """Rank once; peaks are this process's own resident set, pages of files included."""
    mode = "r" if method == "mapped" else None
    query, reference = (np.load(folder / f"{side}.npy", mmap_mode=mode) for side in ("query", "reference"))
    truth = np.arange(len(query))
    np.ones((64, 64), np.float32) @ np.ones((64, 64), np.float32)  # the BLAS takes its own buffers at first use
    before, began = peak_mb(), time.perf_counter()
    if method == "whole":
        similarity = query @ reference.T
        ranks = (similarity >= np.diag(similarity)[:, None]).sum(1) - 1
    else:
        ranks = rank(query, reference, identity(truth), 5).rank
    seconds = time.perf_counter() - began
    np.save(folder / f"{method}.npy", ranks)
    return {
        "seconds": seconds,
        "peak_mb": peak_mb(),
        "extra_mb": peak_mb() - before,
        "recall_at_1": 100 * float((ranks == 0).mean()),
    }


def peak_mb() -> float:
    """Return the highest resident set of this process so far, in 10^6 bytes (Linux: getrusage's survives exec)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmHWM"))) * 1024 / 1e6


if __name__ == "__main__":
    main()
