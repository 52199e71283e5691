"""Commands of `aenet` as benchmarks run them."""

import subprocess
import sys

from aenet.io.errors import AenetError


def aenet(*words: object) -> None:
    """Run a command; its own words go to the terminal.

    Raises:
        AenetError: it did not end well.
    """
    ended = subprocess.run([sys.executable, "-m", "aenet", *map(str, words)], check=False, stdout=sys.stderr)
    if ended.returncode:
        raise AenetError(f"`aenet {' '.join(map(str, words[:2]))} ...` ended with status {ended.returncode}")
