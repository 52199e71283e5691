"""What Python's audit events tell of requests, and of files opened that nobody has to do with."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

SECRET = b"a secret of this machine"
_ASKS = (
    "socket.connect",
    "socket.getaddrinfo",
    "socket.gethostbyname",
    "urllib.Request",
    "subprocess.Popen",
    "pickle.find_class",
)
_THEIRS = ("/etc/passwd", "/dev/zero", "secret")
_watchers: list[list[str]] = []


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    for seen in _watchers:
        if event in _ASKS:
            seen.append(f"{event} {arguments[:2]}")
        elif event == "open" and str(arguments[0]).endswith(_THEIRS):
            seen.append(f"{event} {arguments[0]}")


sys.addaudithook(_hook)  # hooks cannot be removed: this one sleeps


@contextmanager
def watching() -> Iterator[list[str]]:
    """Collect what is asked of the network or opened of others' files meanwhile."""
    _watchers.append(seen := [])
    try:
        yield seen
    finally:
        _watchers.remove(seen)
