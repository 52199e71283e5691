"""A thousand photos of unknown heading on the map of a whole town: `python benchmarks/thousand.py --folder .`.

Takes a project's folder in which the pipeline has run on the town (models/onnx, data/raw). Photographs the test
district anew, turned to random headings, builds the gallery from the town's GeoTIFF with `aenet gallery build` and
places the photos with `aenet locate --heading unknown`, once as they are and once with `--refine`. Prints recall beside
the grid's floor, median error, heading error, calibration and risk against coverage; all of it is in the reports too.
`--write` keeps it as benchmarks/results/thousand-<spacing>-<hardware>-<date>.md.
"""

import argparse
import json
import re
import sys
from datetime import UTC, datetime
from pathlib import Path

from hardware import processor, results_file
from placedtables import confidence, headings, recall
from running import aenet
from townphotos import photograph

from aenet.data.card import read_card
from aenet.io.errors import AenetError
from aenet.serving.galleries.manifest import read_gallery
from aenet.serving.jobs.summary import SUMMARY


def main() -> None:
    """Photograph, build, locate, print."""
    parser = argparse.ArgumentParser(description="Place town photos of unknown heading, and say how well.")
    parser.add_argument("--folder", type=Path, default=Path(), help="with models/onnx and data/raw")
    parser.add_argument("--out", type=Path, help="of photos, gallery and places; default: demo/thousand in the folder")
    parser.add_argument("--count", type=int, default=1000, help="photos")
    parser.add_argument("--spacing", default="20m", help="of the gallery's tiles")
    parser.add_argument("--provider", default="auto", choices=("auto", "cuda", "cpu"))
    parser.add_argument("--threads", type=int, default=0, help="of one inference and of the search; 0: one per core")
    parser.add_argument("--write", action="store_true", help="keep the figures under benchmarks/results")
    given = parser.parse_args()
    out: Path = given.out or given.folder / "demo" / "thousand"
    try:
        said = _figures(given, out)
    except AenetError as error:
        sys.stderr.write(f"error: {error}\n")
        raise SystemExit(2) from None
    sys.stdout.write(said)
    if given.write:
        file = results_file(f"thousand-{given.spacing}", _hardware(out / "places"))
        file.write_text(said, encoding="utf-8")


def _figures(given: argparse.Namespace, out: Path) -> str:
    raw, model = given.folder / "data" / "raw", given.folder / "models" / "onnx"
    card, gallery = read_card(model), out / "gallery"
    photos = photograph(raw, out / "photos", given.count)
    common = ["--model", model, "--provider", given.provider, "--threads", given.threads, "--overwrite"]
    aenet("gallery", "build", raw / "town.tif", "--spacing", given.spacing, "-o", gallery, *common)
    locate = ["locate", photos, "--gallery", gallery, "--heading", "unknown", *common, "-o"]
    aenet(*locate, out / "places")
    jobs = {"best tile": out / "places"}
    if card.calibration is not None and card.calibration.unknown is not None:  # refining needs probabilities
        aenet(*locate, out / "refined", "--refine")
        jobs["--refine"] = out / "refined"
    manifest = read_gallery(gallery)
    command = f"python benchmarks/thousand.py --count {given.count} --spacing {given.spacing}"
    floor = manifest.floor
    head = [
        f"# {given.count:,} town photos of unknown heading",
        f"`{command}`, {datetime.now(UTC):%Y-%m-%d}, {_hardware(out / 'places')}.",
        f"Model: {card.backbone}, {card.attention}, {card.head}, trained on {card.trained_on}, "
        f"{card.descriptor_dim:,} dimensions. Photos: the test district, of which training saw nothing; each "
        "panorama is turned to a random heading.",
        f"Gallery: {manifest.tiles:,} tiles of {manifest.tile_size_m:g} m from {manifest.source}, "
        + (f"one every {manifest.spacing_m:g} m, {manifest.area_km2:.2f} km2." if floor else "not on a grid."),
    ]
    tables = [recall(jobs, manifest), headings(out / "places", photos), confidence(jobs)]
    return "\n\n".join([*head, *tables]) + "\n"


def _hardware(job: Path) -> str:
    ran = json.loads((job / SUMMARY).read_bytes())["runs_on"]
    device = re.search(r"CUDA \((?:TensorRT on )?([^,)]+)", ran)
    return device[1] if device else processor()


if __name__ == "__main__":
    main()
