"""Progress of long work: a rich bar on a terminal, one plain line now and then elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

_EVERY_S = 10.0


@contextmanager
def progress(label: str) -> Iterator[Callable[..., None]]:
    """Yield `report(done, total, note="")`, to be called as often as is convenient."""
    if sys.stdout.isatty():
        label_column = TextColumn("{task.description}", markup=False)
        note_column = TextColumn("{task.fields[note]}", markup=False)
        columns = (label_column, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), note_column)
        with Progress(*columns, transient=True) as bar:
            task = bar.add_task(label, total=None, note="")
            yield lambda done, total, note="": bar.update(task, completed=done, total=total, note=note)
        return
    yield _plain(label)


def _plain(label: str) -> Callable[..., None]:
    console, last = Console(highlight=False, markup=False, emoji=False), time.monotonic()
    first: tuple[int, float] | None = None  # work that goes on does not begin at nothing

    def report(done: int, total: int, note: str = "") -> None:
        nonlocal last, first
        now = time.monotonic()
        first = first or (done, now)
        if now - last >= _EVERY_S:
            last = now
            speed = (done - first[0]) / max(now - first[1], 1e-9)
            left = f" {_duration((total - done) / speed)} left," if note and speed > 0 else ""
            console.print(f"{label}: {done}/{total}{left} {note}".rstrip(), soft_wrap=True)

    return report


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}"
