"""Reports about answers that are made up, on the small world's gallery: any number of photos, every kind of row."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from aenet.data.card import read_card
from aenet.serving.galleries.gallery import Gallery
from aenet.serving.jobs.job import PHOTOS
from aenet.serving.jobs.outputs import SCHEMA
from aenet.serving.jobs.summary import Summary
from aenet.serving.localize import LocateOptions, plan
from aenet.serving.report.page import write_report
from tests.support.world import World

OPTIONS = LocateOptions(provider="cpu", threads=1, decoders=1, thumbnails=5)
NEWER = {
    "heading_deg": pa.float64(),
    "heading_from": pa.string(),
    "confidence": pa.float32(),
    "radius_m": pa.float64(),
    "spread_m": pa.float64(),
    "notes": pa.string(),
}


def schema(names: set[str]) -> pa.Schema:
    """The places' columns, with those of NEWER that are named and not there yet."""
    wanted = SCHEMA
    for name in sorted(names - set(SCHEMA.names)):
        wanted = wanted.append(pa.field(name, NEWER[name]))
    return wanted


def made_up(gallery: Gallery, count: int) -> list[dict[str, Any]]:
    """Return rows in a pattern of ten: six near, one far, one of unknown truth, one abstention, one error.

    Confidence falls from row to row of the ten; near ones lie on their tile, the far one eleven tiles off.
    """
    tiles = gallery.tiles
    ids, latitude, longitude = (tiles[name].to_numpy() for name in ("tile_id", "latitude", "longitude"))
    rows: list[dict[str, Any]] = []
    for number in range(count):
        kind, best = number % 10, (7 * number) % (len(ids) - 20)
        row: dict[str, Any] = {"photo": f"IMG {number:05d}.jpg", "status": "ok"}
        if kind == 9:
            reason = "the file is empty" if number % 20 == 9 else f"not a panorama: {number} x 3000 px"
            rows.append(row | {"status": "error", "reason": reason})
            continue
        row |= {"latitude": latitude[best], "longitude": longitude[best], "score": 0.9 - 0.05 * kind, "margin": 0.1}
        row |= {"tiles": list(ids[best : best + 5]), "scores": [0.9 - 0.05 * kind - 0.1 * k for k in range(5)]}
        row |= {"confidence": 0.95 - 0.1 * kind, "radius_m": 20.0 + kind, "spread_m": 12.0}
        row |= {"heading_deg": 90.0, "heading_from": "estimated"}
        if kind != 7:
            truth = best + (11 if kind == 6 else 0)
            error = 165.0 if kind == 6 else 0.0
            row |= {"true_latitude": latitude[truth], "true_longitude": longitude[truth], "error_m": error}
        if kind == 8:
            row |= {"status": "abstain", "reason": "confidence 0.15 is below 0.2", "notes": "heading was magnetic"}
        rows.append(row)
    return rows


def write(
    path: Path,
    small_world: World,
    rows: list[dict[str, Any]] | int,
    options: LocateOptions = OPTIONS,
    heading_deg: float = float("nan"),
) -> Path:
    """Write the report of `rows`, or of so many made-up ones; the world's photos stand for theirs in turn.

    `heading_deg` is what the table tells of all photos.
    """
    job = plan(small_world.photos, small_world.gallery, small_world.model, path.parent / f"{path.stem}-job", options)
    gallery = Gallery.open(small_world.gallery, read_card(small_world.model))
    rows = made_up(gallery, rows) if isinstance(rows, int) else rows
    table = pa.Table.from_pylist(rows, schema=schema({name for row in rows for name in row}))
    listed = pd.read_parquet(job.out / PHOTOS)
    listed = pd.concat([listed] * (len(rows) // len(listed) + 1), ignore_index=True).iloc[: len(rows)]
    listed["heading_deg"] = heading_deg
    counts = {status: sum(row["status"] == status for row in rows) for status in ("ok", "abstain", "error")}
    errors = np.array([row["error_m"] for row in rows if row["status"] == "ok" and row.get("error_m") is not None])
    median, p95, within = (
        (float(np.median(errors)), float(np.percentile(errors, 95)), float(np.mean(errors <= 25)))
        if len(errors)
        else (None, None, None)
    )
    summary = Summary(
        out=job.out,
        photos=len(rows),
        ok=counts["ok"],
        abstain=counts["abstain"],
        errors=counts["error"],
        known=len(errors),
        median_error_m=median,
        p95_error_m=p95,
        within_25m=within,
        floor_median_m=6.0,
        floor_p95_m=9.0,
        runs_on="CPU (1 thread)",
        photos_per_second=100.0,
        ignored=0,
    )
    write_report(path, job, table, listed, gallery, summary)
    return path
