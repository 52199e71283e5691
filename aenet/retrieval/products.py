"""Inner products in float32 whose rounding is bounded, and the same in float64 where that is not enough.

What a matrix product in float32 gives for two rows depends on where they stand in it: kernels for edges, for few
rows and for one row add in other orders. At 81,920 dimensions equal descriptors came out 5e-5 apart, at 1,280 and
even within one product 1.1e-6 (OpenBLAS 0.3, several kernels). So nothing here relies on equal rounding.
"""

import math
import mmap
from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, Float64, Int

from aenet.io.errors import AenetError

# Descriptors a block at a time, also those that lie in a file and not in memory.
#
# Pages of a memory map count as the process's memory once they are touched, and the kernel lets go of them when it
# likes. So a block of a mapped array is copied in steps, and the pages behind each step are given back at once.

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


UNIT = 2.0**-24
"""Half the distance from 1 to the next float32: the relative error of one rounding."""
DEPTH = 2048  # dimensions added up at once: fewer bound the rounding closer, more are faster
_GATHER_BYTES = 16 * 2**20


def products(
    left: Float[np.ndarray, "n d"], right: Float[np.ndarray, "m d"], dtype: type[np.floating] = np.float32
) -> Float[np.ndarray, "n m"]:
    """Return all inner products in `dtype`, in steps of dimensions; `rounding` bounds their error in float32."""
    depth = DEPTH if dtype is np.float32 else DEPTH // 4  # copies in another type are kept small
    out = _step(left, right, slice(0, depth), dtype)
    for start in range(depth, left.shape[1], depth):
        out += _step(left, right, slice(start, start + depth), dtype)
    return out


def _step(left: np.ndarray, right: np.ndarray, part: slice, dtype: type[np.floating]) -> np.ndarray:
    return np.asarray(left[:, part].astype(dtype, copy=False) @ right[:, part].astype(dtype, copy=False).T)


def rounding(dimensions: int, depth: int = DEPTH) -> float:
    """Return the largest error of `products` in float32 for unit rows, whatever the order in which they are added.

    A sum of n products is off by at most n u / (1 - n u) of the sum of their magnitudes (Higham, Accuracy and
    Stability of Numerical Algorithms, 2002, section 3.1), which for unit rows is at most 1 (Cauchy and Schwarz).
    """
    terms = min(dimensions, depth) + math.ceil(dimensions / depth)
    return terms * UNIT / (1 - terms * UNIT)


def pair_products(left: Float[np.ndarray, "p d"], right: Float[np.ndarray, "p d"]) -> Float64[np.ndarray, " p"]:
    """Return the inner product of row i with row i in float64, a few rows at a time."""
    out = np.empty(len(left), np.float64)
    for part in slices(len(left), rows_within(_GATHER_BYTES, left)):
        out[part] = np.einsum("pd,pd->p", left[part], right[part], dtype=np.float64)
    return out
