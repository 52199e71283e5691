"""Views in, descriptors out: the one embedding loop of training, evaluation and export."""

import numpy as np
import torch
from jaxtyping import Float, UInt8

from aenet.nn.branches import Branch


def embed(
    branch: Branch, views: UInt8[np.ndarray, "n h w 3"], batch_size: int, device: torch.device | None = None
) -> Float[np.ndarray, "n d"]:
    """Return float32 unit descriptors of packed views, computed in evaluation mode without gradients."""
    training = branch.training
    branch.eval()
    parts = []
    with torch.inference_mode():
        for start in range(0, len(views), batch_size):
            pixels = torch.from_numpy(np.ascontiguousarray(views[start : start + batch_size]))
            parts.append(branch(pixels.to(device)).float().cpu().numpy())
    branch.train(training)
    return np.concatenate(parts)
