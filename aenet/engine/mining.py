"""What the training pairs look like to the network now, small enough to compare all of them with all.

The paper's descriptor has 81,920 dimensions: for CVUSA's 35,532 pairs that is 23 GB, and 1e14 multiplications to
compare. A sketch of 4,096 dimensions takes 1.2 GB and a twentieth of the work.
"""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from jaxtyping import Float, Int

from aenet.data.sampling import Descriptors
from aenet.data.views import Views
from aenet.engine.sidebyside import one_after_the_other
from aenet.inference.embed import embed
from aenet.nn.branches import TwoBranch, View

Described = Float[np.ndarray, "n d"]
SKETCH = 4096  # descriptors of as many dimensions, or fewer, are compared as they are
_ROWS = 256  # described before they are sketched: 84 MB of the paper's descriptors


def describe_pairs(
    network: TwoBranch,
    views: Views,
    batch_size: int,
    each: Callable[[Callable[[View], Described]], tuple[Described, Described]] = one_after_the_other,
) -> Descriptors:
    """Return the ground and aerial descriptors of all pairs, of at most `SKETCH` dimensions.

    Args:
        each: does the same for both views, one after the other or at the same time.
    """
    rows = -(-_ROWS // batch_size) * batch_size
    packed: dict[View, np.ndarray] = {"ground": views.ground, "aerial": views.aerial}

    def describe(view: View) -> Described:
        branch, pixels = network.branch(view), packed[view]
        device = next(branch.parameters()).device
        starts = range(0, len(pixels), rows)
        return np.concatenate(
            [sketch(embed(branch, pixels[start : start + rows], batch_size, device), SKETCH) for start in starts]
        )

    return each(describe)


def sketch(descriptors: Float[np.ndarray, "n d"], dims: int) -> Float[np.ndarray, "n k"]:
    """Return at most `dims` numbers for each descriptor whose products are those of the descriptors, nearly.

    Each dimension is added, with a random sign, to one of `dims` sums of equal length (count sketch: Charikar, Chen
    and Farach-Colton, ICALP 2002). A product of unit vectors keeps its mean and gets a standard deviation of at most
    sqrt(2 / dims), 0.022 at 4,096. Signs and places are always the same.
    """
    n, d = descriptors.shape
    if d <= dims:
        return descriptors
    order, sign = _places(d, dims)
    padded = np.zeros((n, len(order)), descriptors.dtype)
    np.multiply(descriptors, sign, out=padded[:, :d])
    return np.asarray(padded[:, order].reshape(n, -1, dims).sum(1))


@lru_cache(maxsize=2)
def _places(d: int, dims: int) -> tuple[Int[np.ndarray, " m"], Float[np.ndarray, " d"]]:
    """Order in which dimensions (and the zeros that fill the last sums) are dealt to the sums, and their signs."""
    generator = np.random.default_rng(0)
    sign = (2 * generator.integers(0, 2, d) - 1).astype(np.float32)
    return generator.permutation(-(-d // dims) * dims), sign
