"""What `benchmarks/training.py` times in a process of its own: one way of computing, alone and behind the loader.

Started as `python benchmarks/stepping.py JSON`; the last line of its output is JSON too. A process for each way, so
that each has its own peak of memory.
"""

import json
import resource
import sys
import time
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from loading import AUGMENT
from ways import build_step

from aenet.data.views import Views, open_views
from aenet.training.batches import Batch, batches, derive_seed
from aenet.training.loop import keep_freed_memory


@dataclass(frozen=True)
class Task:
    """One measurement: `seconds` for each of `rounds` of computing alone, and as many behind the loader."""

    way: str
    views: str
    backbone: str
    batch_size: int
    device: str
    threads: int
    seconds: float
    rounds: int


@dataclass(frozen=True)
class Speed:
    """Pairs a second of the best round, and peak memory in MiB; `cuda_mib` and `utilisation` are 0 on a CPU."""

    compute: float
    joint: float
    rss_mib: float
    cuda_mib: float
    utilisation: float
    flop_per_pair: float


def measure(task: Task) -> Speed:
    """Train on the packed views, for the clock alone."""
    keep_freed_memory()  # as a training run does
    torch.set_num_threads(task.threads)
    torch.manual_seed(0)
    device, views = torch.device(task.device), open_views(Path(task.views), "train")
    step, flop = build_step(task.way, task.backbone, device)
    stream = _endless(views, task.batch_size, device)
    with closing(stream):
        fixed = next(stream)
        flop_per_pair = flop(fixed) / len(fixed.rows)
        for _ in range(3):  # let allocators, algorithm choice and compilation settle
            step(fixed)
        alone, behind, busy = [], [], []
        for _ in range(task.rounds):
            alone.append(_rate(lambda: step(fixed), task.batch_size, task.seconds, device))
            behind.append(_rate(lambda: step(next(stream)), task.batch_size, task.seconds, device))
            busy.append(_utilisation(device))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    cuda = torch.cuda.max_memory_allocated(device) / 2**20 if device.type == "cuda" else 0.0
    return Speed(max(alone), max(behind), peak, cuda, max(busy), flop_per_pair)


def _endless(views: Views, batch_size: int, device: torch.device) -> Generator[Batch, None, None]:
    """Yield whole batches for ever."""
    for epoch in range(1_000_000):
        order = np.random.default_rng(derive_seed(0, epoch)).permutation(len(views))
        with closing(batches(views, order, batch_size, AUGMENT, 0, epoch, device=device)) as ahead:
            for batch in ahead:
                if len(batch.rows) == batch_size:
                    yield batch


def _rate(work: Callable[[], object], pairs: int, seconds: float, device: torch.device) -> float:
    """Return pairs a second of `work`, done for at least `seconds`."""
    _wait(device)
    began, done = time.perf_counter(), 0
    while time.perf_counter() - began < seconds or done == 0:
        work()
        done += pairs
        if device.type == "cuda" and done % (8 * pairs) == 0:
            _wait(device)  # launches run ahead of the device: without this the clock would not see its work
    _wait(device)
    return float(done / (time.perf_counter() - began))


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _utilisation(device: torch.device) -> float:
    """Return percent of the last moments in which the GPU was busy; NaN where no library tells."""
    if device.type != "cuda":
        return 0.0
    try:
        return float(torch.cuda.utilization(device))
    except ModuleNotFoundError:  # pynvml, which is optional
        return float("nan")


def main() -> None:
    """Read a task, print its speed; a batch that does not fit is told by exit status 3."""
    try:
        print(json.dumps(asdict(measure(Task(**json.loads(sys.argv[1]))))))
    except torch.cuda.OutOfMemoryError:
        sys.exit(3)


if __name__ == "__main__":
    main()
