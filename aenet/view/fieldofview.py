"""A limited field of view on the full-width view that networks with fixed inputs take.

**Conventions.** A view of W columns covers the whole circle: column 0 begins in the south, W/4 is west, the centre W/2
north, 3W/4 east; azimuth = 180 + 360 column / W, clockwise. Feature i of a map of w covers the columns i W/w to
(i + 1) W/w. Columns that were not seen are painted, and the comparison (`azimuth`) leaves their features out.
"""

from typing import assert_never

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from aenet.view.spec import Unseen


def seen(width: int, fov_deg: float, centre: int) -> Bool[np.ndarray, " width"]:
    """Return which of `width` columns a field of view around column `centre` keeps: fov / 360 of them, at least one.

    An even number of columns reaches as far to the left of the edge before column `centre` as to its right.
    """
    kept = min(width, max(1, round(fov_deg / 360 * width)))
    out = np.zeros(width, dtype=bool)
    out[(centre - kept // 2 + np.arange(kept)) % width] = True
    return out


def feature_weights(columns: Bool[np.ndarray, " width"], features: int) -> Float[np.ndarray, " w"]:
    """Return the share of each feature's columns that were seen, in 0..1."""
    edges = np.linspace(0, len(columns), features + 1)
    total = np.interp(edges, np.arange(len(columns) + 1), np.concatenate([[0], np.cumsum(columns)]))
    return np.asarray(np.diff(total) * features / len(columns), dtype=np.float32)


def look(
    views: UInt8[np.ndarray, "n h width 3"],
    turns: Int[np.ndarray, " n"],
    columns: Bool[np.ndarray, "#n width"],
    unseen: Unseen,
) -> UInt8[np.ndarray, "n h width 3"]:
    """Return views turned so that what stood `turns` columns right of the centre stands in it, the rest painted.

    A north-centred panorama turned by W / 4 is that of a camera headed east: 360 turn / W degrees.

    Args:
        columns: which columns of the result were seen.
    """
    count, _, width = views.shape[:3]
    places = (np.arange(width) + turns[:, None]) % width
    turned = np.take_along_axis(views, places[:, None, :, None], axis=2)
    return paint(turned, np.broadcast_to(columns[:, None], (count, 1, width)), unseen)


def paint(
    views: UInt8[np.ndarray, "n h width 3"], seen: Bool[np.ndarray, "n #h width"], unseen: Unseen
) -> UInt8[np.ndarray, "n h width 3"]:
    """Return views with what was not seen painted: the one door of training's, evaluation's and serving's views.

    Of each view something must have been seen; where nothing was, its pixels are any.
    """
    match unseen.rule:
        case "network_mean":
            return np.where(seen[..., None], views, np.array(unseen.colour, np.uint8))
        case "view_mean":
            weight = np.broadcast_to(seen, views.shape[:3]).astype(np.float32)
            total = np.einsum("nhwc,nhw->nc", views, weight, dtype=np.float64)
            mean = np.rint(total / np.maximum(weight.sum((1, 2), dtype=np.float64), 1)[:, None]).astype(np.uint8)
            return np.where(seen[..., None], views, mean[:, None, None])
        case "edge":
            if seen.shape[1] > 1:  # some rows of a column only: its nearest first
                rows = _nearest(np.moveaxis(seen, 1, 2))
                views = np.take_along_axis(views, np.moveaxis(rows, 2, 1)[..., None], axis=1)
            return np.take_along_axis(views, nearest_seen(np.asarray(seen.any(1)))[:, None, :, None], axis=2)
        case _:
            assert_never(unseen.rule)


def nearest_seen(columns: Bool[np.ndarray, "n width"]) -> Int[np.ndarray, "n width"]:
    """Return the nearest seen column of each, around the circle; the left one of two as near."""
    width = columns.shape[1]
    return np.asarray(_nearest(np.tile(columns, 3))[:, width : 2 * width] % width)


def _nearest(seen: Bool[np.ndarray, "... k"]) -> Int[np.ndarray, "... k"]:
    """Return the nearest place along the last axis that was seen, the first of two as near; 0 where none was."""
    count, place = seen.shape[-1], np.arange(seen.shape[-1])
    before = np.maximum.accumulate(np.where(seen, place, -count), axis=-1)
    after = np.minimum.accumulate(np.where(seen, place, 2 * count)[..., ::-1], axis=-1)[..., ::-1]
    nearest = np.where(place - before <= after - place, before, after)
    return np.where(seen.any(-1, keepdims=True), nearest, 0)
