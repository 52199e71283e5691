"""Scheduling for real: `python benchmarks/schedule_demo.py`.

A Prefect server and a served deployment of `flows.localize` that places new photos every few seconds, over the small
world of the tests. Then nobody touches them: a photo appears in the folder, and a place for it must appear; another
does, the process that places it is killed, and the run after must place it all the same. Prints what happened when.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT)]

DEPLOYMENT = "new photos"


def serve(seconds: float) -> None:
    """Serve the deployment until told to stop (a process of its own)."""
    from datetime import timedelta

    from flows.localize import localize

    parameters = {
        "photos": "photos", "gallery": "gallery", "model": "model", "out": "places/{date}T{time}", "new_only": True,
        "options": {"provider": "cpu", "threads": 1},
    }  # fmt: skip
    localize.serve(name=DEPLOYMENT, interval=timedelta(seconds=seconds), parameters=parameters, limit=1)


class Demo:
    """Server, deployment and photos in a folder of their own."""

    def __init__(self, work: Path, arguments: argparse.Namespace) -> None:
        """Make the world; nothing runs yet."""
        from aenet.serving.galleries.build import GalleryOptions, build_gallery
        from tests.support import world

        self.work, self.arguments, self.began = work, arguments, time.monotonic()
        pixels = world.make_pixels()
        town, model = world.write_map(work / "town.tif", pixels), world.make_model(work / "model")
        build_gallery(town, work / "gallery", model, GalleryOptions(spacing_m=15.0, provider="cpu", threads=1))
        self.truth = world.take_photos(work / "taken", pixels, 4)
        (work / "photos").mkdir()
        for name in ("0000.jpg", "0001.jpg"):
            shutil.copy(work / "taken" / name, work / "photos")
        self.url = f"http://127.0.0.1:{arguments.port}/api"
        self.env = {
            **os.environ, "PREFECT_HOME": str(work / ".prefect"), "PREFECT_API_URL": self.url, "DVC_ROOT": str(work),
            "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
            "AENET_TRACKING": "journal", "DO_NOT_TRACK": "1",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false", "PREFECT_LOGGING_LEVEL": "WARNING",
        }  # fmt: skip

    def start(self, *command: str) -> "subprocess.Popen[bytes]":
        """Start a process in the folder, its output in a file."""
        with (self.work / "said").open("ab") as said:
            return subprocess.Popen(
                [sys.executable, *command],
                cwd=self.work, env=self.env, stdout=said, stderr=said, start_new_session=True,
            )  # fmt: skip

    def run(self) -> None:
        """Tell the story."""
        self.wait("the server answers", self._answers)
        server = self.start(__file__, "--serve", str(self.arguments.interval))
        try:
            self.wait("the deployment places the photos that were there", lambda: self._placed("0000.jpg"))
            self._drop("0002.jpg")
            self.wait("it has a place, and nobody touched anything", lambda: self._placed("0002.jpg"))
            self._drop("0003.jpg")
            self.wait("its job has begun: kill -9 of the run's process", lambda: self._kill_run(server.pid))
            self.wait("a later run has placed it", lambda: self._placed("0003.jpg"))
            self.states = self._states()  # before the end of the server's process ends a run
        finally:
            end(server)

    def wait(self, what: str, done: Callable[[], Any]) -> None:
        """Wait until `done`, then say when that was."""
        limit = time.monotonic() + self.arguments.timeout
        while not done():
            if time.monotonic() > limit:
                raise SystemExit(f"waited {self.arguments.timeout:g} s in vain: {what}\n{self.said()}")
            time.sleep(0.01)
        self.say(what)

    def say(self, what: str) -> None:
        """Print with the seconds since the start."""
        print(f"{time.monotonic() - self.began:6.1f} s  {what}", flush=True)

    def said(self) -> str:
        """Return the last words of server and deployment."""
        return (self.work / "said").read_text(errors="replace")[-3000:]

    def report(self) -> None:
        """Print every job's photos and errors, and what Prefect says of the runs."""
        import pandas as pd

        placed: list[str] = []
        for file in sorted((self.work / "places").glob("*/places.csv")):
            places = pd.read_csv(file)
            placed += list(places["photo"])
            rows = [f"{row.photo} ({row.error_m:.1f} m off)" for row in places.itertuples()]
            print(f"  {file.parent.name}: {', '.join(rows)}")
        placed = [
            str(photo) for file in (self.work / "places").glob("*/places.csv") for photo in pd.read_csv(file).photo
        ]
        if sorted(placed) != sorted(self.truth["path"]):
            raise SystemExit(f"placed {sorted(placed)}, not each of {sorted(self.truth['path'])} once")
        states = [state for state in self.states if state not in ("Scheduled", "Late", "Pending", "Running")]
        print(f"  Prefect's runs: {', '.join(f'{states.count(name)} {name}' for name in dict.fromkeys(states))}")

    def _drop(self, name: str) -> None:
        # As a camera's upload should: beside, then renamed, so that no run finds half a photo.
        shutil.copy(self.work / "taken" / name, self.work / "photos" / f".{name}.part")
        (self.work / "photos" / f".{name}.part").rename(self.work / "photos" / name)
        self.say(f"{name} appears")

    def _placed(self, name: str) -> bool:
        return any(name in file.with_name("places.csv").read_text() for file in self.work.glob("places/*/_SUCCESS"))

    def _answers(self) -> bool:
        with suppress(OSError), urllib.request.urlopen(f"{self.url}/health", timeout=2) as answer:  # noqa: S310  ours
            return bool(answer.status == 200)
        return False

    def _kill_run(self, serving: int) -> bool:
        import psutil

        begun = [file for file in self.work.glob("places/*/job.json") if not file.with_name("_SUCCESS").exists()]
        if not begun:
            return False
        runs = psutil.Process(serving).children()
        for run in runs:
            run.send_signal(signal.SIGKILL)
        return bool(runs)

    def _states(self) -> list[str]:
        request = urllib.request.Request(  # noqa: S310  ours
            f"{self.url}/flow_runs/filter", json.dumps({"sort": "EXPECTED_START_TIME_ASC"}).encode(),
            {"Content-Type": "application/json"},
        )  # fmt: skip
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310  ours
            return [run["state_name"] for run in json.load(answer)]


def end(process: "subprocess.Popen[bytes]") -> None:
    """Stop a process and all it started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(20)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def main() -> None:
    """Read the arguments, run the demonstration in a temporary folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--serve", type=float, help=argparse.SUPPRESS)
    parser.add_argument("--interval", type=float, default=10.0, help="seconds between runs (default %(default)s)")
    parser.add_argument("--port", type=int, default=4299, help="of the Prefect server")
    parser.add_argument("--timeout", type=float, default=240.0, help="seconds a step may take")
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.serve)
        return
    with tempfile.TemporaryDirectory() as folder:
        demo = Demo(Path(folder), arguments)
        server = demo.start(
            "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(arguments.port), "--no-ui"
        )
        try:
            demo.run()
            demo.report()
        finally:
            end(server)


if __name__ == "__main__":
    main()
