"""Two jobs on one output folder: one at a time, and what stands is wholly of one of them."""

import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest

from aenet.io.errors import AenetError
from aenet.io.locks import hold
from aenet.serving.jobs.outputs import read_places
from aenet.serving.localize import Job, LocateOptions, finish, locate, plan, run_shard
from tests.support.world import World

OPTIONS = LocateOptions(provider="cpu", threads=1, decoders=1, shard_size=4, thumbnails=0)


def _plan(world: World, out: Path, **changes: object) -> Job:
    return plan(world.photos, world.gallery, world.model, out, OPTIONS.model_copy(update=changes))


def test_started_at_the_same_moment_they_give_one_result(small_world: World, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ["locate", small_world.photos, "--gallery", small_world.gallery, "-m", small_world.model, "-o", out]
    words += ["--shard-size", 2, "--provider", "cpu", "--threads", 1]
    command = [sys.executable, "-m", "aenet", *map(str, words)]
    both = [subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate()[1] for process in both]
    codes = [process.returncode for process in both]
    assert 0 in codes and set(codes) <= {0, 2}, said
    assert all("is in use by another run" in text for text, code in zip(said, codes, strict=True) if code), said
    done = Counter(line.split()[1] for line in (out / "shards" / "computed.log").open() if line.startswith("done"))
    assert done == {f"{shard:05d}": 1 for shard in range(6)}
    locate(small_world.photos, small_world.gallery, small_world.model, tmp_path / "alone", OPTIONS)
    alone = read_places(tmp_path / "alone" / "places.parquet")
    pd.testing.assert_frame_equal(read_places(out / "places.parquet"), alone)


def test_a_job_at_work_is_not_overwritten(small_world: World, tmp_path: Path) -> None:
    job = _plan(small_world, tmp_path / "out")
    run_shard(job, 0)
    with hold(job.out / "shards" / ".00001.lock", "it"):  # as while it is computed
        refused = rf"shard 1 of .*out is in use by another run \(process {os.getpid()}\)"
        with pytest.raises(AenetError, match=refused):
            _plan(small_world, tmp_path / "out", top_k=3, overwrite=True)
    for shard in job.missing:
        run_shard(job, shard)
    assert finish(job).photos == 12


def test_a_job_that_was_overwritten_publishes_nothing_into_the_other(small_world: World, tmp_path: Path) -> None:
    """Its gap between two shards was the moment: the other took the folder over."""
    first = _plan(small_world, tmp_path / "out")
    run_shard(first, 0)
    second = _plan(small_world, tmp_path / "out", top_k=3, overwrite=True)
    gone = r"out is no longer this job's: .* give this one a folder of its own"
    with pytest.raises(AenetError, match=gone):
        run_shard(first, 1)
    for shard in second.missing:
        run_shard(second, shard)
    assert finish(second).photos == 12
    with pytest.raises(AenetError, match=gone):  # nor does it take the other's results for its own
        finish(first)
    assert {len(tiles) for tiles in read_places(tmp_path / "out" / "places.parquet")["tiles"]} == {3}


def test_a_folder_that_was_removed_under_way_does_not_come_back_in_parts(small_world: World, tmp_path: Path) -> None:
    job = _plan(small_world, tmp_path / "out")
    shutil.rmtree(job.out)
    with pytest.raises(AenetError, match="it was removed"):
        run_shard(job, 0)
    assert not job.out.exists()
