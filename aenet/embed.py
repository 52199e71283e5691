"""Views in, descriptors out: the one embedding loop of training, evaluation and export."""

import numpy as np
import torch
from jaxtyping import Float, UInt8

from aenet.data.views import Views
from aenet.nn.branches import Branch, TwoBranch


def embed(
    branch: Branch, views: UInt8[np.ndarray, "n h w 3"], batch_size: int, device: torch.device | None = None
) -> Float[np.ndarray, "n d"]:
    """Return float32 unit descriptors of packed views, computed in evaluation mode without gradients."""
    training = branch.training
    branch.eval()
    parts = []
    with torch.inference_mode():
        for start in range(0, len(views), batch_size):
            pixels = torch.from_numpy(np.array(views[start : start + batch_size]))  # a copy: the map is read-only
            parts.append(branch(pixels.to(device)).float().cpu().numpy())
    branch.train(training)
    return np.concatenate(parts)


def embed_pairs(
    network: TwoBranch, views: Views, batch_size: int
) -> tuple[Float[np.ndarray, "n d"], Float[np.ndarray, "n d"]]:
    """Return the ground and aerial descriptors of a split, row by row."""
    device = next(network.parameters()).device
    ground = embed(network.ground, views.ground, batch_size, device)
    return ground, embed(network.aerial, views.aerial, batch_size, device)
