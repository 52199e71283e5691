"""What `benchmarks/training.py` times in a process of its own: one way of computing, alone and behind the loader.

Started as `python -m benchmarks.stepping JSON`; the last line of its output is JSON too. A process for each way, so
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
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from aenet.data.augment import AugmentConfig
from aenet.data.batches import Batch, batches, derive_seed
from aenet.data.views import Views, open_views
from aenet.nn.attention import Triplet
from aenet.nn.backbones import BackboneConfig
from aenet.nn.branches import ModelConfig, TwoBranch
from aenet.nn.heads import Flatten
from aenet.nn.losses import Mhnw, build_loss

# Name -> (bfloat16, layout of pixels and weights, torch.compile).
WAYS = {
    "fp32 NCHW": (False, "nchw", False),
    "fp32": (False, "pixels", False),
    "fp32 channels_last": (False, "all", False),
    "bf16": (True, "pixels", False),
    "bf16 channels_last": (True, "all", False),
    "fp32 channels_last compile": (False, "all", True),
    "bf16 channels_last compile": (True, "all", True),
}
AUGMENT = AugmentConfig(roll=True, flip=True, colour=0.1)


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
    torch.set_num_threads(task.threads)
    torch.manual_seed(0)
    device, views = torch.device(task.device), open_views(Path(task.views), "train")
    step, flop = _step(task, device)
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


def _step(task: Task, device: torch.device) -> tuple[Callable[[Batch], None], Callable[[Batch], float]]:
    """Return one training step of a batch, and what counts its floating-point operations."""
    half, layout, compiled = WAYS[task.way]
    network = TwoBranch(
        ModelConfig(
            backbone=BackboneConfig(name=task.backbone, weights="random"),
            attention=Triplet(kind="triplet"),
            head=Flatten(kind="flatten"),
        )
    ).to(device)
    if layout == "nchw":  # views are NHWC, and a network takes them so; most code copies them to NCHW first
        for branch in (network.ground, network.aerial):
            branch.backbone.register_forward_pre_hook(lambda _, inputs: (inputs[0].contiguous(),))
    if layout == "all":
        network = network.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4)
    loss = build_loss(Mhnw(kind="mhnw")).to(device)
    forward = torch.compile(network) if compiled else network

    def value(run: Callable[..., tuple[Tensor, Tensor]], batch: Batch) -> Tensor:
        with torch.autocast(device.type, torch.bfloat16, enabled=half):
            ground, aerial = run(batch.ground, batch.aerial)
        return torch.as_tensor(loss(ground, aerial))

    def step(batch: Batch) -> None:
        optimizer.zero_grad()
        value(forward, batch).backward()  # type: ignore[no-untyped-call]  # torch's
        optimizer.step()

    def flop(batch: Batch) -> float:
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            value(network, batch)
        return float(3 * counter.get_total_flops())  # the backward pass twice the forward: the usual count

    return step, flop


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
