"""Turn the events of one journal into MLflow calls, in order, each at most once."""

import json
import logging
import math
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any

from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunInfo, RunTag
from mlflow.exceptions import MlflowException

from aenet.io.atomic import write_json
from aenet.io.errors import AenetError, CorruptArtifact
from aenet.io.redaction import clean, without_secrets
from aenet.tracking import located, registry
from aenet.tracking import store as runs
from aenet.tracking.address import Cursor, read_cursor, write_cursor
from aenet.tracking.events import EVENTS, Event, last_session, read_events, remove
from aenet.tracking.store import Store

log = logging.getLogger("aenet.tracking")

BATCH = 1000  # metrics in one call: MLflow's own limit
_NOT_SENT = "aenet.not_sent"  # a run's tag
_OUR_FAULT = {"INVALID_PARAMETER_VALUE", "BAD_REQUEST", "RESOURCE_ALREADY_EXISTS", "RESOURCE_DOES_NOT_EXIST"}


class Sender:
    """Sends one journal to one store. Only one may exist for a journal at a time (the sender's lock).

    Attributes:
        refused: a sentence for each event that had to be passed over; the next sender tries those again.
    """

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
        known = not created and cursor.run_id in {"", self.run_id}
        self._offset, self._to_try_again = (cursor.offset, cursor.left) if known else (0, ())
        self._left: list[int] = []
        self.refused: list[str] = []
        self._before: RunInfo | None = None  # the run before this session
        self.ended: dict[str, str] = {}  # session -> status
        self._metrics: list[tuple[int, Metric]] = []  # each with where its event begins

    def drain(self, until: float = math.inf) -> int:
        """Send all whole events not sent yet; return how many there were.

        Args:
            until: time in milliseconds; later events wait.

        Raises:
            MlflowException, OSError: the store does not answer; nothing is lost, call again.
        """
        self._try_again()
        count, begin = 0, self._offset
        for event, offset in read_events(self.folder, self._offset):
            if event.get("time", 0) > until:
                break
            if event["event"] == "metrics":
                self._metrics += [(begin, metric) for metric in _as_metrics(event)]
            if event["event"] != "metrics" or len(self._metrics) >= BATCH:
                self._flush()
                self._send(event, begin)
                self._remember(offset)
            count, last, begin = count + 1, offset, offset
        if count:
            self._flush()
            self._remember(last)
        return count

    def _try_again(self) -> None:
        """Send what earlier senders had to pass over; once a sender."""
        waiting, self._to_try_again = self._to_try_again, ()
        for at, begin in enumerate(waiting):
            event, _ = next(read_events(self.folder, begin), (None, begin))
            if event is not None and event["event"] != "end":
                self._to_try_again = waiting[at:]  # should the store fail now
                self._metrics = (
                    [(begin, metric) for metric in _as_metrics(event)] if event["event"] == "metrics" else []
                )
                self._flush()
                self._send(event, begin, again=True)
        self._to_try_again = ()
        if waiting:
            self._remember(self._offset)
            if not self._left:
                with suppress(MlflowException):
                    self.store.client.delete_tag(self.run_id, _NOT_SENT)

    def _remember(self, offset: int) -> None:
        self._offset = offset
        left = tuple(sorted({*self._left, *self._to_try_again}))
        write_cursor(self.folder, self.store.uri, Cursor(offset, self.run_id, left))

    def _flush(self) -> None:
        for begin in range(0, len(self._metrics), BATCH):
            batch = self._metrics[begin : begin + BATCH]
            try:
                self.store.client.log_batch(self.run_id, metrics=[metric for _, metric in batch])
            except MlflowException as error:
                if error.error_code not in _OUR_FAULT:
                    raise
                self._one_by_one(batch)
        self._metrics = []

    def _one_by_one(self, batch: list[tuple[int, Metric]]) -> None:
        for begin, metric in batch:
            try:
                self.store.client.log_batch(self.run_id, metrics=[metric])
            except MlflowException as error:
                if error.error_code not in _OUR_FAULT:
                    raise
                self._pass_over(f"metric {metric.key}", begin, error)

    def _send(self, event: Event, begin: int, again: bool = False) -> None:
        kind = "description" if again and event["event"] == "start" else event["event"]  # not to be reopened
        try:
            getattr(self, f"_on_{kind}", self._skip)(event)
        except (MlflowException, AenetError) as error:  # the second: a file it names is gone, or is none to send
            if isinstance(error, MlflowException) and error.error_code not in _OUR_FAULT:
                raise
            if not (isinstance(error, CorruptArtifact) and self._is_replaced(event, begin)):
                self._pass_over(event["event"], begin, error)

    def _pass_over(self, what: str, begin: int, error: Exception) -> None:
        """Leave an event the store will not take: it must not block those behind it."""
        said = without_secrets(f"{what}: {error}")
        log.warning("%s: not sent: %s", self.folder.name, said)
        self.refused.append(said)
        self._left.append(begin)
        self.store.client.set_tag(self.run_id, _NOT_SENT, said[:500])

    def _is_replaced(self, event: Event, begin: int) -> bool:
        """Whether a later event puts another file in the place of this one's."""
        keys = ("event", "name", "folder", "parent")
        place = [event.get(key) for key in keys]
        after = (other for other, end in read_events(self.folder, begin) if other["event"] == "artifact")
        return event["event"] == "artifact" and [[o.get(key) for key in keys] for o in after].count(place) > 1

    def _on_start(self, event: Event) -> None:
        run = self.store.client.get_run(self.run_id)
        self._before = run.info
        runs.reopen(self.store, self.run_id)
        self._on_description(event)

    def _on_description(self, event: Event) -> None:
        run = self.store.client.get_run(self.run_id)
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
        target = self._target(event)
        with located.artifact(self.folder, self.store.uri, event) as file:
            if file.is_dir():
                self.store.client.log_artifacts(target, str(file), event["folder"] or None)
            else:
                self.store.client.log_artifact(target, str(file), event["folder"] or None)
        self._drop_copy(event)

    def _drop_copy(self, event: Event) -> None:
        """Remove the journal's copy of what a store has now."""
        kind, *rest = PurePosixPath(event["file"]).parts
        if kind == "pending" and rest and ".." not in rest and not (self.folder / kind).is_symlink():
            remove(self.folder / kind / rest[0])

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
        number = str(event["id"])
        if not number.isalnum():
            raise CorruptArtifact(f"{self.folder / EVENTS} names the answer {number[:80]!r}, which is no number")
        with located.model(self.folder, self.store.uri, event) as folder:
            answer = registry.register(self.store, self.run_id, folder, event)
        write_json(self.folder / "answers" / f"{number}.json", clean(answer))
        self._drop_copy(event)

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
            known = self.store.client.get_run(parent).info.end_time or 0  # journals come in any order
            self.store.client.set_terminated(parent, "FINISHED", None if time is None else max(known, time))

    def _target(self, event: Event) -> str:
        start = last_session(self.folder)
        parent = runs.parent_of(self.store, start) if start and event.get("parent") else None
        return parent or self.run_id


def _as_metrics(event: Event) -> Iterable[Metric]:
    values: dict[str, Any] = event["values"]
    return [Metric(key, float(value), event["time"], event["step"]) for key, value in values.items()]
