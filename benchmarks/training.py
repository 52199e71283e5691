"""Training speed: `python benchmarks/training.py [--write]`, from the project's folder, on a CPU or a CUDA device.

Makes a small town in a temporary folder and times, on the same pairs: a reference that decodes, transforms and augments
every JPEG in every epoch; our loader alone; and for each way of computing the step alone and the step behind the
loader. Without options a CPU gets the town's model at 64 x 256 and, on all cores, EfficientNetV2-S; a GPU the paper's
at 128 x 512 and a sweep of batch sizes.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from hardware import RESULTS, device_name, write_results
from loading import loaders
from speedreport import report
from stepping import Task
from ways import WAYS

from aenet.data.views import open_views, pack
from aenet.io.machine import usable_cores
from aenet.town.config import Panorama, Places, TownConfig
from aenet.town.dataset import generate
from aenet.training.loop import keep_freed_memory
from aenet.view.spec import ViewSpec

LARGE_WAYS = ("fp32", "fp32 channels_last", "bf16 channels_last")


def main() -> None:
    """Read the arguments, measure, print, and with --write keep a Markdown and a JSON file."""
    options = _options()
    keep_freed_memory()  # as a training run does; the reference has the good of it, too
    with tempfile.TemporaryDirectory() as scratch:
        result = _measure(options, Path(scratch))
    text = report(result)
    print(text)
    if options.write:
        write_results("training", result, text)


def _measure(options: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    source, folder = scratch / "town", scratch / "views"
    _town(options, source, folder)
    torch.set_num_threads(options.threads)
    result: dict[str, Any] = {"hardware": device_name(options.device), "torch": torch.__version__}
    result |= {key: value for key, value in vars(options).items() if key != "write"}
    result |= {"tile_px": round(70 / options.resolution_m)}
    result["loader"] = loaders(
        source, open_views(folder, "train"), options.height, options.batch_size, torch.device(options.device),
        options.seconds, options.rounds,
    )  # fmt: skip
    torch.cuda.empty_cache()  # leaves the device to the processes that follow; nothing without one
    size = (options.batch_size, options.device, options.threads, options.seconds, options.rounds)
    tasks = [Task(way, str(folder), options.backbone, *size) for way in WAYS if options.compile or "compile" not in way]
    if options.large is not None:  # one round: a step takes seconds
        size = (options.large_batch_size, options.device, usable_cores(), 2 * options.seconds, 1)
        tasks += [Task(way, str(folder), options.large, *size) for way in LARGE_WAYS]
    result["ways"] = [_way(task) for task in tasks]
    if options.sweep:
        sizes = (options.batch_size * factor // 2 for factor in (2, 4, 6, 8, 12, 16, 24, 32, 48, 64))
        result["sweep"] = list(_until_full(options, folder, sizes))
    return result


def _options() -> argparse.Namespace:
    cuda = torch.cuda.is_available()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda" if cuda else "cpu")
    device = parser.parse_known_args()[0].device
    paper = device == "cuda"
    parser.add_argument("--backbone", default="tf_efficientnetv2_s" if paper else "test_efficientnet")
    parser.add_argument("--height", type=int, default=128 if paper else 64)
    parser.add_argument("--batch-size", type=int, default=24 if paper else 32)
    parser.add_argument("--large", default=None if paper else "tf_efficientnetv2_s", help="a second network, all cores")
    parser.add_argument("--large-batch-size", type=int, default=16)
    parser.add_argument("--pairs", type=int, default=768 if paper else 192)
    # The paper's images are 750 px tiles and 224 x 1232 panoramas; the town's default 200 px and 128 x 512.
    parser.add_argument("--resolution-m", type=float, default=0.1 if paper else 0.35, help="of tiles of 70 m")
    parser.add_argument("--panorama", type=int, nargs=2, default=(224, 1232) if paper else (128, 512))
    parser.add_argument("--threads", type=int, default=usable_cores() if paper else 1)
    parser.add_argument("--seconds", type=float, default=2.0, help="for each round of each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--compile", action="store_true", help="torch.compile as well: minutes on a CPU")
    parser.add_argument("--sweep", action="store_true", default=paper, help="batch sizes up to the largest that fits")
    parser.add_argument("--write", action="store_true", help=f"write to {RESULTS.name}/")
    return parser.parse_args()


def _town(options: argparse.Namespace, source: Path, folder: Path) -> None:
    """Generate and pack a town just large enough for the pairs."""
    side = max(400.0, round((options.pairs * 600) ** 0.5))
    height, width = options.panorama
    config = TownConfig(
        width_m=side * 1.2,
        height_m=side,
        resolution_m=options.resolution_m,
        spacing_m=5.0,  # pictures may overlap: nothing is learnt
        places=Places(train=options.pairs, val=1, test=1),
        panorama=Panorama(height=height, width=width),
    )
    generate(config, source)
    pack(
        source,
        folder,
        ViewSpec.polar(height=options.height, width=4 * options.height, tile_size_m=70.0),
        usable_cores(),
    )


def _way(task: Task) -> dict[str, Any]:
    """Measure one way in a process of its own; without speeds where the batch does not fit."""
    command = [sys.executable, str(Path(__file__).with_name("stepping.py")), json.dumps(asdict(task))]
    environment = os.environ | {"OMP_NUM_THREADS": str(task.threads)}
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False, env=environment)
    head = {"way": task.way, "backbone": task.backbone, "batch_size": task.batch_size, "threads": task.threads}
    if done.returncode == 3:
        return head
    if done.returncode != 0:
        sys.exit(f"{task.way} at batch {task.batch_size} ended with status {done.returncode}")
    return {**head, **json.loads(done.stdout.splitlines()[-1])}


def _until_full(options: argparse.Namespace, folder: Path, sizes: Iterator[int]) -> Iterator[dict[str, Any]]:
    for size in sizes:
        if size > options.pairs:
            return
        task = Task(
            "bf16 channels_last", str(folder), options.backbone, size, options.device, options.threads,
            options.seconds, options.rounds,
        )  # fmt: skip
        if "joint" not in (row := _way(task)):
            return
        yield row


if __name__ == "__main__":
    main()
