"""Photos on a map: plan a job, run its shards in any order and place, finish it.

    job = plan("photos/", Path("gallery"), Path("models/onnx"), Path("out"))
    for shard in job.missing:
        run_shard(job, shard)
    summary = finish(job)

`locate` does that, on the engine it is told. An orchestrator calls the three itself.
"""

from collections.abc import Callable
from pathlib import Path

from aenet.serving.finish import finish
from aenet.serving.jobs.engines import Engine, run_shards
from aenet.serving.jobs.history import NothingNew
from aenet.serving.jobs.job import Job
from aenet.serving.jobs.options import LocateOptions
from aenet.serving.jobs.plan import plan
from aenet.serving.jobs.shard import ShardResult, run_shard
from aenet.serving.jobs.summary import Summary

__all__ = [
    "Engine",
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


def locate(
    photos: str | Path,
    gallery: Path,
    model: Path,
    out: Path,
    options: LocateOptions | None = None,
    on_progress: Callable[[int, int], None] | None = None,
    engine: Engine = "local",
    address: str | None = None,
    workers: int = 0,
    history: Path | None = None,
) -> Summary:
    """Place photos; resumes what a killed run left. Arguments and errors as `plan` and `engines.run_shards`.

    Args:
        on_progress: called with (photos done, photos in all).
    """
    job = plan(photos, gallery, model, out, options, history)
    done = job.photos - sum(len(range(job.photos)[job.rows(shard)]) for shard in job.missing)

    def report(of_this_shard: int) -> None:
        if on_progress:
            on_progress(done + of_this_shard, job.photos)

    report(0)
    for result in run_shards(job, engine, address, workers, report):
        done += result.photos
        report(0)
    return finish(job)
