"""Writes and reads a training's whole state, in step with all processes or, when time is short, without them."""

from pathlib import Path
from typing import Any

from aenet.engine import rng
from aenet.engine.checkpoints import read_checkpoint, read_file, write_checkpoint
from aenet.engine.engine import Engine
from aenet.engine.position import Position
from aenet.engine.stopping import Stop, Stopped


class Keeper:
    """The checkpoints of one training in one folder, which all processes see and the main one writes."""

    def __init__(self, folder: Path, engine: Engine, position: Position, stop: Stop) -> None:
        self.folder = folder
        self._engine, self._position, self._stop = engine, position, stop

    def save(self) -> None:
        """Write the state as it is; to be called by all processes at the same step."""
        states = self._engine.processes.collect(rng.capture())
        if self._engine.processes.main:
            self._write(states)

    def save_late(self) -> None:
        """Write the state before the step under way, from another thread; the other processes are not asked."""
        if self._engine.processes.main:
            guard = self._engine.guard
            self._write([guard.rng if guard.under_way else rng.capture()])

    def load(self) -> None:
        """Go on from the newest checkpoint, if there is one."""
        processes = self._engine.processes
        found = read_checkpoint(self.folder) if processes.main else None
        path = processes.from_main(lambda: None if found is None else found[0])
        if path is None:
            return
        content = found[1] if found is not None else read_file(path)
        self._engine.load_state_dict(content["engine"])
        self._position.load_state_dict(content["position"])
        if processes.rank < len(content["rng"]):
            rng.restore(content["rng"][processes.rank])

    def stop_if_asked(self) -> None:
        """Write a checkpoint and stop, if any process was asked to.

        Raises:
            Stopped: with the signal's number.
        """
        signal = self._engine.processes.largest(self._stop.signal)
        if signal:
            with self._stop.lock:
                self.save()
                self._stop.saved()
            raise Stopped(signal)

    def _write(self, states: list[dict[str, Any]]) -> None:
        step = self._position.epoch * self._engine.steps + self._position.step
        content = {"engine": self._engine.state_dict(), "position": self._position.state_dict(), "rng": states}
        write_checkpoint(self.folder, step, content)
