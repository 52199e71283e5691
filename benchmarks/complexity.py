"""Table 7 of the paper and beyond: `python benchmarks/complexity.py [--latency] [--write]`, on a CPU or a CUDA device.

Counts parameters, multiply-accumulates and descriptor size of the variants of the ablation; these are the same on
every machine. With `--latency` it times one branch of each on the device at hand: median of the repeats after a
warm-up, random pixels that are on the device already.
"""

import argparse
import os
import platform
import re
from datetime import UTC, datetime
from itertools import product
from pathlib import Path

import pandas as pd
import timm
import torch

from aenet.nn.branches import Branch, ModelConfig
from aenet.nn.complexity import NOTE, VARIANTS, table
from benchmarks.latency import Latency, measure

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    """Count, time if asked to, print, and write if asked to."""
    arguments = _arguments()
    torch.set_num_threads(arguments.threads)
    config = ModelConfig.model_validate(
        {
            "backbone": {"name": arguments.backbone, "weights": "random"},
            "attention": {"kind": "none"},
            "head": {"kind": arguments.head},
        }
    )
    counts = table(config, arguments.height, arguments.width)
    subject = f"{arguments.backbone}, {arguments.head}, {arguments.height} x {arguments.width}"
    parts = [f"# Complexity: {subject}", _markdown(counts), NOTE]
    frames = {"": counts}
    hardware = ""
    if arguments.latency:
        times = pd.DataFrame(_times(config, arguments))
        hardware = str(times["device"].iloc[0]) if arguments.device == "cuda" else _cpu()
        software = f"torch {torch.__version__}, timm {timm.__version__}, Python {platform.python_version()}"
        parts += [f"## One branch on {hardware}", _markdown(times), f"{os.cpu_count()} CPU cores; {software}."]
        frames["_latency"] = times
    text = "\n\n".join(parts) + "\n"
    print(text)
    if arguments.write:
        _write(text, frames, f"complexity {arguments.backbone} {hardware}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backbone", default="tf_efficientnetv2_s")
    parser.add_argument("--head", default="flatten", choices=("flatten", "gap", "gem"))
    parser.add_argument("--height", type=int, default=128)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--latency", action="store_true", help="time the network on this machine")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", choices=("cpu", "cuda"))
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--precision", nargs="+", default=["float32"], choices=("float32", "bf16", "fp16"))
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of torch")
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--write", action="store_true", help=f"write Markdown and CSV to {RESULTS}")
    return parser.parse_args()


def _times(config: ModelConfig, arguments: argparse.Namespace) -> list[dict[str, object]]:
    device, rows = torch.device(arguments.device), []
    for name, attention in VARIANTS.items():
        branch = Branch(config.model_copy(update={"attention": attention}))
        for precision, batch in product(arguments.precision, arguments.batch):
            got = measure(
                branch, arguments.height, arguments.width, batch, device, precision, repeats=arguments.repeats
            )
            rows.append(_row(name, got))
    return rows


def _row(name: str, got: Latency) -> dict[str, object]:
    return {
        "network": name,
        "device": got.device,
        "precision": got.precision,
        "batch": got.batch_size,
        "threads": got.threads,
        "repeats": got.repeats,
        "ms a batch, median": 1e3 * got.seconds,
        "fastest": 1e3 * got.fastest,
        "slowest": 1e3 * got.slowest,
        "images/s": got.images_per_second,
    }


def _markdown(frame: pd.DataFrame) -> str:
    def cell(value: object) -> str:
        if isinstance(value, float):
            return "" if pd.isna(value) else f"{value:.6g}"
        return str(value)

    head = ["| " + " | ".join(frame.columns) + " |", "|---|" + "---:|" * (len(frame.columns) - 1)]
    return "\n".join([*head, *("| " + " | ".join(map(cell, row)) + " |" for row in frame.itertuples(index=False))])


def _write(text: str, frames: dict[str, pd.DataFrame], title: str) -> None:
    name = re.sub(r"[^a-z0-9]+", "-", f"{title} {datetime.now(UTC):%Y-%m-%d}".lower()).strip("-")
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.md").write_text(text)
    for part, frame in frames.items():
        frame.to_csv(RESULTS / f"{name}{part.replace('_', '-')}.csv", index=False)
    print(f"wrote {RESULTS / name}.md")


def _cpu() -> str:
    """Return the processor's name as the system gives it."""
    info = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*: (.+)", info.read_text()) if info.exists() else []
    return names[0].strip() if names else platform.processor() or platform.machine()


if __name__ == "__main__":
    main()
