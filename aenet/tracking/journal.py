"""What a stage records: metrics, figures, tables, artefacts, data sets, a model; all local, nothing waits.

The same inputs (stage and fingerprint) always meet the same journal: what it already holds is not written
again, so a resumed or repeated run leaves no doubled point behind.
"""

import logging
import math
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from aenet.io.artifacts import folder_digest, verify_folder
from aenet.io.errors import AenetError
from aenet.tracking import events
from aenet.tracking.events import keep, remove
from aenet.tracking.follower import Follower

log = logging.getLogger("aenet.tracking")

# Times and rates belong to the machine, not to the inputs: measured again they are not news.
_MACHINE = ("seconds", "per_second")


class Registration(NamedTuple):
    """What became of a model handed to the registry.

    Attributes:
        version: its number; None while the registry has not answered.
        champion: whether it is now the champion; None likewise.
        reason: one sentence.
    """

    version: int | None
    champion: bool | None
    reason: str


class Run:
    """One session of a stage in its journal; made by `run.run`."""

    def __init__(self, folder: Path, session: str, writer: events.EventLog | None, follower: Follower | None) -> None:
        self._folder, self._session = folder, session
        self._writer, self._follower = writer, follower
        self._points: dict[tuple[str, int], float] = {}
        self._known: set[str] = set()
        self._new = 0
        for event, _ in events.read_events(folder):
            for name, value in event.get("values", {}).items():
                self._points[name, event["step"]] = value
            if event["event"] not in {"start", "end"}:
                self._known.add(_identity(event))

    def metrics(self, values: Mapping[str, float | int], step: int = 0) -> None:
        """Record numbers of one step (an epoch, or 0). A point the journal has is not recorded again;
        if the value differs, the newer one stands beside it."""
        clean = {events.metric_name(name): float(value) for name, value in values.items()}
        fresh = {name: value for name, value in clean.items() if self._is_news(name, step, value)}
        if fresh:
            self._points.update({(name, step): value for name, value in fresh.items()})
            self._write({"event": "metrics", "values": fresh, "step": step})

    def figure(self, name: str, path: Path, to_parent: bool = False) -> None:
        """Record an image file under `figures/`; `to_parent` puts it on the parent run."""
        self._file("figures", name, path, to_parent)

    def artifact(self, path: Path, folder: str = "", to_parent: bool = False) -> None:
        """Record a file, or a folder's content, under `folder` of the run's artefacts."""
        held = self._folder / "pending" / uuid.uuid4().hex / path.name
        if self._writer is not None:
            event = {"event": "artifact", "digest": keep(path, held), "folder": folder, "parent": to_parent}
            if not self._write({**event, "name": path.name, **self._places(held, path)}):
                remove(held.parent)

    def table(self, name: str, frame: pd.DataFrame, to_parent: bool = False) -> None:
        """Record a data frame as a table (`name` ends in .json) that MLflow's comparison view reads."""
        text = frame.to_json(orient="split", index=False, date_format="iso")
        self._write({"event": "table", "name": name, "text": text, "parent": to_parent})

    def dataset(self, name: str, digest: str, source: str, n_rows: int, context: str = "training") -> None:
        """Record which data went in: a name, a digest of its content and where it came from."""
        event = {"event": "dataset", "name": name, "digest": digest, "source": source}
        self._write({**event, "n_rows": n_rows, "context": context})

    def register(
        self, folder: Path, name: str, metrics: Mapping[str, float], passed: bool, measured_on: str = ""
    ) -> Registration:
        """Hand a finished model folder to the registry; it becomes champion if it deserves to.

        Args:
            folder: a folder with a manifest; verified first.
            metrics: must hold `val_recall_at_1`, the number champions are compared by.
            passed: whether the parity report passed; if not, the model gets a version but never the alias.
            measured_on: digest of the data it was measured on; numbers of different data are not compared.

        Returns:
            the registry's answer, waited for at most a minute, and only where the store answers.

        Raises:
            AenetError: the number champions are compared by is missing.
        """
        if self._writer is None:
            return Registration(None, None, "only the first process records")
        if events.CHAMPION_METRIC not in metrics:
            given = ", ".join(metrics) or "nothing"
            raise AenetError(f"a model is registered with {events.CHAMPION_METRIC}, got {given}")
        verify_folder(folder)
        held = self._folder / "pending" / uuid.uuid4().hex
        keep(folder, held)
        number = uuid.uuid4().hex
        self._write(  # always written, even if known: the answer may have changed
            {"event": "register", "id": number, "name": name, "digest": folder_digest(folder), "passed": passed,
             "metrics": {key: float(value) for key, value in metrics.items()}, "measured_on": measured_on,
             **self._places(held, folder)}
        )  # fmt: skip
        answer = self._folder / "answers" / f"{number}.json"
        if self._follower is not None and self._follower.wait_for(answer):
            record = events.read_small_json(answer)
            return Registration(record.get("version"), record.get("champion"), str(record.get("reason", "")))
        return Registration(None, None, "the model registry has not answered yet: `aenet sync` sends the model")

    def _file(self, folder: str, name: str, path: Path, to_parent: bool) -> None:
        if self._writer is not None:
            held = self._folder / folder / name
            event = {"event": "artifact", "digest": keep(path, held), "folder": folder, "parent": to_parent}
            self._write({**event, "name": name, **self._places(held, path)})

    def _places(self, held: Path, path: Path) -> events.Event:
        """Return where a copy is kept until it is sent, and where it came from: a later store may get it from there."""
        return {"file": held.relative_to(self._folder).as_posix(), "origin": str(path.absolute())}

    def _is_news(self, name: str, step: int, value: float) -> bool:
        if (name, step) not in self._points:
            return True
        known = self._points[name, step]
        same = known == value or (math.isnan(known) and math.isnan(value))
        return not same and not any(word in name for word in _MACHINE)

    def _write(self, event: events.Event) -> bool:
        if self._writer is None or _identity(event) in self._known:
            return False
        self._known.add(_identity(event))
        self._new += 1
        self._writer.append({**event, "time": now()})
        return True

    def close(self, status: str, reason: str = "") -> None:
        """End the session as FINISHED, FAILED or KILLED and let the follower finish."""
        if self._writer is None:
            return
        self._writer.append(
            {"event": "end", "session": self._session, "status": status, "reason": reason, "new": self._new,
             "time": now()}
        )  # fmt: skip
        self._writer.close()
        if self._follower is None:
            return
        state = self._follower.finish() if status != "KILLED" else self._follower.finish(5)
        if status == "KILLED":
            self._follower.stop()
        if state == "lost":
            log.warning("MLflow was not reached (%s); the records are safe: send them with `aenet sync`.",
                        self._follower.detail)  # fmt: skip
        elif state == "ended" or (state != "done" and status == "KILLED"):
            log.warning("MLflow has not got all of this run (%s); the records are safe: send them with `aenet sync`.",
                        self._follower.detail)  # fmt: skip
        elif state != "done":
            log.warning("MLflow is still receiving this run's files; that goes on in the background.")


def _identity(event: events.Event) -> str:
    """Return what makes an event the same as another: all but its time and the places of its copies."""
    held = events.recorded(event).items()
    return repr(sorted((key, repr(value)) for key, value in held if key not in {"time", "file", "origin"}))


def now() -> int:
    """Return the time in milliseconds, as MLflow counts it."""
    return int(time.time() * 1000)
