"""How many cores there are to work with."""

import os


def usable_cores() -> int:
    """Return how many cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):  # Linux; it knows of containers and taskset
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
