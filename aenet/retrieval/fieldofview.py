"""A limited field of view on the full-width view that networks with fixed inputs take.

**Conventions.** A view of W columns covers the whole circle: column 0 begins in the south, W/4 is west, the centre W/2
north, 3W/4 east; azimuth = 180 + 360 column / W, clockwise. Feature i of a map of w covers the columns i W/w to
(i + 1) W/w. Columns that were not seen are painted, and the comparison (`azimuth`) leaves their features out.
"""

from typing import Literal, assert_never

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

Paint = Literal["network_mean", "view_mean", "edge"]
"""What stands where nothing was seen: the colour that normalisation makes zero, the mean of what the view shows (as
augmentation paints it in training), or the nearest column that was seen."""


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
    paint: Paint,
    network_mean: UInt8[np.ndarray, "3"],
) -> UInt8[np.ndarray, "n h width 3"]:
    """Return views turned so that what stood `turns` columns right of the centre stands in it, unseen columns painted.

    A north-centred panorama turned by W / 4 is that of a camera headed east: 360 turn / W degrees.

    Args:
        columns: which columns of the result were seen.
        network_mean: the colour of `paint: network_mean`.
    """
    count, height, width = views.shape[:3]
    source = nearest_seen(columns) if paint == "edge" else np.arange(width)
    places = np.broadcast_to((source + turns[:, None]) % width, (count, width))
    turned = np.moveaxis(views, 2, 1)[np.arange(count)[:, None], places]  # [n, width, h, 3]
    hidden = np.broadcast_to(~columns, places.shape)
    match paint:
        case "network_mean":
            turned[hidden] = network_mean
        case "view_mean":
            total = np.einsum("nwhc,nw->nc", turned, (~hidden).astype(np.float32))
            mean = np.rint(total / (height * (~hidden).sum(1, keepdims=True))).astype(np.uint8)
            turned[hidden] = np.broadcast_to(mean[:, None, None], turned.shape)[hidden]
        case "edge":
            pass  # taken from there
        case _:
            assert_never(paint)
    return np.ascontiguousarray(np.moveaxis(turned, 1, 2))


def nearest_seen(columns: Bool[np.ndarray, "n width"]) -> Int[np.ndarray, "n width"]:
    """Return the nearest seen column of each, around the circle; the left one of two as near."""
    width = columns.shape[1]
    around, place = np.tile(columns, 3), np.arange(3 * width)
    left = np.maximum.accumulate(np.where(around, place, -width), axis=1)
    right = np.minimum.accumulate(np.where(around, place, 4 * width)[:, ::-1], axis=1)[:, ::-1]
    nearest = np.where(place - left <= right - place, left, right)
    return np.asarray(nearest[:, width : 2 * width] % width)
