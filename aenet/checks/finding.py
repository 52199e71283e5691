"""One thing the doctor looked at."""

from dataclasses import dataclass
from importlib import metadata
from typing import Literal

State = Literal["ok", "warn", "broken"]
INSTALL = "pip install -c constraints.txt -e ."


@dataclass(frozen=True)
class Finding:
    """One thing looked at: its state, what was found, and how to mend it (empty where nothing is wrong)."""

    state: State
    subject: str
    detail: str
    mend: str = ""


def installed(name: str) -> bool:
    """Return whether a distribution is installed."""
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True
