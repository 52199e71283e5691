"""Keep what the last `make demo` gave: `python benchmarks/keep_demo.py`.

Copies its numbers and the pictures that the README shows from reports/, which every run of the pipeline overwrites, to
docs/results/demo/, which none does. What is kept there already stays unless `--overwrite` is given.
"""

import argparse
import json
import sys
from datetime import UTC, datetime
from pathlib import Path

from hardware import processor

from aenet.io.atomic import write_bytes, write_json

ROOT = Path(__file__).resolve().parents[1]
KEPT = ROOT / "docs" / "results" / "demo"
PICTURES = ("strips.png", "heatmaps.png", "heading.png", "recall.png")


def main() -> None:
    """Copy, or say what is in the way."""
    parser = argparse.ArgumentParser(description="Keep the last demo's numbers and pictures in docs/results/demo.")
    parser.add_argument("--overwrite", action="store_true", help="replace what is kept there")
    parser.add_argument("--folder", type=Path, default=ROOT, help="in which the demo ran")
    given = parser.parse_args()
    reports = given.folder / "reports"
    numbers = KEPT / "demo.json"
    if numbers.exists() and not given.overwrite:
        sys.stderr.write(f"error: {numbers} exists already: --overwrite replaces it\n")
        raise SystemExit(2)
    demo = json.loads((reports / "demo.json").read_bytes())
    for name in PICTURES:
        write_bytes(KEPT / name, (reports / "evaluate" / name).read_bytes())
    write_json(numbers, {"date": f"{datetime.now(UTC):%Y-%m-%d}", "hardware": processor(), **demo})


if __name__ == "__main__":
    main()
