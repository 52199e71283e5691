"""The clock of `benchmarks/serving.py`: reading, sessions, the pipeline, torch.

Beside the clock's time stands processor time, of all threads together: other work on the machine does not count in it.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from aenet.card import HALF, read_card
from aenet.nn.branches import TwoBranch
from aenet.serving.jobs.prefetch import read_photos
from aenet.serving.localize import LocateOptions, ShardResult, plan, run_shard
from aenet.serving.photos.listing import list_photos
from aenet.serving.sessions.cudaoptions import CudaOptions
from aenet.serving.sessions.session import Branch


def clock(work: Callable[[], object], times: int = 1) -> tuple[float, float]:
    """Return seconds of time and of processor time that `times` calls take."""
    began, busy = time.perf_counter(), time.process_time()
    for _ in range(times):
        work()
    return time.perf_counter() - began, time.process_time() - busy


def reading(options: argparse.Namespace, photos: Path, model: Path) -> float:
    """Return seconds of one core for one photo: file, digest, account, decoding, view."""
    table, view = list_photos(photos)[:256], read_card(model).view
    taken = [clock(lambda: list(read_photos(table, view, 32, 1)))[1] for _ in range(options.rounds)]
    return min(taken) / len(table)


def sessions(
    options: argparse.Namespace, model: Path, photos: Path, gallery: Path, scratch: Path, batch_size: int
) -> list[dict[str, Any]]:
    """Return a row for each precision; the one that `locate` chooses by itself has the pipeline beside it."""
    cuda = CudaOptions(tf32=options.tf32, graphs=options.graphs, tensorrt=options.tensorrt)
    rows = []
    for precision in ("fp32", "fp16") if options.half else ("fp32",):
        chosen = (precision == "fp16") == (options.device == "cuda" and (model / f"ground{HALF}").exists())
        branch = Branch(model, "ground", options.device, options.threads, batch_size, precision, cuda)
        turns = max(1, min(options.count // batch_size, 64))
        alone, placed = [], []
        for turn in range(options.rounds):
            alone.append([taken / (turns * batch_size) for taken in _alone(branch, batch_size, turns)])
            if chosen:
                out = scratch / f"{batch_size}-{turn}"
                placed.append(
                    [taken / options.count for taken in _place(options, model, photos, gallery, out, batch_size)]
                )
        speeds = [1 / seconds for seconds, _ in alone]
        row = {"batch_size": batch_size, "precision": precision, "runs_on": branch.runs_on}
        row |= {"session": statistics.median(speeds), "slowest": min(speeds), "fastest": max(speeds)}
        row["core_ms"] = 1e3 * min(busy for _, busy in alone)
        if placed:
            row["pipeline"] = 1 / statistics.median(seconds for seconds, _ in placed)
            row["ratio"] = statistics.median(here[0] / there[0] for here, there in zip(alone, placed, strict=True))
            row["pipeline_core_ms"] = 1e3 * min(busy for _, busy in placed)
        rows.append(row)
    return rows


def _alone(branch: Branch, batch_size: int, turns: int) -> tuple[float, float]:
    view = branch.card.view
    pixels = np.random.default_rng(0).integers(0, 256, (batch_size, view.height, view.width, 3), dtype=np.uint8)
    branch.embed(pixels)
    return clock(lambda: branch.embed(pixels), turns)


def _place(
    options: argparse.Namespace, model: Path, photos: Path, gallery: Path, out: Path, batch_size: int
) -> tuple[float, float]:
    """Return seconds for one shard of all photos; opening model and gallery is not in the clock's."""
    chosen = {"batch_size": batch_size, "provider": options.device, "threads": options.threads, "heading": "north"}
    chosen |= {"decoders": options.decoders, "shard_size": options.count}
    known = {name: value for name, value in chosen.items() if name in LocateOptions.model_fields}
    job = plan(photos, gallery, model, out, LocateOptions.model_validate(known))
    done: list[ShardResult] = []
    _, busy = clock(lambda: done.append(run_shard(job, 0)))
    if done[0].errors:
        raise SystemExit(f"{done[0].errors} of {done[0].photos} photos were not placed: take others for a benchmark")
    return done[0].seconds, busy


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
