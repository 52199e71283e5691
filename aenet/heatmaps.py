"""Where a branch looks: the channel mean of its attended feature map, drawn over the view (paper, Figs. 10 and 11)."""

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8

from aenet.nn.branches import Branch


def activation(branch: Branch, views: UInt8[np.ndarray, "n h w 3"]) -> Float[np.ndarray, "n h w"]:
    """Return each view's heat in 0..1: mean absolute activation over channels after attention, enlarged to the view."""
    height, width = views.shape[1:3]
    with torch.inference_mode():
        heat = branch.eval().features(torch.from_numpy(np.ascontiguousarray(views))).abs().mean(1)
    maps = [cv2.resize(one, (width, height), interpolation=cv2.INTER_CUBIC) for one in heat.float().cpu().numpy()]
    scaled = np.stack(maps)
    low = scaled.min((1, 2), keepdims=True)
    high = scaled.max((1, 2), keepdims=True)
    return np.asarray((scaled - low) / np.maximum(high - low, 1e-12), dtype=np.float64)


def overlay(view: UInt8[np.ndarray, "h w 3"], heat: Float[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w 3"]:
    """Return the view with its heat drawn over it, red where it is greatest."""
    colours = cv2.applyColorMap(np.round(255 * heat).astype(np.uint8), cv2.COLORMAP_JET)[..., ::-1]
    return np.asarray(cv2.addWeighted(view, 0.55, np.ascontiguousarray(colours), 0.45, 0), dtype=np.uint8)
