"""Ground views turned away from their tiles, as a camera of unknown heading is; the search turns them back."""

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

PHASES = 4  # turns within one column of the map at which the search describes a photo of unknown heading


def draw_turns(
    n: int, width: int, columns: int, generator: torch.Generator
) -> tuple[Int64[Tensor, " n"], Int64[Tensor, " n"]]:
    """Return by how many columns of the map, and of the view, n ground views are turned: counterclockwise.

    Any number of the map's columns, and a rest as large as the nearest of the search's phases leaves: up to
    1 / (2 PHASES) of one to either side. A larger rest would ask of the network what no search asks of it.

    Args:
        width: columns of a view.
        columns: of its map.
    """
    shift = torch.randint(columns, (n,), generator=generator)
    rest = (torch.rand(n, generator=generator) - 0.5) / PHASES
    return shift, torch.round((shift + rest) * width / columns).long() % width


def turn(
    views: UInt8[Tensor, "n h w c"] | Float[Tensor, "n h w c"], turns: Int64[Tensor, " n"]
) -> UInt8[Tensor, "n h w c"] | Float[Tensor, "n h w c"]:
    """Return each view with what stood `turns` columns to the right moved to column 0."""
    return torch.stack([view.roll(-k, 1) for view, k in zip(views, turns.tolist(), strict=True)])
