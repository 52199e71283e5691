"""Augmentation of a batch's tensors on their device, with one kernel for all images."""

from typing import assert_never

import torch
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor

from aenet.view.spec import Unseen


def turn_batch(
    view: UInt8[Tensor, "n h w 3"], mirrored: Bool[Tensor, " n"], first: Int64[Tensor, " n"]
) -> UInt8[Tensor, "n h w 3"]:
    """Mirror and turn each image.

    Args:
        mirrored: which are mirrored, East for West: column j becomes -j, because column 0 looks South.
        first: which column of each, mirrored or not, comes first; 0 .. w - 1.
    """
    width = view.shape[2]
    signs = torch.where(mirrored, -1, 1)[:, None].to(view.device)
    columns = (first[:, None].to(view.device) + signs * torch.arange(width, device=view.device)) % width
    # The index is a view of [n, w], not eight times the images' bytes.
    return view.gather(2, columns[:, None, :, None].expand(view.shape))


def colour(
    view: UInt8[Tensor, "n h w 3"], contrast: Float[Tensor, "n 1 1 1"], gain: Float[Tensor, "n 1 1 3"]
) -> Float[Tensor, "n h w 3"]:
    """Scale contrast about the image's mean, then its channels: one multiplication and one addition; 0 .. 255."""
    contrast, gain, pixels = contrast.to(view.device), gain.to(view.device), view.float()
    mean = pixels.mean((1, 2, 3), keepdim=True)
    return torch.addcmul(mean * (1 - contrast) * gain, pixels, contrast * gain, out=pixels).clamp_(0, 255)


def erase(view: Float[Tensor, "n h w 3"], probability: float, drawn: Float[Tensor, "5 n 1 1"]) -> Tensor:
    """Paint a rectangle with the image's mean, as if a lorry stood there: something seen, whatever `Unseen` says.

    Args:
        drawn: chance, top, left, height and width, each in 0 .. 1.
    """
    _, height, width, _ = view.shape
    chance, top, left, tall, wide = drawn.to(view.device)
    rows = torch.arange(height, device=view.device)[None, :, None] / height
    columns = torch.arange(width, device=view.device)[None, None, :] / width
    inside = (rows >= top) & (rows < top + tall / 2) & (columns >= left) & (columns < left + wide / 4)
    mask = (inside & (chance < probability))[..., None]
    return torch.where(mask, view.mean((1, 2), keepdim=True), view)


def narrow(
    view: Float[Tensor, "n h w 3"], smallest: float, drawn: Float[Tensor, "2 n 1 1"], unseen: Unseen
) -> Float[Tensor, "n h w 3"]:
    """Keep one arc of the panorama, and paint the rest as `view.fieldofview.paint` does for a camera's view.

    Args:
        smallest: of the arcs, as a share of the horizon.
        drawn: azimuth and width, each in 0 .. 1.
    """
    width = view.shape[2]
    azimuth, share = drawn.to(view.device)
    kept = ((smallest + (1 - smallest) * share) * width).round()
    columns = torch.arange(width, device=view.device)[None, None, :]
    first = (azimuth * width).floor()
    beyond = (columns - first) % width - (kept - 1)  # columns to the right of the arc's last; up to 0 within it
    seen = (beyond <= 0)[..., None]
    match unseen.rule:
        case "edge":
            last, back = first + kept - 1, width - (kept - 1) - beyond  # and to the left of its first
            source = torch.where(beyond <= 0, columns, torch.where(beyond <= back, last, first)) % width
            return view.gather(2, source.long()[..., None].expand(view.shape))
        case "view_mean":
            mean = (view * seen).mean((1, 2), keepdim=True) * (width / kept)[..., None]
            return torch.where(seen, view, mean)
        case "network_mean":
            return torch.where(seen, view, torch.tensor(unseen.colour, dtype=view.dtype, device=view.device))
        case _:
            assert_never(unseen.rule)
