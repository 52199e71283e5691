"""Compute one shard of a job: decode, embed, search, publish. A finished shard is never computed twice."""

import errno
import fcntl
import json
import math
import os
import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from aenet.data.card import CARD
from aenet.io.artifacts import sha256_file
from aenet.io.atomic import atomic_file
from aenet.io.diskspace import writing
from aenet.io.errors import AenetError, CorruptArtifact
from aenet.io.locks import hold
from aenet.io.nolinks import open_unlinked
from aenet.serving.galleries.gallery import MANIFEST, Gallery
from aenet.serving.jobs.job import LOG, PHOTOS, SHARDS, Job
from aenet.serving.jobs.outputs import SCHEMA
from aenet.serving.jobs.photopipeline import PhotoProgress, place_photos
from aenet.serving.photos.listing import COLUMNS
from aenet.serving.search.galleryindex import GalleryIndex, index_digest, open_index
from aenet.serving.sessions.runtime import SessionOptions
from aenet.serving.sessions.session import OnnxBranch

_META = b"aenet"


@dataclass(frozen=True)
class ShardResult:
    """The result of a shard. `computed` is False where its file was found finished; the rest is as when it was."""

    shard: int
    photos: int
    errors: int
    seconds: float
    runs_on: str
    computed: bool


def run_shard(job: Job, shard: int, on_progress: PhotoProgress | None = None) -> ShardResult:
    """Place the photos of one shard and publish `job.file(shard)`, unless it is there already.

    Args:
        job: from `plan`; this may run in another process or on another machine that sees the same folders.
        shard: one of `job.shards`.
        on_progress: called with the number of this shard's photos described so far.

    Raises:
        AenetError: another run computes this shard now, another job has taken the folder over, or model or gallery do
            not fit (any more).
    """
    job.check_still_there()
    with hold(job.out / SHARDS / f".{shard:05d}.lock", f"shard {shard} of {job.out}"):
        if job.done(shard):
            return read_shard(job, shard)[1]
        _log(job, "start", shard)
        branch, gallery, index = _opened(job)
        started = time.perf_counter()
        photos = photos_of(job).iloc[job.rows(shard)]
        rows = place_photos(photos, branch, gallery, index, job.options, on_progress)
        errors = sum(row["status"] == "error" for row in rows)
        result = ShardResult(shard, len(rows), errors, time.perf_counter() - started, branch.runs_on, True)
        job.check_still_there()
        _publish(job, result, rows)
        _log(job, "done", shard)
    return result


def photos_of(job: Job) -> pd.DataFrame:
    """Return a job's photo list.

    Raises:
        CorruptArtifact: it is damaged, or another's.
    """
    path = job.out / PHOTOS
    try:
        photos = pd.read_parquet(path, columns=list(COLUMNS)).astype(dict.fromkeys(COLUMNS[4:], np.float64))
        fits = len(photos) == job.photos and all(isinstance(file, bytes) for file in photos["path"])
        fits = fits and all(isinstance(name, str) for name in photos["photo"])
    except Exception as error:  # pyarrow raises a dozen unrelated kinds
        raise CorruptArtifact(f"{path} is damaged: run the job again with `overwrite`") from error
    if not fits:
        raise CorruptArtifact(f"{path} is not the list this job was planned on: run the job again with `overwrite`")
    return photos


def read_shard(job: Job, shard: int) -> tuple[pa.Table, ShardResult]:
    """Return a finished shard's rows and result.

    Raises:
        CorruptArtifact: the file is damaged or of another job.
    """
    path = job.file(shard)
    try:
        table = pq.read_table(path)
        meta = json.loads(table.schema.metadata[_META])
        fits = meta["key"] == job.key and table.num_rows == len(range(job.photos)[job.rows(shard)])
        fits = fits and table.schema.equals(SCHEMA) and math.isfinite(meta["seconds"])
        table.validate(full=True)
        result = ShardResult(shard, table.num_rows, int(meta["errors"]), meta["seconds"], str(meta["runs_on"]), False)
    except Exception as error:
        raise CorruptArtifact(f"{path} is damaged: delete it and run again to compute it anew") from error
    if not fits:
        raise CorruptArtifact(f"{path} belongs to another job: delete it and run again to compute it anew")
    return table, result


_Opened = tuple[OnnxBranch, Gallery, GalleryIndex | None]  # what every shard of a job needs


def _opened(job: Job) -> _Opened:
    """Open model and gallery once per process and content, and hold them against what the job was planned on."""
    try:
        files = tuple(sha256_file(path) for path in (job.model / CARD, job.gallery / MANIFEST))
    except OSError as error:
        raise AenetError(f"{error.filename} was there when the job in {job.out} was planned, and is not now") from error
    marks, options = (*files, index_digest(job.gallery) or ""), job.options
    opened = _open(job.model, job.gallery, marks, options.session)
    job.check_unchanged(opened[0].card, opened[1])
    return opened


@lru_cache(maxsize=2)
def _open(model: Path, gallery: Path, marks: tuple[str, ...], session: SessionOptions) -> _Opened:
    branch = OnnxBranch(model, "ground", session)
    # `plan` has read every byte against its digest; sizes are enough here.
    opened = Gallery.open(gallery, branch.card, full=False)
    return branch, opened, open_index(opened, full=False)


def _publish(job: Job, result: ShardResult, rows: list[dict[str, Any]]) -> None:
    meta = {"key": job.key, "errors": result.errors, "seconds": result.seconds, "runs_on": result.runs_on}
    table = pa.Table.from_pylist(rows, schema=SCHEMA.with_metadata({_META: json.dumps(meta)}))
    with writing(job.out), atomic_file(job.file(result.shard)) as temporary:
        pq.write_table(table, temporary)


def _log(job: Job, event: str, shard: int) -> None:
    """Append one line, whole or not at all: what was computed can be counted afterwards."""
    line = f"{event} {shard:05d} {os.getpid()} {time.time():.3f}\n".encode()
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    with writing(job.out), os.fdopen(open_unlinked(job.out / SHARDS / LOG, flags), "ab", buffering=0) as log:
        fcntl.flock(log, fcntl.LOCK_EX)  # nobody else's line comes behind one that has to be taken back
        end = os.fstat(log.fileno()).st_size
        if log.write(line) < len(line):  # the disk is full
            log.truncate(end)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
