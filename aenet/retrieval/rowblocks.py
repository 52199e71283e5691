"""Descriptors a block at a time, also those that lie in a file and not in memory.

Pages of a memory map count as the process's memory once they are touched, and the kernel lets go of them when it
likes. So a block of a mapped array is copied in steps, and the pages behind each step are given back at once.
"""

import mmap
from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, Int

from aenet.errors import AenetError

_STEP_BYTES = 32 * 2**20


def is_mapped(array: np.ndarray) -> bool:
    """Return whether the array's data are pages of a file (`np.memmap`, or any view of one)."""
    return _mapping(array) is not None


def take(array: Float[np.ndarray, "n d"], rows: slice | Int[np.ndarray, " m"]) -> Float[np.ndarray, "m d"]:
    """Return rows of `array`: a view where a slice of memory is asked for, else a copy.

    Reading a mapped array leaves at most 32 MiB (or one row) of its pages in memory, at any moment, beside the copy.
    """
    if not is_mapped(array):
        return array[rows]
    numbers = np.arange(len(array))[rows]
    out = np.empty((len(numbers), *array.shape[1:]), array.dtype)
    step = rows_within(_STEP_BYTES, array)
    for start in range(0, len(numbers), step):
        part = numbers[start : start + step]
        # A slice reads on; numbers one by one would read the same, slower.
        consecutive = part[-1] - part[0] == len(part) - 1 and bool((np.diff(part) == 1).all())
        out[start : start + step] = array[part[0] : part[-1] + 1] if consecutive else array[part]
        _forget(array)
    return out


def slices(total: int, step: int) -> Iterator[slice]:
    """Yield slices of at most `step` rows that cover `total` rows in order."""
    return (slice(start, min(start + step, total)) for start in range(0, total, step))


def rows_within(bytes_: int, array: np.ndarray) -> int:
    """Return how many rows of `array` fit into so many bytes; at least one."""
    return max(1, bytes_ // max(1, array[:1].nbytes))


def check_descriptors(descriptors: Float[np.ndarray, "n d"], name: str) -> None:
    """Refuse empty and non-finite descriptors; reads all of them once, a step at a time."""
    if len(descriptors) == 0:
        raise AenetError(f"no {name} descriptors: nothing to rank")
    step = rows_within(_STEP_BYTES, descriptors)
    bad = sum(int((~np.isfinite(take(descriptors, part))).any(1).sum()) for part in slices(len(descriptors), step))
    if bad:
        raise AenetError(f"{bad} of {len(descriptors)} {name} descriptors hold NaN or infinity: the model is broken")


def check_block(block: Float[np.ndarray, "m d"], whole: Float[np.ndarray, "n d"], name: str) -> float:
    """Refuse a block with a non-finite descriptor, and say how many of the `whole` are like it.

    A descriptor's norm is finite only where all of it is: one pass over numbers that are at hand anyway.

    Returns:
        The greatest norm in the block, to about 1 %.
    """
    squares = np.einsum("md,md->m", block, block)
    if not np.isfinite(squares).all():
        check_descriptors(whole, name)
    return float(np.sqrt(squares.max()))


def _mapping(array: np.ndarray) -> mmap.mmap | None:
    """Return the file mapping at the bottom of a chain of views."""
    base: object = array
    while isinstance(base, np.ndarray):
        if isinstance(base, np.memmap) and base.mode == "c":
            return None  # private changes would be lost with their pages
        base = base.base
    return base if isinstance(base, mmap.mmap) else None


def _forget(array: np.ndarray) -> None:
    """Give back the pages of a mapped array; the file keeps what was written."""
    mapping = _mapping(array)
    if mapping is not None and hasattr(mapping, "madvise"):  # Windows has none, and trims pages by itself
        mapping.madvise(mmap.MADV_DONTNEED)
