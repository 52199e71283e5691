"""The whole of AENet on the town, for a first look: `python -m flows.demo` (or `aenet demo`, or `make demo`).

The pipeline's stages, a gallery of the whole town, and the test district's photos placed on it.
"""

# isort: off
import flows.settings  # noqa: F401  (Prefect reads its environment when it is imported)

# isort: on
import json
import time
from pathlib import Path

import pandas as pd
from rich.console import Console

from aenet.artifacts import write_bytes
from aenet.data.pairs import read_pairs
from aenet.errors import AenetError
from aenet.progress import progress
from aenet.serving.build import GalleryOptions, build_gallery
from aenet.serving.summary import SUMMARY
from flows.localize import localize
from flows.pipeline import pipeline
from stages.paths import Paths

SPACING_M = 20.0
OUT = Path("out/demo")


def main(paths: Paths = Paths()) -> None:
    """Run everything that is out of date and say what came of it."""
    began = time.monotonic()
    state = pipeline(return_state=True)
    if not state.is_completed():
        raise AenetError(f"the pipeline stopped: {state.message}")
    gallery = paths.root / "gallery" / "town"
    options = GalleryOptions(spacing_m=SPACING_M, overwrite=True)  # the demo's own folders
    with progress("gallery of the town") as report:
        for line in build_gallery(paths.raw / "town.tif", gallery, paths.onnx, options, report).lines():
            Console(highlight=False).print(line, soft_wrap=True)
    photos = _test_photos(paths)
    state = localize(
        str(photos), str(gallery), str(OUT), str(paths.onnx), shard_size=64, overwrite=True, return_state=True
    )
    if not state.is_completed():
        raise AenetError(f"the localization stopped: {state.message}")
    _say(paths, time.monotonic() - began)


def _test_photos(paths: Paths) -> Path:
    """Write the list of the test district's photos: the model has never seen a street of it."""
    pairs = read_pairs(paths.raw / "pairs.parquet")
    test = pairs.loc[pairs["split"] == "test", "ground"]
    listed = pd.DataFrame({"path": [str((paths.raw / photo).absolute()) for photo in test]})
    file = paths.state / "demo" / "photos.csv"
    write_bytes(file, listed.to_csv(index=False).encode())
    return file


def _say(paths: Paths, seconds: float) -> None:
    metrics = json.loads((paths.reports / "evaluate" / "metrics.json").read_bytes())
    placed = json.loads((OUT / SUMMARY).read_bytes())
    ours, floor = metrics["aenet"], metrics["colour_histogram"]
    Console(highlight=False).print(
        f"""
[bold]AENet on the town[/]: {int(ours["places"])} test places in a district never seen in training
  R@1 {ours["recall_at_1"]:.1f} %   R@5 {ours["recall_at_5"]:.1f} %   R@10 {ours["recall_at_10"]:.1f} %   \
(colour histogram R@1 {floor["recall_at_1"]:.1f} %, chance {ours["chance_at_1"]:.1f} %)
  {placed["ok"]} of {placed["photos"]} photos placed on the whole town: median error {placed["median_error_m"]:.1f} m, \
the grid's floor is {placed["floor_median_m"]:.1f} m; {100 * placed["within_25m"]:.0f} % within 25 m
  ablation: {paths.reports / "ablation.md"}
  report:   {(OUT / "report.html").absolute().as_uri()}
  MLflow:   make ui, then http://127.0.0.1:5000
  took {seconds / 60:.1f} minutes""",
        soft_wrap=True,
    )


if __name__ == "__main__":
    from stages.running import run

    run(main)
