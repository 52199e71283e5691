"""The whole of AENet on the town, for a first look: `python -m flows.demo` (or `aenet demo`, or `make demo`).

The stages that lead to an exported model, and the test district's photos placed on the map of their district, with and
without saying which way they look, and of the whole town. The ablation is left to `dvc repro`.
"""

# isort: off
import flows.settings  # noqa: F401  (Prefect reads its environment when it is imported)

# isort: on
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console
from rich.markup import escape

from aenet.data.pairs import read_pairs
from aenet.io.atomic import write_bytes, write_json
from aenet.io.errors import AenetError
from aenet.progress import progress
from aenet.serving.galleries.build import GalleryOptions, build_gallery
from aenet.serving.jobs.summary import SUMMARY
from flows.localize import localize
from flows.pipeline import pipeline
from stages.project import Paths

FOLDER = Path("demo")
STAGES = ("evaluate", "export_onnx")  # and all they wait for
MARGIN_DEG = 0.0007  # about 80 m to the north and 45 m to the east: room for wrong answers around the photos


def main(paths: Paths = Paths()) -> None:
    """Run everything that is out of date and say what came of it."""
    began = time.monotonic()
    state = pipeline(list(STAGES), return_state=True)
    if not state.is_completed():
        raise AenetError(f"the pipeline stopped: {state.message}")
    photos, asked = list_test_photos(paths), placements(paths)
    for area, options in {placement.area: placement.options for placement in asked.values()}.items():
        with progress(f"gallery of the {area}") as report:
            build_gallery(paths.raw / "town.tif", FOLDER / f"gallery-{area}", paths.onnx, options, report)
    placed = {name: _place(paths, photos, placement) for name, placement in asked.items()}
    _say(paths, placed, time.monotonic() - began)


@dataclass(frozen=True)
class Placement:
    """The test district's photos on one gallery.

    Attributes:
        area: the gallery's name.
        heading: as in `LocateOptions`.
    """

    area: str
    options: GalleryOptions
    heading: str = "auto"


def placements(paths: Paths) -> dict[str, Placement]:
    """Return what the demo places, by the name it has in reports."""
    district = GalleryOptions(spacing_m=10.0, within_box=_around(_test_places(paths)), overwrite=True)
    return {
        "district": Placement("district", district),
        "district, heading unknown": Placement("district", district, "unknown"),
        "whole town": Placement("town", GalleryOptions(spacing_m=20.0, overwrite=True)),
    }


def _place(paths: Paths, photos: Path, placement: Placement) -> dict[str, Any]:
    """Place the photos on one gallery, and return the job's summary."""
    name, heading = placement.area, placement.heading
    gallery, out = FOLDER / f"gallery-{name}", FOLDER / (name if heading == "auto" else f"{name}-{heading}")
    state = localize(
        str(photos),
        str(gallery),
        str(out),
        str(paths.onnx),
        options={"heading": heading},
        shard_size=64,
        overwrite=True,
        return_state=True,
    )
    if not state.is_completed():
        raise AenetError(f"the localization stopped: {state.message}")
    summary: dict[str, Any] = json.loads((out / SUMMARY).read_bytes())
    return summary


def _around(places: pd.DataFrame) -> tuple[float, float, float, float]:
    """Return west, south, east, north of an area that holds all places and a margin."""
    west, east = places["longitude"].min() - MARGIN_DEG, places["longitude"].max() + MARGIN_DEG
    south, north = places["latitude"].min() - MARGIN_DEG, places["latitude"].max() + MARGIN_DEG
    return float(west), float(south), float(east), float(north)


def _test_places(paths: Paths) -> pd.DataFrame:
    pairs = read_pairs(paths.raw / "pairs.parquet")
    return pairs[pairs["split"] == "test"]


def list_test_photos(paths: Paths) -> Path:
    """Write the list of the test district's photos, all of which look north: the model has never seen their streets."""
    test = _test_places(paths)
    listed = pd.DataFrame({"path": [str((paths.raw / photo).absolute()) for photo in test["ground"]], "heading": 0.0})
    file = paths.root / FOLDER / "photos.csv"
    write_bytes(file, listed.to_csv(index=False).encode())
    return file


def _say(paths: Paths, placed: dict[str, dict[str, Any]], seconds: float) -> None:
    """Keep the job's numbers beside the other reports, and print the ones to look at first."""
    write_json(paths.reports / "demo.json", {"minutes": round(seconds / 60, 1), **placed})
    metrics = json.loads((paths.reports / "evaluate" / "metrics.json").read_bytes())
    ours, baseline = metrics["aenet"], metrics["colour_histogram"]
    lines = [
        f"[bold]AENet on the town[/]: {int(ours['places'])} test places in a district never seen in training",
        f"  R@1 {ours['recall_at_1']:.1f} %   R@5 {ours['recall_at_5']:.1f} %   R@10 {ours['recall_at_10']:.1f} %   "
        f"(colour histogram R@1 {baseline['recall_at_1']:.1f} %, chance {ours['chance_at_1']:.1f} %)",
    ]
    for name, row in placed.items():
        lines.append(
            f"  {row['ok']} of {row['photos']} photos placed on the map of the {name}: "
            f"{100 * row['within_25m']:.0f} % within 25 m, "
            f"median error {row['median_error_m']:.1f} m (the grid's floor is {row['floor_median_m']:.1f} m)"
            + (
                ""
                if (off := row["median_heading_error_deg"]) in (None, 0)
                else f", median heading error {off:.0f} degrees"
            )
        )
    lines += [
        f"  report: {escape((FOLDER / 'district' / 'report.html').absolute().as_uri())}",
        "  MLflow: aenet ui, then http://127.0.0.1:5000",
        f"  took {seconds / 60:.1f} minutes",
    ]
    Console(highlight=False).print("\n" + "\n".join(lines), soft_wrap=True)


if __name__ == "__main__":
    from stages.running import as_program

    as_program(main)
