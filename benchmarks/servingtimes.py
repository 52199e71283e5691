"""The clock of `benchmarks/serving.py`: reading, sessions, the pipeline, torch.

Beside the clock's time stands processor time, of all threads together: other work on the machine does not count in it.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from aenet.data.card import HALF
from aenet.nn.branches import TwoBranch
from aenet.serving.jobs.photopipeline import read_photos
from aenet.serving.localize import LocateOptions, ShardResult, plan, run_shard
from aenet.serving.photos.listing import list_photos
from aenet.serving.sessions.cuda import CudaOptions
from aenet.serving.sessions.runtime import SessionOptions
from aenet.serving.sessions.session import OnnxBranch


def clock(work: Callable[[], object], times: int = 1) -> tuple[float, float]:
    """Return seconds of time and of processor time that `times` calls take."""
    began, busy = time.perf_counter(), time.process_time()
    for _ in range(times):
        work()
    return time.perf_counter() - began, time.process_time() - busy


def sessions(
    options: argparse.Namespace, model: Path, photos: Path, gallery: Path, scratch: Path, batch_size: int
) -> list[dict[str, Any]]:
    """Return a row for each precision; the one that `locate` chooses has reading and the pipeline beside it."""
    cuda = CudaOptions(tf32=options.tf32, graphs=options.graphs, tensorrt=options.tensorrt)
    rows = []
    for precision in ("fp32", "fp16") if options.half else ("fp32",):
        chosen = (precision == "fp16") == (options.device == "cuda" and (model / f"ground{HALF}").exists())
        session = SessionOptions(
            provider=options.device, threads=options.threads, batch_size=batch_size, precision=precision, cuda=cuda
        )
        branch = OnnxBranch(model, "ground", session)
        alone, read, placed = [], [], []
        for turn in range(options.rounds):
            alone.append(_alone(branch, batch_size, max(1, min(options.count // batch_size, 64))))
            if chosen:
                read.append(_read(options, photos, branch, batch_size))
                placed.append(_place(options, model, photos, gallery, scratch / f"{batch_size}-{turn}", batch_size))
        row: dict[str, Any] = {"batch_size": batch_size, "precision": precision, "runs_on": branch.runs_on}
        row |= {"session": _median(alone), "core_ms": 1e3 * min(taken.busy for taken in alone)}
        row |= {"slowest": 1 / max(taken.wall for taken in alone), "fastest": 1 / min(taken.wall for taken in alone)}
        if placed:
            row |= {"reading": _median(read), "pipeline": _median(placed)}
            row["reading_core_ms"] = 1e3 * min(taken.busy for taken in read)
            row["pipeline_core_ms"] = 1e3 * min(taken.busy for taken in placed)
            turns = list(zip(alone, read, placed, strict=True))
            row["ratio"] = statistics.median(one.wall / all_.wall for one, _, all_ in turns)
            row["slower_ratio"] = statistics.median(max(one.wall, two.wall) / all_.wall for one, two, all_ in turns)
        rows.append(row)
    return rows


class Taken(NamedTuple):
    """Seconds that one image takes: of time, and of processor time."""

    wall: float
    busy: float


def _median(taken: list[Taken]) -> float:
    """Return images a second."""
    return 1 / statistics.median(one.wall for one in taken)


def _read(options: argparse.Namespace, photos: Path, branch: OnnxBranch, batch_size: int) -> Taken:
    """Read photos as the pipeline does, with nothing behind it."""
    table = list_photos(photos)[:1024]
    wall, busy = clock(lambda: list(read_photos(table, branch.card.view, batch_size, options.decoders)))
    return Taken(wall / len(table), busy / len(table))


def _alone(branch: OnnxBranch, batch_size: int, turns: int) -> Taken:
    view = branch.card.view
    pixels = np.random.default_rng(0).integers(
        0, 256, (batch_size, view.ground.height, view.ground.width, 3), dtype=np.uint8
    )
    branch.embed(pixels)
    wall, busy = clock(lambda: branch.embed(pixels), turns)
    return Taken(wall / (turns * batch_size), busy / (turns * batch_size))


def _place(options: argparse.Namespace, model: Path, photos: Path, gallery: Path, out: Path, batch_size: int) -> Taken:
    """Place all photos as one shard; opening model and gallery is not in the clock's."""
    cuda = CudaOptions(tf32=options.tf32, graphs=options.graphs, tensorrt=options.tensorrt)
    chosen = LocateOptions(
        batch_size=batch_size, provider=options.device, threads=options.threads, decoders=options.decoders,
        heading="north", shard_size=options.count, cuda=cuda,
    )  # fmt: skip
    job = plan(photos, gallery, model, out, chosen)
    done: list[ShardResult] = []
    _, busy = clock(lambda: done.append(run_shard(job, 0)))
    if done[0].errors:
        raise SystemExit(f"{done[0].errors} of {done[0].photos} photos were not placed: take others for a benchmark")
    return Taken(done[0].seconds / options.count, busy / options.count)


def torch_rows(options: argparse.Namespace, network: TwoBranch, batch_size: int) -> list[dict[str, Any]]:
    """Return a row for each way and precision of torch, host to host as a session: pixels in, descriptors out."""
    device = torch.device(options.device)
    torch.set_num_threads(options.threads)
    branch = network.ground.to(device)
    pixels = torch.randint(0, 256, (batch_size, options.height, 4 * options.height, 3), dtype=torch.uint8)
    turns = max(1, min(options.count // batch_size, 16))
    rows = []
    for way in ("eager", "compile") if options.compile else ("eager",):
        step = torch.compile(branch) if way == "compile" else branch
        for precision in ("fp32", "fp16") if options.device == "cuda" else ("fp32",):

            def run(step: Callable[..., Any] = step, half: bool = precision == "fp16") -> None:
                with torch.inference_mode(), torch.autocast(device.type, torch.float16, enabled=half):
                    step(pixels.to(device)).cpu()

            clock(run, 3)
            taken = [[spent / (turns * batch_size) for spent in clock(run, turns)] for _ in range(options.rounds)]
            speed, busy = statistics.median(1 / seconds for seconds, _ in taken), min(busy for _, busy in taken)
            row = {"way": way, "precision": precision, "batch_size": batch_size, "speed": speed}
            rows.append(row | {"core_ms": 1e3 * busy})
    return rows
