"""Photos on a map: plan a job, run its shards in any order and place, finish it.

    job = plan("photos/", Path("gallery"), Path("models/onnx"), Path("out"))
    for shard in job.missing:
        run_shard(job, shard)
    summary = finish(job)

`locate` does that in one process. An orchestrator calls the three itself.
"""

from collections.abc import Callable
from pathlib import Path

from aenet.serving.finish import finish
from aenet.serving.job import Job, LocateOptions, plan
from aenet.serving.shard import ShardResult, run_shard
from aenet.serving.summary import Summary

__all__ = ["Job", "LocateOptions", "ShardResult", "Summary", "finish", "locate", "plan", "run_shard"]


def locate(
    photos: str | Path,
    gallery: Path,
    model: Path,
    out: Path,
    options: LocateOptions | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Summary:
    """Place photos in this process; resumes what a killed run left. Arguments and errors as `plan`.

    Args:
        on_progress: called with (photos done, photos in all).
    """
    job = plan(photos, gallery, model, out, options)
    for shard in job.shards:
        before = job.rows(shard).start

        def report(done: int, before: int = before) -> None:
            if on_progress:
                on_progress(before + done, job.photos)

        report(run_shard(job, shard, report).photos)
    return finish(job)
