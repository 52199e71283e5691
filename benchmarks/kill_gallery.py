"""SIGKILL `gallery build` and `gallery add` at random moments: `python benchmarks/kill_gallery.py 50`.

After every kill the gallery must be as it was before the command, or unfinished and said to be so; the same command
then goes on. Once both commands came through, the gallery must equal an undisturbed one, digest for digest.
"""

import argparse
import json
import math
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from evidence import keep
from pyproj import CRS, Transformer

from aenet.data.card import read_card
from aenet.io.errors import AenetError
from aenet.serving.galleries.gallery import Gallery
from aenet.serving.maps.mosaic import Mosaic

MANIFEST = "manifest.json"


class Killer:
    """Runs the two commands in a folder and kills them."""

    def __init__(self, arguments: argparse.Namespace, work: Path) -> None:
        """Build and extend one gallery undisturbed: the reference, and how long it takes."""
        self.arguments, self.model = arguments, arguments.model
        self.random = random.Random(arguments.seed)  # noqa: S311  moments, not secrets
        self.gallery, reference = work / "gallery", work / "reference"
        self.manifests: dict[str, str] = {}
        self.seconds: dict[str, float] = {}
        for command in ("build", "add"):
            began = time.monotonic()
            subprocess.run(self._words(command, reference), check=True, stdout=subprocess.DEVNULL)
            self.seconds[command] = time.monotonic() - began
            self.manifests[command] = (reference / MANIFEST).read_text()
        self.reference = reference
        self.kills = {"build": 0, "add": 0}

    def cycle(self) -> None:
        """Build and extend one gallery, killed on the way as often as it happens to be."""
        shutil.rmtree(self.gallery, ignore_errors=True)
        for command in ("build", "add"):
            while not self._finishes(command):
                self._check(command)
            if (self.gallery / MANIFEST).read_text() != self.manifests[command]:
                raise SystemExit(f"after {self.kills} kills {command} made another gallery than undisturbed")
        Gallery.open(self.gallery, read_card(self.model))
        for path in self.gallery.rglob("*"):
            if not (self.reference / path.relative_to(self.gallery)).exists():
                raise SystemExit(f"{path} was left behind")

    def _finishes(self, command: str) -> bool:
        """Run a command and kill it at a random moment; True if it was done before that."""
        process = subprocess.Popen(
            self._words(command, self.gallery), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        try:
            _, said = process.communicate(timeout=self.random.uniform(0.2, 1.0) * self.seconds[command])
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            _, said = process.communicate()
        if process.returncode not in (0, -signal.SIGKILL):
            raise SystemExit(f"{command} failed after {self.kills} kills: {said}")
        self.kills[command] += process.returncode != 0
        return process.returncode == 0

    def _check(self, command: str) -> None:
        """Whatever the moment: as before, finished, or known to be unfinished; never torn."""
        manifest = self.gallery / MANIFEST
        try:
            Gallery.open(self.gallery, read_card(self.model))
        except AenetError as error:
            if command == "build" and not manifest.exists() and "is not a finished gallery" in str(error):
                return
            raise SystemExit(f"torn by a kill of {command}: {error}") from error
        known = [json.loads(text) for text in self.manifests.values()]
        if json.loads(manifest.read_text()) not in known:
            raise SystemExit(f"a kill of {command} left another gallery than before or after")

    def _words(self, command: str, gallery: Path) -> list[str]:
        given = self.arguments
        common = ["-m", str(given.model), "--provider", "cpu", "--threads", "1", "--shard-size", str(given.shard_size)]
        words = [str(given.map), "-o", str(gallery), "--spacing", given.spacing, "--within-box", given.area[0]]
        if command == "add":
            words = [str(gallery), str(given.map), "--within-box", given.area[1]]
        return [sys.executable, "-m", "aenet", "gallery", command, *words, *common]


def halves(path: Path, side_m: float) -> tuple[str, str]:
    """Return what is built and what is added: west,south,east,north of both halves of a square in a map's middle."""
    frame = Mosaic(path, [path]).frame
    to_wgs84 = Transformer.from_crs(CRS.from_wkt(frame.crs), CRS.from_epsg(4326), always_xy=True)
    x, y = to_wgs84.transform((frame.left + frame.right) / 2, (frame.bottom + frame.top) / 2)
    up = side_m / 2 / 111_200
    across = up / math.cos(math.radians(y))
    return f"{x - across},{y - up},{x},{y + up}", f"{x},{y - up},{x + across},{y + up}"


def main() -> None:
    """Read the arguments, kill until enough were killed, print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kills", type=int, help="how many kills at least")
    parser.add_argument("--map", type=Path, default=Path("data/raw/town.tif"), help="a GeoTIFF")
    parser.add_argument("--model", type=Path, default=Path("models/onnx"))
    parser.add_argument("--spacing", default="20m")
    parser.add_argument("--shard-size", type=int, default=64)
    parser.add_argument(
        "--side", type=float, default=400.0, help="metres: a square in the map's middle; west half, east half"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", type=Path, help="append what came of it to this file")
    arguments = parser.parse_args()
    arguments.area = halves(arguments.map, arguments.side)
    with tempfile.TemporaryDirectory() as work:
        killer, cycles = Killer(arguments, Path(work)), 0
        while sum(killer.kills.values()) < arguments.kills:
            killer.cycle()
            cycles += 1
    counts = f"{killer.kills['build']} of build, {killer.kills['add']} of add"
    total = sum(killer.kills.values())
    told = f"{total} kills ({counts}) over {cycles} galleries: none torn, all equal to the undisturbed one"
    keep(arguments.write, [told])


if __name__ == "__main__":
    main()
