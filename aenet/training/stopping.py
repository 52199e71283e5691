"""Being told to stop: the training ends between two steps, and never later than a few seconds from now."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Stopped(Exception):
    """The training was told to stop, and its checkpoint is written.

    Attributes:
        signal: the number of the signal that said so.
    """

    def __init__(self, signal: int) -> None:
        super().__init__(f"stopped by signal {signal}; the same command goes on from the checkpoint")
        self.signal = signal


class Stop:
    """A request to stop, made by a signal handler and seen by the loop.

    A step, a validation or mining hard negatives can take longer than a scheduler waits. So a request may have a
    deadline: half of it passed without a checkpoint, a thread writes the state before what is under way (which changes
    nothing of it until its very end); all of it passed, it ends the process.

    Attributes:
        signal: the signal asked with; 0 while nobody asked.
        lock: held by whoever changes or writes the state.
    """

    def __init__(self, deadline_s: float | None = None) -> None:
        self.signal = 0
        self.lock = threading.RLock()
        self._deadline_s = deadline_s
        self._save: Callable[[], None] | None = None

    def request(self, signal: int) -> None:
        """Ask to stop; asked again, the process ends at once."""
        if self.signal:
            os._exit(128 + signal)
        self.signal = signal
        if self._deadline_s is not None:
            threading.Thread(target=self._watch, args=(self._deadline_s,), daemon=True).start()

    @contextmanager
    def saving(self, save: Callable[[], None]) -> Iterator[None]:
        """Within the block, `save` writes the state before what is under way."""
        self._save = save
        try:
            yield
        finally:
            self._save = None

    def saved(self) -> None:
        """Say that the checkpoint is written."""
        self._save = None

    def _watch(self, deadline_s: float) -> None:
        asked = time.monotonic()
        time.sleep(deadline_s / 2)
        try:
            with self.lock:
                if self._save is not None:
                    self._save()
                    os._exit(128 + self.signal)
            time.sleep(max(0.0, asked + deadline_s - time.monotonic()))
        finally:
            os._exit(128 + self.signal)
