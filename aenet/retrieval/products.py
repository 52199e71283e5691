"""Inner products in float32 whose rounding is bounded, and the same in float64 where that is not enough.

What a matrix product in float32 gives for two rows depends on where they stand in it: kernels for edges, for few
rows and for one row add in other orders. At 81,920 dimensions equal descriptors came out 5e-5 apart, at 1,280 and
even within one product 1.1e-6 (OpenBLAS 0.3, several kernels). So nothing here relies on equal rounding.
"""

import math

import numpy as np
from jaxtyping import Float, Float64

from aenet.retrieval.rowblocks import rows_within, slices

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
