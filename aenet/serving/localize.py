"""Photos on a map: plan a job, run its shards in any order and place, finish it.

    job = plan("photos/", Path("gallery"), Path("models/onnx"), Path("out"))
    for shard in job.missing:
        run_shard(job, shard)
    summary = finish(job)

`locate` does that, on the executor it is told. An orchestrator calls the three itself.
"""

from collections.abc import Callable
from dataclasses import asdict, fields
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from pydantic import TypeAdapter, ValidationError

from aenet.data.card import read_card
from aenet.io.artifacts import read_object
from aenet.io.atomic import write_bytes, write_json
from aenet.io.diskspace import writing
from aenet.io.errors import AenetError, CorruptArtifact
from aenet.io.locks import hold
from aenet.retrieval.azimuth import angle_between
from aenet.serving.galleries.gallery import Gallery
from aenet.serving.jobs.executors import Executor, run_shards
from aenet.serving.jobs.job import SUCCESS, Job, LocateOptions, read_record
from aenet.serving.jobs.outputs import SCHEMA, read_places, write_csv, write_format, write_geoparquet
from aenet.serving.jobs.plan import NothingNew, came_since, plan
from aenet.serving.jobs.shard import ShardResult, photos_of, read_shard, run_shard
from aenet.serving.jobs.summary import (
    NEAR_M,
    SUMMARY,
    Summary,
    calibration_bins,
    calibration_error,
    far_lines,
    risk_coverage,
)
from aenet.serving.photos.listing import Source
from aenet.serving.report.page import write_report

__all__ = [
    "Executor",
    "Job",
    "LocateOptions",
    "NothingNew",
    "ShardResult",
    "Summary",
    "finish",
    "locate",
    "plan",
    "run_shard",
    "run_shards",
]

# Join a job's shards into its results; the last file written says that all others are there.


def finish(job: Job) -> Summary:
    """Write places.parquet, places.csv, the formats asked for, report.html, summary.json and, last, `_SUCCESS`.

    A finished job is left as it is, but for formats that it has not yet.

    Raises:
        AenetError: shards are missing, another run holds the folder, another job has replaced this one there, or the
            disk is full.
    """
    job.check_still_there()
    with hold(job.out / ".lock", f"output folder {job.out}"):
        if (job.out / SUCCESS).exists():
            _add_formats(job)
            return _read_summary(job)
        if missing := job.missing:
            raise AenetError(
                f"{job.out}: {len(missing)} of {len(job.shards)} shards are not computed yet "
                f"(the first is {missing[0]}): run the job again to compute them"
            )
        parts = [read_shard(job, shard) for shard in job.shards]
        places = pa.concat_tables([table for table, _ in parts]).replace_schema_metadata()
        card = read_card(job.model)
        gallery = Gallery.open(job.gallery, card, full=False)
        job.check_unchanged(card, gallery)
        photos = photos_of(job)
        summary = _summarize(job, places.to_pandas(), photos, [result for _, result in parts], gallery)
        with writing(job.out):
            write_geoparquet(job.out / "places.parquet", places)
            write_csv(job.out / "places.csv", places)
            for kind in job.options.formats:
                write_format(job.out, places, kind)
            write_report(job.out / "report.html", job, places, photos, gallery, summary)
            write_json(job.out / SUMMARY, {**asdict(summary), "out": str(job.out)})
            write_bytes(job.out / SUCCESS, b"")
    return summary


def _add_formats(job: Job) -> None:
    wanted = [kind for kind in job.options.formats if not (job.out / f"places.{kind}").exists()]
    if wanted:
        places = pa.Table.from_pandas(read_places(job.out / "places.parquet"), SCHEMA, preserve_index=False)
        with writing(job.out):
            for kind in wanted:
                write_format(job.out, places, kind)


