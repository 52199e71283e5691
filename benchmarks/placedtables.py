"""Tables about placed photos whose places and headings are known: where, which way, how sure."""

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd

from aenet.retrieval.azimuth import angle_between
from aenet.serving.galleries.manifest import GalleryManifest, share_within
from aenet.serving.jobs.outputs import read_places
from aenet.serving.jobs.summary import NEAR_M, SUMMARY

METRES = (5.0, 10.0, 25.0, 50.0, 100.0, 500.0)
DEGREES = (5.0, 10.0, 30.0)


def recall(jobs: dict[str, Path], manifest: GalleryManifest) -> str:
    """Share of photos within metres, beside what a perfect ranking reaches, and what guessing does."""
    floor, spacing = manifest.floor, manifest.spacing_m
    metres = sorted({*METRES, *([floor.max] if floor else [])})
    errors = {name: read_places(job / "places.parquet")["error_m"].to_numpy(np.float64) for name, job in jobs.items()}
    rows = []
    for reach in metres:
        name = f"within {reach:.1f} m, the floor's reach" if floor and reach == floor.max else f"within {reach:g} m"
        cells = [f"{float(np.mean(error <= reach)):.1%}" for error in errors.values()]
        best = f"{share_within(reach / spacing):.1%}" if spacing else "-"
        guess = f"{min(1.0, math.pi * reach**2 / 1e6 / manifest.area_km2):.2%}" if manifest.area_km2 else "-"
        rows.append([name, *cells, best, guess])
    for name, level, bound in (("median error", 50, floor and floor.median), ("95 % error", 95, floor and floor.p95)):
        cells = [f"{float(np.nanpercentile(error, level)):,.1f} m" for error in errors.values()]
        rows.append([name, *cells, f"{bound:.1f} m" if bound else "-", "-"])
    return "## Where\n\n" + table(["", *errors, "perfect ranking", "guessing"], rows)


def headings(job: Path, photos: Path) -> str:
    """Error of the headings found, at places that are right and at all."""
    places, told = read_places(job / "places.parquet"), pd.read_csv(photos)["heading"].to_numpy(np.float64)
    off = angle_between(places["heading_deg"].to_numpy(np.float64), told)
    rows = []
    for name, chosen in (
        (f"placed within {NEAR_M:g} m", (places["error_m"] <= NEAR_M).to_numpy()),
        ("all", np.isfinite(off)),
    ):
        some = off[chosen & np.isfinite(off)]
        median = f"{float(np.median(some)):.1f}°" if len(some) else "-"
        rows.append([name, f"{len(some):,}", median, *(f"{float(np.mean(some <= d)):.1%}" for d in DEGREES)])
    return "## Which way\n\n" + table(["photos", "count", "median error", *(f"within {d:g}°" for d in DEGREES)], rows)


def confidence(jobs: dict[str, Path]) -> str:
    """Calibration and risk against coverage, of every job that has confidences."""
    parts = []
    for name, job in jobs.items():
        summary = json.loads((job / SUMMARY).read_bytes())
        if not summary["calibration"]:
            parts.append(f"## How sure ({name})\n\nThe model has no calibration.")
            continue
        bins = [[f"{n:,}", f"{expected:.1%}", f"{seen:.1%}"] for n, expected, seen in summary["calibration"]]
        risks = [[f"{coverage:.0%}", f"{risk:.1%}"] for coverage, risk in summary["risk_coverage"]]
        off = f"Off by {summary['calibration_error']:.1%} on average (ten bins of equal width)."
        parts.append(f"## How sure ({name})\n\n{off} Ran on {summary['runs_on']}.")
        parts.append(table(["photos", f"expected within {NEAR_M:g} m", "observed"], bins))
        parts.append(table(["surest answered", f"of them beyond {NEAR_M:g} m"], risks))
    return "\n\n".join(parts)


def table(head: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table whose first column is text."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
