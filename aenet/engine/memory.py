"""What the C library does with memory that a training step gives back."""

import ctypes
import sys

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3  # <malloc.h>
_LARGEST_MMAP_THRESHOLD = 32 << 20  # glibc takes no more on 64 bits


def keep_freed_memory() -> bool:
    """Let glibc keep what a step frees for the next step instead of giving it back to the system; True if it will.

    Activations come and go by the gigabyte. By default glibc returns each time what is free at the top of its heap, and
    the next step has every page of it mapped and cleared again: on the town's network a quarter of a training's time
    (`python benchmarks/allocation.py`). Elsewhere than on glibc nothing happens.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:  # musl has none
        return False
    settings = {_MMAP_THRESHOLD: _LARGEST_MMAP_THRESHOLD, _TRIM_THRESHOLD: 2**31 - 1, _TOP_PAD: 64 << 20}
    done = [mallopt(option, value) for option, value in settings.items()]  # each, whatever the others answer
    return all(done)
