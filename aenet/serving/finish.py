"""Join a job's shards into its results; the last file written says that all others are there."""

import json
from dataclasses import asdict, fields

import numpy as np
import pandas as pd
import pyarrow as pa

from aenet.artifacts import write_bytes, write_json
from aenet.card import read_card
from aenet.errors import AenetError
from aenet.locks import hold
from aenet.serving.gallery import Gallery
from aenet.serving.job import PHOTOS, SUCCESS, Job
from aenet.serving.report import write_report
from aenet.serving.shard import ShardResult, read_shard
from aenet.serving.summary import NEAR_M, SUMMARY, Summary
from aenet.serving.table import write_csv, write_geoparquet


def finish(job: Job) -> Summary:
    """Write places.parquet, places.csv, report.html, summary.json and, last, `_SUCCESS`.

    A finished job is left as it is.

    Raises:
        AenetError: shards are missing, or another run holds the folder.
    """
    with hold(job.out / ".lock", f"output folder {job.out}"):
        if (job.out / SUCCESS).exists():
            return _read_summary(job)
        if missing := job.missing:
            raise AenetError(
                f"{job.out}: {len(missing)} of {len(job.shards)} shards are not computed yet "
                f"(the first is {missing[0]}): run the job again to compute them"
            )
        parts = [read_shard(job, shard) for shard in job.shards]
        places = pa.concat_tables([table for table, _ in parts]).replace_schema_metadata()
        gallery = Gallery.open(job.gallery, read_card(job.model), full=False)
        summary = _summarize(job, places.to_pandas(), [result for _, result in parts], gallery)
        write_geoparquet(job.out / "places.parquet", places)
        write_csv(job.out / "places.csv", places)
        write_report(job.out / "report.html", job, places, pd.read_parquet(job.out / PHOTOS), gallery, summary)
        write_json(job.out / SUMMARY, {**asdict(summary), "out": str(job.out)})
        write_bytes(job.out / SUCCESS, b"")
    return summary


def _summarize(job: Job, places: pd.DataFrame, results: list[ShardResult], gallery: Gallery) -> Summary:
    errors = places["error_m"].dropna().to_numpy(dtype=np.float64)
    known = len(errors)
    floor = gallery.manifest.floor
    counts = places["status"].value_counts()
    seconds = sum(result.seconds for result in results)
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
        runs_on=", ".join(sorted({result.runs_on for result in results})),
        photos_per_second=len(places) / seconds if seconds else 0.0,
        ignored=job.ignored,
    )


def _read_summary(job: Job) -> Summary:
    record = json.loads((job.out / SUMMARY).read_bytes())
    values = {field.name: record[field.name] for field in fields(Summary)}
    return Summary(**{**values, "out": job.out})
