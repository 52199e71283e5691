"""What memory a step of a benchmark needs: anonymous pages, which must be in RAM, apart from those of mapped files."""

import ctypes
import re
import threading
from pathlib import Path

_EVERY_S = 0.01


class Peak:
    """The most memory of the process while a `with` block ran, read from Linux's /proc every hundredth of a second.

    Attributes:
        anonymous_mb: heap, arrays, stacks.
        mapped_mb: pages of files, shared libraries among them.
    """

    def __init__(self) -> None:
        """Nothing was seen yet."""
        self.anonymous_mb = self.mapped_mb = 0.0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "Peak":
        """Start to watch; what the process has freed is given back first."""
        ctypes.CDLL(None).malloc_trim(0)
        self._look()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop to watch."""
        self._done.set()
        self._thread.join()
        self._look()

    def __str__(self) -> str:
        """Return both figures."""
        return f"at most {self.anonymous_mb:,.0f} MB anonymous, {self.mapped_mb:,.0f} MB of mapped files"

    def _watch(self) -> None:
        while not self._done.wait(_EVERY_S):
            self._look()

    def _look(self) -> None:
        status = Path("/proc/self/status").read_text()
        kilobytes = {name: int(value) for name, value in re.findall(r"Rss(Anon|File):\s+(\d+)", status)}
        self.anonymous_mb = max(self.anonymous_mb, kilobytes["Anon"] / 1024)
        self.mapped_mb = max(self.mapped_mb, kilobytes["File"] / 1024)
