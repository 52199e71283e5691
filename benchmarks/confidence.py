"""Do confidences and error radii keep their word, whatever the grid? `python benchmarks/confidence.py --folder .`.

Takes a project's folder in which the pipeline has run on the town (models/onnx, data/raw). Photographs a split's
district anew: the test district's is what is told, the validation district's is there to choose by. Builds galleries of
it with a tile every 5, 10, 20 and 40 m by `aenet gallery build`, and places the photos by `aenet locate`, their
headings known and unknown. For each it prints the expected and the observed share within 25 m, how often the 90 %
circle holds the truth, and how many answers have one. Shares of n photos have a standard error of sqrt(p (1 - p) / n),
which is printed, too; `--sample` takes other photos. `--whole` takes the whole town's map instead. `--write` keeps it
as benchmarks/results/confidence-<split>-sample-<number>-<hardware>-<date>.md.
"""

import argparse
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
from hardware import processor, results_file
from placedtables import table
from running import aenet
from townphotos import photograph

from aenet.data.card import read_card
from aenet.io.errors import AenetError
from aenet.scoring.confidence import NEAR_M
from aenet.serving.galleries.manifest import read_gallery
from aenet.serving.jobs.outputs import read_places

_HEAD = (
    "tile every",
    "heading",
    "tiles",
    "expected",
    "observed",
    "off",
    "circle holds",
    "with radius",
    "median radius",
)


def main() -> None:
    """Photograph, build, locate, compare."""
    parser = argparse.ArgumentParser(description="Compare confidences and error radii with what is true.")
    parser.add_argument("--folder", type=Path, default=Path(), help="with models/onnx and data/raw")
    parser.add_argument(
        "--out", type=Path, help="of photos, galleries and places; default: demo/confidence in the folder"
    )
    parser.add_argument("--count", type=int, default=512, help="photos")
    parser.add_argument("--split", choices=["val", "test"], default="test", help="whose district: choose by val's")
    parser.add_argument("--sample", type=int, default=0, help="0, 1, 2, ...: other photos")
    parser.add_argument("--spacing", type=float, nargs="+", default=[40.0, 20.0, 10.0, 5.0], help="metres")
    parser.add_argument("--whole", action="store_true", help="the whole town's map, not the test district's")
    parser.add_argument("--threads", type=int, default=0, help="of one inference; 0: one per core")
    parser.add_argument("--write", action="store_true", help="keep the figures under benchmarks/results")
    given = parser.parse_args()
    try:
        said = _figures(given, given.out or given.folder / "demo" / "confidence")
    except AenetError as error:
        sys.stderr.write(f"error: {error}\n")
        raise SystemExit(2) from None
    sys.stdout.write(said)
    if given.write:
        name = f"confidence-{given.split}-sample-{given.sample}"
        results_file(name, processor()).write_text(said, encoding="utf-8")


def _figures(given: argparse.Namespace, out: Path) -> str:
    raw, model = given.folder / "data" / "raw", given.folder / "models" / "onnx"
    card = read_card(model)
    photos = photograph(raw, out / "photos", given.count, given.split, given.sample)
    area = [] if given.whole else ["--within-box", _around(pd.read_csv(photos))]
    common = ["--model", model, "--provider", "cpu", "--threads", given.threads, "--overwrite"]
    rows = []
    for spacing in given.spacing:
        gallery = out / f"gallery-{spacing:g}m"
        aenet("gallery", "build", raw / "town.tif", "--spacing", f"{spacing:g}m", "-o", gallery, *area, *common)
        for heading in ("auto", "unknown"):
            places = out / f"places-{spacing:g}m-{heading}"
            aenet("locate", photos, "--gallery", gallery, "--heading", heading, *common, "-o", places)
            name = "known" if heading == "auto" else heading
            tiles = read_gallery(gallery).tiles
            rows.append([f"{spacing:g} m", name, f"{tiles:,}", *_row(read_places(places / "places.parquet"))])
    command = "python benchmarks/confidence.py" + (" --whole" if given.whole else "") + f" --count {given.count}"
    command += f" --split {given.split} --sample {given.sample}"
    fitted = card.calibration
    return (
        "\n\n".join(
            [
                "# Confidence against what is true",
                f"`{command}`, {datetime.now(UTC):%Y-%m-%d}, {processor()}.",
                f"Model: {card.backbone}, {card.attention}, {card.head}, trained on {card.trained_on}; R@1 "
                f"{card.recall_at_1 or 0:.1f} %; calibrated on {fitted.queries if fitted else 0:,} validation photos. "
                f"{given.count:,} photos of the {given.split} district, sought in "
                f"{'the town' if given.whole else 'it'}.",
                f"Expected: the mean confidence; observed: the share within {NEAR_M:g} m. After ±: a standard error. "
                "The circle is the one that is said to hold 90 %.",
                table(list(_HEAD), rows),
            ]
        )
        + "\n"
    )


def _around(photos: pd.DataFrame) -> str:
    """Return the photos' bounding box as `--within-box` takes it.

    Confidence takes a photo to be anywhere in the searched area alike, so the area is the one they were drawn from.
    """
    east, north = photos["longitude"], photos["latitude"]
    return f"{east.min()},{north.min()},{east.max()},{north.max()}"


def _row(places: pd.DataFrame) -> list[str]:
    """Return expected to median radius of `_HEAD`."""
    placed = places[places["status"] != "error"]
    error, radius = (placed[name].to_numpy(np.float64) for name in ("error_m", "radius_m"))
    expected, observed = float(placed["confidence"].mean()), error <= NEAR_M
    known = np.isfinite(radius)
    held = error[known] <= radius[known]
    share = float(observed.mean())
    return [
        f"{expected:.1%}",
        f"{share:.1%} ± {_standard_error(observed):.1%}",
        f"{100 * (expected - share):+.1f} points",
        f"{held.mean():.1%} ± {_standard_error(held):.1%}",
        f"{known.mean():.1%}",
        f"{np.median(radius[known]):,.1f} m",
    ]


def _standard_error(hits: np.ndarray) -> float:
    return float(hits.std() / len(hits) ** 0.5)


if __name__ == "__main__":
    main()
