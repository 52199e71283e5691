"""The colour-histogram matcher: the baseline every learned descriptor has to beat.

A view is described by how often each of 8 x 8 x 8 RGB colours occurs in it, and places are ranked by the
Bhattacharyya coefficient of the two histograms. Nothing is learned. With `sectors` above 1 the view is cut
into that many equal slices of azimuth, each with its own histogram, so that colour's layout counts too.
"""

import numpy as np
from jaxtyping import Float32, Float64, UInt8

from aenet.data.views import Views
from aenet.retrieval.recall import Evaluation, score

BINS = 8
SECTORS = 16  # slices of azimuth: a colour histogram that knows which way it looks


def colour_histograms(
    views: UInt8[np.ndarray, "n h w 3"], azimuths: Float64[np.ndarray, "h w"], sectors: int = 1
) -> Float32[np.ndarray, "n d"]:
    """Unit descriptors whose inner product is the (mean) Bhattacharyya coefficient; d = sectors * 512.

    Args:
        azimuths: where each pixel lies around the horizon, in 0..1 (`view.spec`).
    """
    size = BINS**3
    out = np.empty((len(views), sectors * size), np.float32)
    slice_of = (azimuths * sectors).astype(np.int64) * size
    for index, view in enumerate(views):
        level = (view >> 5).astype(np.int64)
        code = level[..., 0] * BINS * BINS + level[..., 1] * BINS + level[..., 2] + slice_of
        counts = np.bincount(code.ravel(), minlength=sectors * size)
        out[index] = np.sqrt(counts / counts.sum())
    return out


def colour_baseline(views: Views, sectors: int = 1, positives_within_m: float | None = None) -> Evaluation:
    """Score the colour histograms of a split's views, cut into so many slices of azimuth; see `recall.score`."""
    ground = colour_histograms(views.ground, views.spec.ground.azimuths(), sectors)
    aerial = colour_histograms(views.aerial, views.spec.aerial.azimuths(), sectors)
    return score(ground, aerial, views, positives_within_m)
