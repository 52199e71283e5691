"""Run `locate` and `gallery build` on disks that are too small: `python benchmarks/full_disk.py` (needs to mount).

Each run has a tmpfs of its own for its output, from one page of memory to just less than the output takes. It must end
with one sentence that names the folder, the room left and the way out; every file under its final name must be whole,
and the job not said to be finished. Then the disk grows, and the same command must come to the undisturbed results.
"""

import argparse
import json
import os
import re
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import geopandas
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from evidence import keep
from smallworld import SmallWorld, make_small_world

from aenet.serving.jobs.outputs import read_places

PAGE = os.sysconf("SC_PAGE_SIZE")  # what a tmpfs is divided into
ROOMY = 512 << 20
SENTENCE = re.compile(
    r"^error: (\S+) cannot be written \((.+); [\d,.]+ MB free on its disk\): .*make room and run .*\n\Z", re.M
)
DONE = {"locate": "_SUCCESS", "gallery": "manifest.json"}
KINDS = ("geojson", "gpkg", "kml")


class FullDisk:
    """One of the two commands, its undisturbed result, and runs of it on disks of any size."""

    def __init__(self, job: str, world: SmallWorld, disk: Path, given: argparse.Namespace) -> None:
        """Run the job undisturbed: the reference, and the room it takes."""
        self.job, self.disk, self.out = job, disk, disk / "out"
        self.reference = disk.parent / f"reference-{job}"
        shards = ("--shard-size", str(10 * given.shard_size), "--spacing", "15m")
        commands = {
            "locate": lambda out: world.locate(out, given, "--also", ",".join(KINDS)),
            "gallery": lambda out: world.build(out, *shards),
        }
        self.command = commands[job]
        self._run(self.reference)
        with mounted(disk, ROOMY):
            self._run(self.out)
            used = os.statvfs(disk)
            self.pages = (used.f_blocks - used.f_bfree) * used.f_frsize // PAGE

    def sizes(self, count: int) -> list[int]:
        """Return so many sizes in pages from one to two less than needed (times have more digits), small ones closer.

        In even steps of their square roots: the plan, each of the shards and the results all meet a full disk.
        """
        last, more = self.pages - 2, count
        while len(steps := np.unique((np.linspace(1, last**0.5, more) ** 2).round().astype(int))) < min(count, last):
            more += 1
        return [int(steps[at]) for at in np.linspace(0, len(steps) - 1, min(count, last)).round().astype(int)]

    def fill(self, pages: int) -> str:
        """Run into the full disk, look at what is left, make room, finish; return how far the first run came."""
        with mounted(self.disk, pages * PAGE):
            ran = subprocess.run(self.command(self.out), check=False, capture_output=True, text=True)
            said = SENTENCE.search(ran.stderr)  # Dask may note before that it gives up the other shards
            if ran.returncode != 2 or "Traceback" in ran.stderr or not said or not said[1].startswith(str(self.out)):
                raise SystemExit(f"{self.job} on {pages} pages: exit status {ran.returncode}, {ran.stderr[-3000:]}")
            left = [path for path in self.out.rglob("*") if path.is_file()]
            self._check_whole(left, pages)
            subprocess.run(["mount", "-o", f"remount,size={ROOMY}", str(self.disk)], check=True)
            self._run(self.out)
            self._check_same()
        return how_far({str(path.relative_to(self.out)) for path in left})

    def _check_whole(self, left: list[Path], pages: int) -> None:
        names = [str(path.relative_to(self.out)) for path in left]
        if DONE[self.job] in names or [name for name in names if name.endswith(".tmp")]:
            raise SystemExit(f"{self.job} on {pages} pages left {names}")
        for path, name in zip(left, names, strict=True):
            if not is_whole(path, self.reference / name):
                raise SystemExit(f"{self.job} on {pages} pages: {path.name} is torn")

    def _check_same(self) -> None:
        if self.job == "locate":
            found, expected = (read_places(out / "places.parquet") for out in (self.out, self.reference))
            pd.testing.assert_frame_equal(found, expected)
        for path in self.reference.rglob("*"):
            same = self.out / path.relative_to(self.reference)
            if path.is_file() and not is_whole(same, path):
                raise SystemExit(f"{self.job}: {same} is not as undisturbed")

    def _run(self, out: Path) -> None:
        ran = subprocess.run(self.command(out), check=False, capture_output=True, text=True)
        if ran.returncode:
            raise SystemExit(f"{self.job} failed though there was room: {ran.stderr[-3000:]}")


def is_whole(path: Path, reference: Path) -> bool:
    """Compare a file with the undisturbed run's, as far as its content does not hang on the clock."""
    match path.suffix:
        case _ if path.name.startswith("."):  # a lock
            whole = True
        case ".parquet":  # how long a shard took stands in its metadata, which `equals` leaves out
            whole = pq.read_table(path).equals(pq.read_table(reference))
        case ".json" if path.name in ("summary.json", "job.json"):  # how long it took, and the output's name
            whole = json.loads(path.read_bytes()).keys() == json.loads(reference.read_bytes()).keys()
        case ".html":
            whole = path.read_text(encoding="utf-8").rstrip().endswith("</html>")
        case ".gpkg":  # the time of its last change
            whole = geopandas.read_file(path).equals(geopandas.read_file(reference))
        case ".log":
            whole = all(re.fullmatch(r"(start|done) \d{5} \d+ \d+\.\d{3}\n", line) for line in path.open())
        case _:
            whole = path.read_bytes() == reference.read_bytes()
    return bool(whole)


def how_far(left: set[str]) -> str:
    """Say what stood when the disk was full."""
    if any(name.startswith(("places", "backdrop", "report")) for name in left):
        return "amid the results"
    if any(re.match(r"shard.*\.parquet", name) for name in left):
        return "amid the shards"
    return "before the first shard"


@contextmanager
def mounted(folder: Path, size: int) -> Iterator[None]:
    """Mount a tmpfs of `size` bytes on a folder."""
    folder.mkdir(exist_ok=True)
    tried = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)], check=False, capture_output=True, text=True
    )
    if tried.returncode:
        print(f"skipped: no tmpfs can be mounted here ({tried.stderr.strip()}); it takes root, or a container that may")
        raise SystemExit(0)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def main() -> None:
    """Read the arguments, fill disk after disk, print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", nargs="+", choices=tuple(DONE), default=list(DONE))
    parser.add_argument("--sizes", type=int, default=30, help="disks for each job")
    parser.add_argument("--photos", type=int, default=24)
    parser.add_argument("--shard-size", type=int, default=4, help="photos; of a gallery's tiles ten times as many")
    parser.add_argument("--executor", choices=("local", "dask"), default="local")
    parser.add_argument("--workers", type=int, default=2, help="of the Dask cluster")
    parser.add_argument("--write", type=Path, help="append what came of it to this file")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work).resolve()
        world, lines = make_small_world(folder, given.photos), []
        for job in given.jobs:
            disks = FullDisk(job, world, folder / "disk", given)
            sizes = disks.sizes(given.sizes)
            far = Counter(disks.fill(pages) for pages in sizes)
            lines.append(
                f"{job}: {len(sizes)} disks of {sizes[0] * PAGE:,} to {sizes[-1] * PAGE:,} bytes, full "
                + ", ".join(f"{what} {count} times" for what, count in far.items())
                + ": one sentence each, nothing torn; with room the same command came to the undisturbed results"
            )
        keep(given.write, lines)


if __name__ == "__main__":
    main()
