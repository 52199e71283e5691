"""Training speed: `python benchmarks/training.py [--write]`, from the project's folder, on a CPU or a CUDA device.

Makes a small town in a temporary folder and times, on the same pairs: a reference that decodes and transforms every
JPEG in every epoch; our loader alone; and for each way of computing the step alone and the step behind the loader.
Without options a CPU gets the town's model at 64 x 256 and a GPU the paper's at 128 x 512 and a sweep of batch sizes.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from decoding import DecodeEveryEpoch
from speedreport import report
from stepping import AUGMENT, WAYS, Task

from aenet.card import ViewSpec
from aenet.cores import usable_cores
from aenet.data.augment import AugmentConfig
from aenet.data.batches import batches
from aenet.data.city.config import CityConfig, Panorama, Places
from aenet.data.city.dataset import generate
from aenet.data.views import Views, open_views, pack

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    """Read the arguments, measure, print, and with --write keep a Markdown and a JSON file."""
    options = _options()
    with tempfile.TemporaryDirectory() as scratch:
        source, folder = Path(scratch) / "town", Path(scratch) / "views"
        _town(options, source, folder)
        views = open_views(folder, "train")
        torch.set_num_threads(options.threads)
        result: dict[str, Any] = {"hardware": _hardware(options.device), "torch": torch.__version__}
        result |= {key: value for key, value in vars(options).items() if key != "write"}
        result |= {"tile_px": round(70 / options.resolution_m), "loader": _loaders(options, source, views)}
        result["ways"] = [_way(options, folder, way, options.batch_size) for way in _ways(options)]
        if options.sweep:
            sizes = (options.batch_size * factor // 2 for factor in (2, 4, 6, 8, 12, 16, 24, 32, 48, 64))
            result["sweep"] = list(_until_full(options, folder, sizes))
    text = report(result)
    print(text)
    if options.write:
        name = f"training-{result['hardware'].lower().replace(' ', '-')}-{datetime.now(UTC):%Y-%m-%d}"
        (RESULTS / f"{name}.md").write_text(text, encoding="utf-8")
        (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def _options() -> argparse.Namespace:
    cuda = torch.cuda.is_available()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda" if cuda else "cpu")
    device = parser.parse_known_args()[0].device
    paper = device == "cuda"
    parser.add_argument("--backbone", default="tf_efficientnetv2_s" if paper else "test_efficientnet")
    parser.add_argument("--height", type=int, default=128 if paper else 64)
    parser.add_argument("--batch-size", type=int, default=24 if paper else 32)
    parser.add_argument("--pairs", type=int, default=768 if paper else 192)
    # The paper's images are 750 px tiles and 224 x 1232 panoramas; the town's default 200 px and 128 x 512.
    parser.add_argument("--resolution-m", type=float, default=0.1 if paper else 0.35, help="of tiles of 70 m")
    parser.add_argument("--panorama", type=int, nargs=2, default=(224, 1232) if paper else (128, 512))
    parser.add_argument("--threads", type=int, default=usable_cores() if paper else 1)
    parser.add_argument("--seconds", type=float, default=3.0, help="for each round of each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--compile", action="store_true", help="torch.compile as well: minutes on a CPU")
    parser.add_argument("--sweep", action="store_true", default=paper, help="batch sizes up to the largest that fits")
    parser.add_argument("--write", action="store_true", help=f"write to {RESULTS.name}/")
    return parser.parse_args()


def _ways(options: argparse.Namespace) -> list[str]:
    return [way for way, (_, _, compiled) in WAYS.items() if options.compile or not compiled]


def _town(options: argparse.Namespace, source: Path, folder: Path) -> None:
    """Generate and pack a town just large enough for the pairs."""
    side = max(400.0, round((options.pairs * 600) ** 0.5))
    height, width = options.panorama
    config = CityConfig(
        width_m=side * 1.2,
        height_m=side,
        resolution_m=options.resolution_m,
        spacing_m=5.0,  # pictures may overlap: nothing is learnt
        places=Places(train=options.pairs, val=1, test=1),
        panorama=Panorama(height=height, width=width),
    )
    generate(config, source)
    pack(source, folder, ViewSpec(height=options.height, width=4 * options.height, tile_size_m=70.0), usable_cores())


def _loaders(options: argparse.Namespace, source: Path, views: Views) -> dict[str, float]:
    """Return pairs a second of the reference and of our loader on the device, with one reading thread each."""
    cv2.setNumThreads(1)
    reference = DecodeEveryEpoch(source, views.pairs, options.height, 4 * options.height)
    order, device = np.random.default_rng(0).permutation(len(views)), torch.device(options.device)

    def epochs(config: AugmentConfig) -> Generator[object, None, None]:
        for epoch in range(1_000_000):
            yield from batches(views, order, options.batch_size, config, 0, epoch, device=device)

    def rate(stream: Iterator[object]) -> float:
        seen, began = 0, time.perf_counter()
        while time.perf_counter() - began < options.seconds:
            next(stream)
            seen += 1
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return float(seen * options.batch_size / (time.perf_counter() - began))

    turned = AugmentConfig(roll=True, flip=True)
    best = {"decoding": 0.0, "packed": 0.0, "packed, turned": 0.0, "packed, turned, coloured": 0.0}
    for _ in range(options.rounds):
        decoding = (batch for _ in range(1_000_000) for batch in reference.batches(order, options.batch_size))
        streams = (decoding, *(epochs(config) for config in (AugmentConfig(), turned, AUGMENT)))
        for name, stream in zip(best, streams, strict=True):
            with closing(stream):
                best[name] = max(best[name], rate(stream))
    torch.cuda.empty_cache()  # leaves the device to the processes that follow; nothing without one
    return best


def _way(options: argparse.Namespace, folder: Path, way: str, batch_size: int) -> dict[str, Any]:
    """Measure one way in a process of its own; without speeds where the batch does not fit."""
    size = (options.backbone, batch_size, options.device, options.threads, options.seconds, options.rounds)
    task = Task(way, str(folder), *size)
    command = [sys.executable, str(Path(__file__).with_name("stepping.py")), json.dumps(asdict(task))]
    environment = os.environ | {"OMP_NUM_THREADS": str(options.threads)}
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False, env=environment)
    head = {"way": way, "batch_size": batch_size}
    if done.returncode == 3:
        return head
    if done.returncode != 0:
        sys.exit(f"{way} at batch {batch_size} ended with status {done.returncode}")
    return {**head, **json.loads(done.stdout.splitlines()[-1])}


def _until_full(options: argparse.Namespace, folder: Path, sizes: Iterator[int]) -> Iterator[dict[str, Any]]:
    for size in sizes:
        if size > options.pairs or "joint" not in (row := _way(options, folder, "bf16 channels_last", size)):
            return
        yield row


def _hardware(device: str) -> str:
    if device == "cuda":
        return torch.cuda.get_device_name()
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.exists() else []
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    return f"{model} {usable_cores()} cores"


if __name__ == "__main__":
    main()
