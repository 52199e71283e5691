"""Where a network looks: heat on the grid of its attended feature map, by two methods, for both views.

`activation`: the mean absolute value over channels of the attended map, |F| averaged over c. It shows what is strong in
a map, whether or not the comparison makes use of it, and needs one view only.

`similarity`: Grad-CAM (Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based
Localization", ICCV 2017, https://arxiv.org/abs/1610.02391, Eqs. 1 and 2), with the similarity of a pair in place of a
class score. For the unit descriptors g and a of ground and aerial map F^v [C, h, w], v one of the two,

    s = <g, a>,   alpha_c = 1/(h w) sum_ij ds / dF^v_cij,   L^v_ij = max(0, sum_c alpha_c F^v_cij).

A cosine does not change when a map is scaled, so sum_cij F_cij ds/dF_cij = 0: what raises the similarity and what
lowers it balance, and with global average pooling L is exactly what lies above the mean of sum_c alpha_c F_c.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Float, Float32, UInt8
from torch import Tensor, nn
from torch.nn import functional

from aenet.nn.branches import Branch, TwoBranch

Method = Literal["activation", "similarity"]
METHODS: tuple[Method, ...] = get_args(Method)
Heat = Float32[np.ndarray, "n _ _"]  # views may have grids of their own
Pixels = UInt8[np.ndarray, "n h w 3"]


def attribute(network: TwoBranch, ground: Pixels, aerial: Pixels, batch_size: int) -> dict[Method, tuple[Heat, Heat]]:
    """Return by each method the heat of both views of N pairs, at least 0, on their feature maps' grids (N x h x w).

    The network is used in evaluation mode and left in the mode it was in; its parameters get no gradients.
    """
    device = next(network.parameters()).device
    parts: dict[Method, list[tuple[Tensor, Tensor]]] = {method: [] for method in METHODS}
    with _evaluating(network):
        for start in range(0, len(ground), batch_size):
            rows = slice(start, start + batch_size)
            first = _features(network.ground, ground[rows], device)
            second = _features(network.aerial, aerial[rows], device)
            parts["activation"].append((first.abs().mean(1), second.abs().mean(1)))
            parts["similarity"].append(similarity_heat(network, first, second))
    return {method: (_joined([p[0] for p in found]), _joined([p[1] for p in found])) for method, found in parts.items()}


def similarity_heat(
    network: TwoBranch, ground: Float[Tensor, "b c h w"], aerial: Float[Tensor, "b c2 h2 w2"]
) -> tuple[Float[Tensor, "b h w"], Float[Tensor, "b h2 w2"]]:
    """Return L of both views' attended maps, see above; only the heads are differentiated, not the backbones."""
    maps = [ground.detach().requires_grad_(), aerial.detach().requires_grad_()]
    with torch.enable_grad():
        units = [
            functional.normalize(branch.head(one).float(), dim=1)
            for branch, one in zip((network.ground, network.aerial), maps, strict=True)
        ]
        # One pair's similarity depends on its own two maps alone, so the sum's gradient holds every pair's.
        slopes = torch.autograd.grad((units[0] * units[1]).sum(), maps)
    heat = [
        functional.relu((slope.mean((2, 3), keepdim=True) * one).sum(1)).detach()
        for slope, one in zip(slopes, maps, strict=True)
    ]
    return heat[0], heat[1]


def _joined(parts: list[Tensor]) -> Heat:
    return torch.cat(parts).float().cpu().numpy()


def _features(branch: Branch, pixels: Pixels, device: torch.device) -> Tensor:
    with torch.no_grad():  # not inference mode: the similarity's gradient starts from these maps
        return branch.features(torch.from_numpy(np.array(pixels)).to(device))


@contextmanager
def _evaluating(network: nn.Module) -> Iterator[None]:
    training = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(training)
