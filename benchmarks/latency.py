"""How fast a network embeds views on the machine at hand: measured, and true of that machine only."""

import statistics
import time
from dataclasses import dataclass
from typing import Literal

import torch

from aenet.io.errors import AenetError
from aenet.nn.branches import Branch

Precision = Literal["float32", "bf16", "fp16"]


@dataclass(frozen=True)
class Latency:
    """Median time of one batch of one branch, with what it was measured under.

    Attributes:
        seconds: median over the repeats, from pixels on the device to descriptors on the device.
        fastest, slowest: of the repeats, in seconds.
        threads: CPU threads of torch; they do not matter on a GPU.
    """

    device: str
    precision: Precision
    batch_size: int
    threads: int
    repeats: int
    seconds: float
    fastest: float
    slowest: float

    @property
    def milliseconds_per_image(self) -> float:
        """Median time of a batch over its images."""
        return 1e3 * self.seconds / self.batch_size

    @property
    def images_per_second(self) -> float:
        """Images of one view embedded in a second at the median."""
        return self.batch_size / self.seconds


def measure(
    branch: Branch,
    height: int,
    width: int,
    batch_size: int,
    device: torch.device,
    precision: Precision = "float32",
    repeats: int = 20,
    warm_up: int = 5,
) -> Latency:
    """Time one branch on random pixels; decoding, resizing and copies to the device are not in it.

    Raises:
        AenetError: the device is not there.
    """
    if device.type == "cuda" and not torch.cuda.is_available():
        raise AenetError("latency on cuda was asked for and torch sees no GPU: leave out the device, or take `cpu`")
    branch = branch.to(device).eval()
    pixels = torch.randint(0, 256, (batch_size, height, width, 3), dtype=torch.uint8, device=device)
    low = torch.bfloat16 if precision == "bf16" else torch.float16
    times = []
    with torch.inference_mode(), torch.autocast(device.type, dtype=low, enabled=precision != "float32"):
        for turn in range(warm_up + repeats):
            _finish(device)
            began = time.perf_counter()
            branch(pixels)
            _finish(device)
            if turn >= warm_up:
                times.append(time.perf_counter() - began)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    return Latency(
        device=name,
        precision=precision,
        batch_size=batch_size,
        threads=torch.get_num_threads(),
        repeats=repeats,
        seconds=statistics.median(times),
        fastest=min(times),
        slowest=max(times),
    )


def _finish(device: torch.device) -> None:
    """Wait for the device: a GPU answers before it is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
