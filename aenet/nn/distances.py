"""Similarities and distances between the descriptors of a batch, at one azimuth or at the best of all."""

from typing import Literal

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from aenet.io.errors import AenetError

Distance = Literal["squared", "euclidean"]


def turned_products(
    ground: Float[Tensor, "n d"], aerial: Float[Tensor, "m d"], columns: int
) -> Float[Tensor, "n m columns"]:
    """Return the inner products of all rows at every shift of azimuth.

    Rows are maps [C, h, w] flattened in C order, w = `columns` around the horizon. At shift s, ground column x lies
    on aerial column (x + s) mod w (`aenet.retrieval.azimuth`, whose numpy this is made learnable). All products of
    columns come from one matrix product, and their w diagonals are summed: as many multiplications as turning either
    side w times, and no copies of it; a Fourier transform would save some where w is large, and nothing at 8 or 16.

    Raises:
        AenetError: the rows are no maps of so many columns.
    """
    if ground.shape[1] % columns:
        raise AenetError(f"descriptors of {ground.shape[1]} dimensions are no maps of {columns} columns")
    sides = (side.reshape(len(side), -1, columns) for side in (ground, aerial))
    products = torch.einsum("ncx,mcy->nmxy", *sides)
    x = torch.arange(columns, device=ground.device)
    return products[:, :, x[:, None], (x[:, None] + x) % columns].sum(2)


def turned_back(descriptors: Float[Tensor, "n d"], shift: Int64[Tensor, " n"], columns: int) -> Float[Tensor, "n d"]:
    """Return maps of `columns` columns as if their views had not been turned `shift` columns counterclockwise."""
    maps = descriptors.reshape(len(descriptors), -1, columns)
    source = (torch.arange(columns, device=shift.device) - shift[:, None]) % columns
    return maps.gather(2, source[:, None].expand_as(maps)).flatten(1)


def best_products(ground: Float[Tensor, "n d"], aerial: Float[Tensor, "m d"], columns: int = 1) -> Float[Tensor, "n m"]:
    """Return the inner products of all rows, those of different places at the azimuth where they are highest.

    This is what a search without a heading compares (dynamic similarity matching: Shi et al., CVPR 2020,
    arXiv:2005.03860). A pair that matches is compared where it does match, at shift 0: its best shift is a guess, and
    of a new network a wrong one. With one column there is one azimuth: the plain product; with more, n = m.
    """
    if columns == 1:
        return ground @ aerial.T
    products = turned_products(ground, aerial, columns)
    best = products.amax(2)
    return torch.where(diagonal(best), products[..., 0], best)


def pairwise_distance(
    ground: Float[Tensor, "n d"], aerial: Float[Tensor, "m d"], kind: Distance, unit: bool = True, columns: int = 1
) -> Float[Tensor, "n m"]:
    """Return Euclidean distances between all rows, or their squares.

    Args:
        unit: the rows have length one, so that the square is `2 - 2 cos`; else `|g|^2 + |a|^2 - 2 g a`.
        columns: turns at which rows of different places are compared (`best_products`); then n = m.
    """
    product = best_products(ground, aerial, columns)
    if unit:
        squared = 2 - 2 * product
    else:
        squared = ground.square().sum(1)[:, None] + aerial.square().sum(1)[None, :] - 2 * product
    squared = squared.clamp_min(0)  # rounding
    if kind == "squared":
        return squared
    return squared.clamp_min(1e-12).sqrt()  # the root's slope is infinite at zero


def diagonal(d: Float[Tensor, "n n"]) -> Bool[Tensor, "n n"]:
    """True at the positives of a distance matrix: place i seen from both sides."""
    return torch.eye(d.shape[0], dtype=torch.bool, device=d.device)


def not_negatives(d: Float[Tensor, "n n"], ignore: Bool[Tensor, "n n"] | None = None) -> Bool[Tensor, "n n"]:
    """True at the positives of a distance matrix, and at what is no negative either."""
    return diagonal(d) if ignore is None else diagonal(d) | ignore


def mean_over_negatives(terms: Float[Tensor, "n n"], ignore: Bool[Tensor, "n n"] | None = None) -> Float[Tensor, " n"]:
    """Mean of each row without its diagonal and what is to be ignored; 0 where nothing is left."""
    left_out = not_negatives(terms, ignore)
    count = terms.shape[0] - 1 if ignore is None else (~left_out).sum(1).clamp_min(1)
    return terms.masked_fill(left_out, 0.0).sum(1) / count
