"""Turn the events of one journal into MLflow calls, in order, each at most once."""

import json
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunInfo, RunTag
from mlflow.exceptions import MlflowException

from aenet.atomic import write_json
from aenet.errors import CorruptArtifact
from aenet.nolinks import listed_tree
from aenet.tracking import registry, runs
from aenet.tracking.events import EVENTS, Cursor, Event, last_session, read_cursor, read_events, write_cursor
from aenet.tracking.keep import remove
from aenet.tracking.store import Store

log = logging.getLogger("aenet.tracking")

BATCH = 1000  # metrics in one call: MLflow's own limit
_OUR_FAULT = {"INVALID_PARAMETER_VALUE", "BAD_REQUEST", "RESOURCE_ALREADY_EXISTS", "RESOURCE_DOES_NOT_EXIST"}


class Sender:
    """Sends one journal to one store. Only one may exist for a journal at a time (the sender's lock)."""

    def __init__(self, folder: Path, store: Store) -> None:
        """Find or create the run of the journal.

        Raises:
            LookupError: the journal has no `start` event.
        """
        start = last_session(folder)
        if start is None:
            raise LookupError(f"{folder} has no run")
        self.folder, self.store = folder, store
        cursor = read_cursor(folder, store.uri)
        self.run_id, created = runs.find_or_create(store, start, cursor.run_id)
        # A run the store does not know (a new store, or one deleted by hand) gets everything again.
        self._offset = 0 if created or cursor.run_id not in {"", self.run_id} else cursor.offset
        self._before: RunInfo | None = None  # the run before this session
        self.ended: dict[str, str] = {}  # session -> status
        self._metrics: list[Metric] = []

    def drain(self) -> int:
        """Send all whole events not sent yet; return how many there were.

        Raises:
            MlflowException, OSError: the store does not answer; nothing is lost, call again.
        """
        count = 0
        for event, offset in read_events(self.folder, self._offset):
            if event["event"] == "metrics":
                self._metrics += _as_metrics(event)
            if event["event"] != "metrics" or len(self._metrics) >= BATCH:
                self._flush()
                self._send(event)
                self._remember(offset)
            count, last = count + 1, offset
        if count:
            self._flush()
            self._remember(last)
        return count

    def _remember(self, offset: int) -> None:
        self._offset = offset
        write_cursor(self.folder, self.store.uri, Cursor(offset, self.run_id))

    def _flush(self) -> None:
        for begin in range(0, len(self._metrics), BATCH):
            self.store.client.log_batch(self.run_id, metrics=self._metrics[begin : begin + BATCH])
        self._metrics = []

    def _send(self, event: Event) -> None:
        try:
            getattr(self, f"_on_{event['event']}", self._skip)(event)
        except (MlflowException, CorruptArtifact) as error:  # the second: a file it names is gone, or is none to send
            if isinstance(error, MlflowException) and error.error_code not in _OUR_FAULT:
                raise
            # One event the store will never take must not block those behind it.
            log.warning("%s: skipped %s: %s", self.folder.name, event["event"], error)
            self.store.client.set_tag(self.run_id, "aenet.not_sent", f"{event['event']}: {error}"[:500])

    def _on_start(self, event: Event) -> None:
        run = self.store.client.get_run(self.run_id)
        self._before = run.info
        runs.reopen(self.store, self.run_id)
        missing = {key: value for key, value in event["params"].items() if key not in run.data.params}
        changed = [key for key, value in event["params"].items() if run.data.params.get(key, value) != value]
        tags = {**event["tags"], **({"aenet.params_changed": ", ".join(changed)} if changed else {})}
        self.store.client.log_batch(
            self.run_id,
            params=[Param(*item) for item in missing.items()],
            tags=[RunTag(*item) for item in tags.items()],
        )

    def _on_metrics(self, event: Event) -> None:
        """Already in the batch."""

    def _on_artifact(self, event: Event) -> None:
        file = listed_tree(self.folder, event["file"], EVENTS)
        target = self._target(event)
        if file.is_dir():
            self.store.client.log_artifacts(target, str(file), event["folder"] or None)
        else:
            self.store.client.log_artifact(target, str(file), event["folder"] or None)
        if event["file"].startswith("pending/"):
            remove(file.parent)

    def _on_table(self, event: Event) -> None:
        # MLflow's own `log_table` appends to a table that is there; a table sent twice must stay one.
        target = self._target(event)
        self.store.client.log_text(target, event["text"], event["name"])
        known = json.loads(self.store.client.get_run(target).data.tags.get("mlflow.loggedArtifacts", "[]"))
        entry = {"path": event["name"], "type": "table"}
        if entry not in known:
            self.store.client.set_tag(target, "mlflow.loggedArtifacts", json.dumps([*known, entry]))

    def _on_dataset(self, event: Event) -> None:
        source = json.dumps({"uri": event["source"]})
        profile = json.dumps({"num_rows": event["n_rows"]})
        data = Dataset(event["name"][:500], event["digest"][:36], "local", source, profile=profile)
        tags = [InputTag("mlflow.data.context", event["context"])]
        self.store.client.log_inputs(self.run_id, [DatasetInput(data, tags)])

    def _on_register(self, event: Event) -> None:
        folder, number = listed_tree(self.folder, event["file"], EVENTS), str(event["id"])
        if not number.isalnum():
            raise CorruptArtifact(f"{self.folder / EVENTS} names the answer {number[:80]!r}, which is no number")
        answer = registry.register(self.store, self.run_id, folder, event)
        write_json(self.folder / "answers" / f"{number}.json", answer)
        remove(folder)

    def _on_end(self, event: Event) -> None:
        self.ended[event["session"]] = event["status"]
        before = self._before
        nothing_new = not event["new"] and before is not None and before.status == "FINISHED"
        self.finish(event["status"], before.end_time if before and nothing_new else event["time"])
        if event["reason"]:
            self.store.client.set_tag(self.run_id, "aenet.failure", event["reason"])

    def _skip(self, event: Event) -> None:
        log.warning("%s: unknown event %s", self.folder.name, event["event"])

    def finish(self, status: str, time: int | None = None) -> None:
        """End the run, and the parent run of its group."""
        self.store.client.set_terminated(self.run_id, status, time)
        start = last_session(self.folder)
        if start and (parent := runs.parent_of(self.store, start)):
            self.store.client.set_terminated(parent, "FINISHED", time)

    def _target(self, event: Event) -> str:
        start = last_session(self.folder)
        parent = runs.parent_of(self.store, start) if start and event.get("parent") else None
        return parent or self.run_id


def _as_metrics(event: Event) -> Iterable[Metric]:
    values: dict[str, Any] = event["values"]
    return [Metric(key, float(value), event["time"], event["step"]) for key, value in values.items()]
