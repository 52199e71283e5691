"""On which machine a benchmark ran, and where its results are kept."""

import json
import platform
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aenet.io.machine import usable_cores

RESULTS = Path(__file__).parent / "results"


def device_name(device: str) -> str:
    """Return the name of the GPU for 'cuda', else of the processor and its usable cores."""
    if device != "cuda":
        return processor()
    import torch  # seconds, which benchmarks that start others by the dozen need not wait

    return torch.cuda.get_device_name()


def processor() -> str:
    """Return the processor's name and how many of its cores this process may use."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.exists() else []
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    return f"{model} {usable_cores()} cores"


def results_file(kind: str, hardware: str) -> Path:
    """Return where a benchmark's Markdown is kept: under its kind, the hardware and the day."""
    RESULTS.mkdir(exist_ok=True)
    words = "-".join(re.findall(r"[\w.]+", hardware.lower()))
    return RESULTS / f"{kind}-{words}-{datetime.now(UTC):%Y-%m-%d}.md"


def write_results(kind: str, result: dict[str, Any], text: str) -> None:
    """Keep a benchmark's Markdown, and the numbers behind it as JSON beside it."""
    file = results_file(kind, result["hardware"])
    file.write_text(text, encoding="utf-8")
    file.with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
