"""SIGKILL `aenet locate` at random moments: `python benchmarks/kill_locate.py --kills 200 --executor dask`.

Over the small world of the tests. Jobs are started, killed and started again until they finish, over and over. Killed
is the whole process tree; with Dask, by lot, also the client alone or a worker alone (the job then must go on by
itself). At the end of every job: each photo stands there exactly once, all places equal those of the undisturbed run,
no shard was published twice and none that was published was computed again.
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pandas as pd
import psutil
from evidence import keep
from smallworld import make_small_world

from aenet.serving.jobs.outputs import read_places

HELD_SECONDS = 60.0  # how long workers of a killed client may hold their shards at most
IN_USE = "in use by another run"


class Killer:
    """Runs jobs in one folder, kills them, and holds what they leave against an undisturbed run."""

    def __init__(self, arguments: argparse.Namespace, work: Path) -> None:
        """Make the world, and place its photos undisturbed: the reference, and how long it takes."""
        self.arguments, self.work, self.out = arguments, work, work / "out"
        self.random = random.Random(arguments.seed)  # noqa: S311  moments, not secrets
        self.world = make_small_world(work, arguments.photos)
        began = time.monotonic()
        process = self._start(work / "reference")
        if self._end(process):
            raise SystemExit(f"the undisturbed run failed: {self._said()}")
        self.seconds = time.monotonic() - began
        self.expected = read_places(work / "reference" / "places.parquet")
        self.kills: Counter[str] = Counter()
        self.waited = self.interrupted = 0

    def cycle(self) -> None:
        """Run one job to its end, killed on the way as often as it happens to be."""
        shutil.rmtree(self.out, ignore_errors=True)
        held_until = None
        while True:
            before = self._published()
            started = len(self._log("start"))
            status, kill = self._run()
            self._check_kept(before, self._log("start")[started:])
            if status == 0:
                break
            if kill is None and IN_USE in self._said():  # workers of a killed client: they must go soon
                held_until = held_until or time.monotonic() + HELD_SECONDS
                if time.monotonic() > held_until:
                    raise SystemExit(f"a shard was still held after {HELD_SECONDS:g} s: {self._said()}")
                self.waited += 1
                continue
            held_until = None
            if kill is None:
                raise SystemExit(f"locate failed after {sum(self.kills.values())} kills: {self._said()}")
        self._check_result()

    def _run(self) -> tuple[int, str | None]:
        """Run the job and kill it at a random moment; return its exit status, and what was killed, if anything."""
        process = self._start(self.out)
        if not self._moment_comes(process):
            return self._end(process), None
        kill = self.random.choice(["tree", "client", "worker"] if self.arguments.executor == "dask" else ["tree"])
        if not self._kill(process, kill):  # there was no worker (yet or any more)
            return self._end(process), None
        self.kills[kill] += 1
        self.interrupted += bool(self._published()) and not (self.out / "_SUCCESS").exists()
        return self._end(process), kill

    def _moment_comes(self, process: subprocess.Popen[str]) -> bool:
        """Wait for a random moment; False if the job ended before.

        One in four is a moment of the clock, start-up included; the others lie between a few shards more, or within
        one, and its end.
        """
        seconds, lines = self.random.uniform(0.05, 1.0) * self.seconds, 0
        if self.random.random() > 0.25:
            left = 2 * (-(-self.arguments.photos // self.arguments.shard_size) - len(self._published()))
            lines = len(self._log()) + self.random.randint(1, max(1, left // 3))
            seconds = self.random.uniform(0.0, 0.03)
        until = time.monotonic() + self.arguments.timeout
        while len(self._log()) < lines:
            if process.poll() is not None or time.monotonic() > until:  # `_end` says that it hangs
                return False
            time.sleep(0.002)
        with suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
            return False
        return True

    def _kill(self, process: subprocess.Popen[str], what: str) -> bool:
        match what:
            case "tree":
                os.killpg(process.pid, signal.SIGKILL)
            case "client":
                process.kill()
            case "worker":
                children = psutil.Process(process.pid).children(recursive=True)
                workers = [child for child in children if "spawn_main" in " ".join(_words_of(child))]
                if not workers:
                    return False
                self.random.choice(workers).kill()
        return True

    def _start(self, out: Path) -> subprocess.Popen[str]:
        self.said = (self.work / "said").open("w")
        return subprocess.Popen(
            self.world.locate(out, self.arguments),
            stdout=subprocess.DEVNULL, stderr=self.said, text=True, start_new_session=True,
        )  # fmt: skip

    def _end(self, process: subprocess.Popen[str]) -> int:
        try:
            return process.wait(self.arguments.timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise SystemExit(f"locate hung for {self.arguments.timeout} s: {self._said()}") from None
        finally:
            self.said.close()

    def _said(self) -> str:
        return (self.work / "said").read_text()[-2000:]

    def _published(self) -> dict[str, int]:
        return {file.stem: file.stat().st_mtime_ns for file in (self.out / "shards").glob("?????.parquet")}

    def _log(self, event: str = "") -> list[str]:
        file = self.out / "shards" / "computed.log"
        lines = file.read_text().splitlines() if file.exists() else []
        return [line.split()[1] for line in lines if line.startswith(event)]

    def _check_kept(self, before: dict[str, int], begun: list[str]) -> None:
        if again := set(before) & set(begun):
            raise SystemExit(f"finished shards were computed again: {sorted(again)}")
        after = self._published()
        if changed := [shard for shard, when in before.items() if after.get(shard) != when]:
            raise SystemExit(f"finished shards were written again or lost: {changed}")

    def _check_result(self) -> None:
        places = read_places(self.out / "places.parquet")
        if places["photo"].duplicated().any() or len(places) != self.arguments.photos:
            raise SystemExit(f"{len(places)} rows for {self.arguments.photos} photos, or one of them twice")
        pd.testing.assert_frame_equal(places, self.expected)
        if twice := [shard for shard, times in Counter(self._log("done")).items() if times > 1]:
            raise SystemExit(f"published twice: {twice}")


def _words_of(process: psutil.Process) -> list[str]:
    with suppress(psutil.Error):
        return list(process.cmdline())
    return []


def main() -> None:
    """Read the arguments, kill until enough were killed, print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200, help="how many at least")
    parser.add_argument("--executor", choices=("local", "dask"), default="local")
    parser.add_argument("--photos", type=int, default=120)
    parser.add_argument("--shard-size", type=int, default=4)
    parser.add_argument("--workers", type=int, default=2, help="of the Dask cluster")
    parser.add_argument("--timeout", type=float, default=300.0, help="seconds after which a job counts as hung")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", type=Path, help="append what came of it to this file")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        killer, jobs = Killer(arguments, Path(work)), 0
        while sum(killer.kills.values()) < arguments.kills:
            killer.cycle()
            jobs += 1
    of = ", ".join(f"{count} of the {what}" for what, count in sorted(killer.kills.items()))
    shards = -(-arguments.photos // arguments.shard_size)
    keep(arguments.write, [
        f"{arguments.photos} photos in {shards} shards; {killer.interrupted} kills left some of them finished and "
        f"some not; {killer.waited} starts found a shard still held by a dead client's worker",
        f"{sum(killer.kills.values())} kills ({of}) over {jobs} jobs: every photo once, all places as undisturbed, "
        "no finished shard computed again",
    ])  # fmt: skip


if __name__ == "__main__":
    main()