def _summarize(
    job: Job, places: pd.DataFrame, photos: pd.DataFrame, results: list[ShardResult], gallery: Gallery
) -> Summary:
    ok = places["status"] == "ok"
    errors = places.loc[ok, "error_m"].dropna().to_numpy(dtype=np.float64)
    known = len(errors)
    floor = gallery.manifest.floor
    counts = places["status"].value_counts()
    seconds = sum(result.seconds for result in results)
    judged = places[["confidence", "error_m"]].dropna().to_numpy(dtype=np.float64)
    confidence, right = judged[:, 0], judged[:, 1] <= NEAR_M
    return Summary(
        out=job.out,
        photos=len(places),
        ok=int(counts.get("ok", 0)),
        abstain=int(counts.get("abstain", 0)),
        errors=int(counts.get("error", 0)),
        known=known,
        median_error_m=float(np.median(errors)) if known else None,
        p95_error_m=float(np.percentile(errors, 95)) if known else None,
        within_25m=float(np.mean(errors <= NEAR_M)) if known else None,
        floor_median_m=floor.median if floor else None,
        floor_p95_m=floor.p95 if floor else None,
        floor_max_m=floor.max if floor else None,
        within_floor=float(np.mean(errors <= floor.max)) if known and floor else None,
        runs_on=", ".join(sorted({result.runs_on for result in results})),
        photos_per_second=len(places) / seconds if seconds else 0.0,
        ignored=job.ignored,
        notices=(*job.notices, *far_lines(places, job.options.prior, gallery.manifest.coverage)),
        newcomers=_newcomers(job, photos),
        median_heading_error_deg=_heading_error(places, photos),
        calibration=calibration_bins(confidence, right) if len(judged) else (),
        calibration_error=calibration_error(confidence, right) if len(judged) else None,
        risk_coverage=risk_coverage(confidence, right) if len(judged) else (),
    )


def _newcomers(job: Job, photos: pd.DataFrame) -> int:
    """Count what came while the job was under way, too."""
    record = read_record(job.out)
    if record is None:
        return job.newcomers
    return came_since(record.source, Path(record.history) if record.history else None, photos)


def _heading_error(places: pd.DataFrame, photos: pd.DataFrame) -> float | None:
    """Median over the headings that were matched although the table tells them, places known to be wrong left out."""
    found, told = places["heading_deg"].to_numpy(np.float64), photos["heading_deg"].to_numpy(np.float64)
    judged = (places["heading_from"] == "matched").to_numpy() & np.isfinite(found) & np.isfinite(told)
    judged &= ~(places["error_m"].to_numpy(np.float64) > NEAR_M)  # there, every heading is a guess
    return float(np.median(angle_between(found[judged], told[judged]))) if judged.any() else None


def _read_summary(job: Job) -> Summary:
    path = job.out / SUMMARY
    way_out = "remove _SUCCESS beside it and run the job again, which makes it anew from its shards"
    record = read_object(path, way_out)
    values = {field.name: record[field.name] for field in fields(Summary) if field.name in record}
    try:
        return TypeAdapter(Summary).validate_python({**values, "out": job.out})
    except ValidationError as error:
        raise CorruptArtifact(f"{path} is damaged: {way_out}") from error


def locate(
    photos: Source,
    gallery: Path,
    model: Path,
    out: Path,
    options: LocateOptions | None = None,
    on_progress: Callable[[int, int], None] | None = None,
    executor: Executor = "local",
    address: str | None = None,
    workers: int = 0,
    history: Path | None = None,
) -> Summary:
    """Place photos; resumes what a killed run left. Arguments and errors as `plan` and `executors.run_shards`.

    Args:
        on_progress: called with (photos done, photos in all).
    """
    job = plan(photos, gallery, model, out, options, history)
    done = job.photos - sum(len(range(job.photos)[job.rows(shard)]) for shard in job.missing)

    def report(of_this_shard: int) -> None:
        if on_progress:
            on_progress(done + of_this_shard, job.photos)

    report(0)
    for result in run_shards(job, executor, address, workers, report):
        done += result.photos
        report(0)
    return finish(job)
