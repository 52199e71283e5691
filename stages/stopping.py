"""SIGTERM and Ctrl-C during a training: a request that the loop answers with a checkpoint."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from aenet.training import Stop

DEADLINE_S = 4.5  # from the signal to the end of the process, come what may
_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def stop_on_signals() -> Iterator[Stop]:
    """Yield what to hand to `train`; within the block signals ask it to stop, a second one ends the process."""
    stop = Stop(DEADLINE_S)

    def ask(signum: int, frame: FrameType | None) -> None:
        del frame
        stop.request(signum)

    before = {number: signal.signal(number, ask) for number in _SIGNALS}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
