"""The same places from every executor, whatever happens to its workers."""

import os
import signal
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest

from aenet.io.errors import AenetError
from aenet.io.locks import hold
from aenet.serving.jobs.executors import Executor
from aenet.serving.jobs.outputs import read_places
from aenet.serving.localize import LocateOptions, finish, locate, plan, run_shards
from tests.support.world import World

OPTIONS = LocateOptions(provider="cpu", threads=1, decoders=1, shard_size=2, thumbnails=0)
CLUSTERS = pytest.mark.parametrize("executor", ["dask", "ray"])


@pytest.fixture(scope="module")
def expected(small_world: World, tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """Places of the undisturbed local run."""
    out = tmp_path_factory.mktemp("local") / "out"
    locate(small_world.photos, small_world.gallery, small_world.model, out, OPTIONS)
    return read_places(out / "places.parquet")


@CLUSTERS
def test_a_cluster_gives_the_places_of_the_local_executor(
    small: World, expected: pd.DataFrame, tmp_path: Path, executor: Executor
) -> None:
    summary = locate(small.photos, small.gallery, small.model, tmp_path / "out", OPTIONS, executor=executor, workers=2)
    assert summary.photos == len(expected)
    pd.testing.assert_frame_equal(read_places(tmp_path / "out" / "places.parquet"), expected)


@CLUSTERS
def test_a_killed_worker_costs_nothing_but_its_shard(
    small: World, expected: pd.DataFrame, tmp_path: Path, executor: Executor
) -> None:
    """A worker dies while it works; another takes its shard, and no finished one is computed again."""
    job = plan(small.photos, small.gallery, small.model, tmp_path / "out", OPTIONS)
    killed: list[int] = []
    ended, log = threading.Event(), job.out / "shards" / "computed.log"
    watcher = threading.Thread(target=_kill_the_first_worker, args=(log, killed, ended))
    watcher.start()
    try:
        results = list(run_shards(job, executor, workers=2))
    finally:
        ended.set()
        watcher.join()
    assert killed and sorted(result.shard for result in results) == list(job.shards)
    finish(job)
    pd.testing.assert_frame_equal(read_places(tmp_path / "out" / "places.parquet"), expected)
    done = Counter(line.split()[1] for line in _log(job.out) if line.startswith("done"))
    assert set(done.values()) == {1}


@CLUSTERS
def test_what_a_worker_has_to_say_is_said_once(
    small: World, tmp_path: Path, capfd: pytest.CaptureFixture[str], executor: Executor
) -> None:
    job = plan(small.photos, small.gallery, small.model, tmp_path / "out", OPTIONS)
    with hold(job.out / "shards" / ".00000.lock", "it"), pytest.raises(AenetError, match=r"shard 0 .* is in use by"):
        list(run_shards(job, executor, workers=1))
    assert "Traceback" not in "".join(capfd.readouterr())


def _kill_the_first_worker(log: Path, killed: list[int], ended: threading.Event) -> None:
    while not killed and not ended.is_set():
        if log.exists() and (lines := log.read_text().splitlines()):
            killed.append(int(lines[0].split()[2]))
            os.kill(killed[0], signal.SIGKILL)
        time.sleep(0.005)


def _log(out: Path) -> list[str]:
    return (out / "shards" / "computed.log").read_text().splitlines()


def test_a_silent_scheduler_is_named(small: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aenet.serving.jobs.executors.ANSWER_SECONDS", 1)
    with pytest.raises(AenetError, match=r"no Dask scheduler answers at tcp://127.0.0.1:9"):
        locate(
            small.photos, small.gallery, small.model, tmp_path, OPTIONS, executor="dask", address="tcp://127.0.0.1:9"
        )


def test_an_executor_that_is_not_installed_says_how_to_get_it(
    small: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)  # Python's word for "cannot be imported"
    with pytest.raises(AenetError, match=r"executor ray needs ray.*\[ray\]"):
        locate(small.photos, small.gallery, small.model, tmp_path / "out", OPTIONS, executor="ray")


@pytest.fixture(name="small")
def _small(small_world: World) -> World:
    return small_world
