"""Distances between the descriptors of a batch."""

from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

Distance = Literal["squared", "euclidean"]


def pairwise_distance(
    ground: Float[Tensor, "n d"], aerial: Float[Tensor, "m d"], kind: Distance, unit: bool = True
) -> Float[Tensor, "n m"]:
    """Return Euclidean distances between all rows, or their squares.

    Args:
        unit: the rows have length one, so that the square is 2 - 2 cos; else |g|^2 + |a|^2 - 2 g a.
    """
    product = ground @ aerial.T
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


def mean_over_negatives(terms: Float[Tensor, "n n"]) -> Float[Tensor, " n"]:
    """Mean of each row without its diagonal."""
    return terms.masked_fill(diagonal(terms), 0.0).sum(1) / (terms.shape[0] - 1)
