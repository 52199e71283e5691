"""How much of a network's heat falls on what should not matter: measured, not looked at.

Heat H >= 0 on the grid of the feature map is enlarged to the view (bilinear) and divided by its sum, so that each
image counts the same. Nothing is subtracted first: a map that is 1 everywhere with a bump of 0.1 looks everywhere, and
stretching it to 0..1, as pictures are, would hide that. Then for each region of pixels

    heat share = sum of H in the region,   pixel share = the region's share of the view,   ratio = heat / pixel share,

shares averaged over places before they are divided (a place without cars has its say, and nothing is divided by 0).
1 is what a network gets that looks everywhere alike; below 1 it looks away from the region.

Regions: sky, car, pedestrian in the panorama, and from above `unseen`: what the polar view shows and the camera cannot
see. Shares are of pixels of the views, not of square metres.

What the resolution can say: a map of 2 x 8 cells cannot avoid a car without avoiding an eighth of the street. `_least`
and `_most` are the ratios of a network that would put all its heat, in each image, where the enlarged grid meets least
and most of the region; the ratio of no network leaves these limits. A receptive field is wider still than a cell.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float32, Float64, UInt8

from aenet.data.masks import Masks
from aenet.data.views import Views
from aenet.heat.heatmaps import METHODS, attribute
from aenet.io.errors import AenetError
from aenet.nn.branches import TwoBranch

GROUND_REGIONS: Mapping[str, str] = {"sky": "sky", "cars": "car", "pedestrians": "pedestrian"}
RESAMPLES = 2000


def measure_shares(
    network: TwoBranch, views: Views, masks: Masks, batch_size: int, seed: int = 0, resamples: int = RESAMPLES
) -> dict[str, float]:
    """Return shares and ratios of a network's heat on a split, by `summarize`."""
    return summarize(heat_shares(network, views, masks, batch_size), seed, resamples)


def heat_shares(network: TwoBranch, views: Views, masks: Masks, batch_size: int) -> pd.DataFrame:
    """Return one row for each method, region and place.

    Columns: method, region, place (row of the split), heat and pixels (shares, 0..1; heat is NaN where a map has no
    heat at all), least and most (the smallest and greatest heat share that the grid allows).

    Raises:
        AenetError: masks and views are not of the same places and size.
    """
    if masks.labels.shape != views.ground.shape[:3] or masks.visible.shape != views.aerial.shape[:3]:
        raise AenetError(
            f"masks of {masks.labels.shape} and {masks.visible.shape} do not belong to views of "
            f"{views.ground.shape[:3]} and {views.aerial.shape[:3]}: repeat polar_transform"
        )
    heat = attribute(network, views.ground, views.aerial, batch_size)
    frames = []
    for region in (*GROUND_REGIONS, "unseen"):
        view = 1 if region == "unseen" else 0
        if region == "unseen":
            cover = _cover(masks.visible, None, heat["activation"][view].shape[1:])
        else:
            label = masks.labelled(GROUND_REGIONS[region])
            cover = _cover(masks.labels, label, heat["activation"][view].shape[1:])
        for method in METHODS:
            frames.append(_shares(heat[method][view], cover).assign(method=method, region=region))
    return pd.concat(frames, ignore_index=True)[["method", "region", "place", "heat", "pixels", "least", "most"]]


class _Cover(NamedTuple):
    """A region on the grid: of the enlarged heat of one cell, how much there is and how much lies in the region."""

    whole: Float64[np.ndarray, "h w"]
    inside: Float64[np.ndarray, "n h w"]
    pixels: Float64[np.ndarray, " n"]


def _cover(masks: UInt8[np.ndarray, "n height width"], label: int | None, grid: tuple[int, ...]) -> _Cover:
    """Cover of a class, or without `label` of what is missing to full visibility (255)."""
    down, across = enlargement(grid[0], masks.shape[1]), enlargement(grid[1], masks.shape[2])
    inside, pixels = np.empty((len(masks), *grid)), np.empty(len(masks))
    for index, mask in enumerate(masks):
        region = (mask == label).astype(np.float64) if label is not None else 1 - mask / 255
        inside[index], pixels[index] = down.T @ region @ across, region.mean()
    return _Cover(np.outer(down.sum(0), across.sum(0)), inside, pixels)


def _shares(heat: Float32[np.ndarray, "n h w"], cover: _Cover) -> pd.DataFrame:
    """Shares of one region by place, as `heat_shares` returns them."""
    wide = heat.astype(np.float64)
    total = (wide * cover.whole).sum((1, 2))
    share = np.divide((wide * cover.inside).sum((1, 2)), total, out=np.full(len(heat), np.nan), where=total > 0)
    part = (cover.inside / cover.whole).reshape(len(heat), -1)
    columns = {"heat": share, "pixels": cover.pixels, "least": part.min(1), "most": part.max(1)}
    return pd.DataFrame({"place": np.arange(len(heat)), **columns})


def enlargement(cells: int, pixels: int) -> Float64[np.ndarray, "pixels cells"]:
    """Weights of bilinear enlargement along one axis: pixel centres between cell centres, borders repeated."""
    at = np.clip((np.arange(pixels) + 0.5) * cells / pixels - 0.5, 0, cells - 1)
    low = np.minimum(at.astype(int), max(cells - 2, 0))
    weights = np.zeros((pixels, cells))
    weights[np.arange(pixels), low] = 1 - (at - low)
    weights[np.arange(pixels), np.minimum(low + 1, cells - 1)] += at - low
    return weights


def summarize(shares: pd.DataFrame, seed: int = 0, resamples: int = RESAMPLES) -> dict[str, float]:
    """Return `heat_METHOD_REGION_` + share, pixels, ratio, ratio_low, ratio_high, ratio_least, ratio_most, empty.

    `ratio_low` and `ratio_high` bound 95 % of the ratios of `resamples` sets of places drawn with replacement, the
    same sets for every network (seeded). Neighbouring places see much of the same street, so the intervals are
    somewhat too narrow. Places whose map has no heat at all are left out; `empty` is their share. Of a region that
    no place shows there is nothing but `empty`.
    """
    values: dict[str, float] = {}
    for (method, region), rows in shares.groupby(["method", "region"], sort=False):
        name = f"heat_{method}_{region}"
        full = rows["heat"].notna().to_numpy()
        values[f"{name}_empty"] = float(1 - full.mean())
        table = rows.loc[full, ["heat", "pixels", "least", "most"]].to_numpy()
        if len(table) == 0 or table[:, 1].sum() == 0:
            continue
        heat, pixels, least, most = table.mean(0)
        values |= {f"{name}_share": float(heat), f"{name}_pixels": float(pixels), f"{name}_ratio": float(heat / pixels)}
        low, high = _interval(table[:, :2], seed, resamples)
        values |= {f"{name}_ratio_low": low, f"{name}_ratio_high": high}
        values |= {f"{name}_ratio_least": float(least / pixels), f"{name}_ratio_most": float(most / pixels)}
    return values


def _interval(table: Float64[np.ndarray, "n 2"], seed: int, resamples: int) -> tuple[float, float]:
    """Percentile bootstrap over places of mean heat share / mean pixel share."""
    rng = np.random.default_rng(seed)
    ratios = np.empty(resamples)
    for index in range(resamples):
        heat, pixels = table[rng.integers(0, len(table), len(table))].sum(0)
        ratios[index] = heat / pixels if pixels > 0 else np.nan
    low, high = np.nanpercentile(ratios, [2.5, 97.5])
    return float(low), float(high)
