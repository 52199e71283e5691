"""Where a network looks, by two methods, drawn over the views (paper, Figs. 10 and 11)."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, get_args

import cv2
import numpy as np
import torch
from jaxtyping import Float, Float32, UInt8
from torch import Tensor, nn
from torch.nn import functional

from aenet.data.views import Views
from aenet.evaluation import figures
from aenet.io.atomic import atomic_file
from aenet.io.errors import AenetError
from aenet.nn.branches import Branch, TwoBranch
from aenet.retrieval.recall import Evaluation

# Where a network looks: heat on the grid of its attended feature map, by two methods, for both views.
#
# `activation`: the mean absolute value over channels of the attended map, |F| averaged over c. It shows what is strong
# in a map, whether or not the comparison makes use of it, and needs one view only.
#
# `similarity`: Grad-CAM (Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based
# Localization", ICCV 2017, https://arxiv.org/abs/1610.02391, Eqs. 1 and 2), with the similarity of a pair in place of a
# class score. For the unit descriptors g and a of ground and aerial map F^v [C, h, w], v one of the two,
#
#     s = <g, a>,   alpha_c = 1/(h w) sum_ij ds / dF^v_cij,   L^v_ij = max(0, sum_c alpha_c F^v_cij).
#
# A cosine does not change when a map is scaled, so sum_cij F_cij ds/dF_cij = 0: what raises the similarity and what
# lowers it balance, and with global average pooling L is exactly what lies above the mean of sum_c alpha_c F_c.

Method = Literal["activation", "similarity"]
METHODS: tuple[Method, ...] = get_args(Method)
Heat = Float32[np.ndarray, "n _ _"]  # views may have grids of their own
Pictures = UInt8[np.ndarray, "n h w 3"]


def attribute(
    network: TwoBranch, ground: Pictures, aerial: UInt8[np.ndarray, "n h2 w2 3"], batch_size: int
) -> dict[Method, tuple[Heat, Heat]]:
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


def _features(branch: Branch, pixels: Pictures, device: torch.device) -> Tensor:
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


_TITLES: Mapping[Method, str] = {"activation": "channel mean", "similarity": "similarity CAM"}
_BATCH = 16


def activation(branch: Branch, views: UInt8[np.ndarray, "n h w 3"]) -> Float[np.ndarray, "n h w"]:
    """Return each view's heat in 0..1: mean absolute activation over channels after attention, enlarged to the view."""
    with torch.inference_mode():
        heat = branch.eval().features(torch.from_numpy(np.ascontiguousarray(views))).abs().mean(1)
    return stretched(heat.float().cpu().numpy(), (views.shape[1], views.shape[2]))


def stretched(heat: Float[np.ndarray, "n h w"], size: tuple[int, int]) -> Float[np.ndarray, "n h2 w2"]:
    """Return heat for the eye: enlarged to `size` (height, width) and stretched to 0..1, each map on its own.

    A map without differences becomes 0 everywhere. Such maps are for looking only: stretching takes their floor away,
    and two pictures of one colour need not be equally hot.
    """
    maps = np.stack([cv2.resize(one, size[::-1], interpolation=cv2.INTER_CUBIC) for one in heat])
    low = maps.min((1, 2), keepdims=True)
    high = maps.max((1, 2), keepdims=True)
    return np.asarray((maps - low) / np.maximum(high - low, 1e-12), dtype=np.float64)


def overlay(view: UInt8[np.ndarray, "h w 3"], heat: Float[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w 3"]:
    """Return the view with its heat drawn over it, red where it is greatest."""
    colours = cv2.applyColorMap(np.round(255 * heat).astype(np.uint8), cv2.COLORMAP_JET)[..., ::-1]
    return np.asarray(cv2.addWeighted(view, 0.55, np.ascontiguousarray(colours), 0.45, 0), dtype=np.uint8)


def compare_figure(models: Mapping[str, TwoBranch], views: Views, rows: Sequence[int], path: Path) -> None:
    """Draw where several networks look, side by side: a column for each, after the views themselves.

    Every place of `rows` has two lines for each method, the panorama and below it the aerial view.

    Args:
        models: networks by the name to be written above their column.
        rows: places, as rows of `views`.

    Raises:
        AenetError: no network or no place is given, or a place is not in `views`.
    """
    if not models or not len(rows):
        raise AenetError(f"nothing to draw: {len(models)} networks and {len(rows)} places; give at least one of each")
    if not all(0 <= row < len(views) for row in rows):
        raise AenetError(f"places {list(rows)} are not all among the {len(views)} of the split '{views.split}'")
    pixels = [np.stack([view[row] for row in rows]) for view in (views.ground, views.aerial)]
    found = [attribute(network, pixels[0], pixels[1], _BATCH) for network in models.values()]
    drawn = {
        (method, view): [stretched(heat[method][view], pixels[view].shape[1:3]) for heat in found]
        for method in METHODS
        for view in (0, 1)
    }
    lines, names = [], []
    for place in range(len(rows)):
        for (method, view), columns in drawn.items():
            picture = pixels[view][place]
            lines.append([picture, *(overlay(picture, heat[place]) for heat in columns)])
            names.append(f"{('ground', 'aerial')[view]}\n{_TITLES[method]}")
    _draw(lines, names, ["view", *models], path)


def _draw(
    lines: list[list[UInt8[np.ndarray, "h w 3"]]], names: Sequence[str], titles: Sequence[str], path: Path
) -> None:
    """Draw rows of pictures, a name before each row and a title above each column."""
    import matplotlib as mpl  # lazily: measuring needs no pictures

    mpl.use("Agg")
    from matplotlib import pyplot as plt
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    height, width = lines[0][0].shape[:2]
    size = 2.6 * len(titles) + 0.9, (2.6 * height / width + 0.09) * len(lines) + 0.3
    figure, axes = plt.subplots(
        len(lines),
        len(titles),
        figsize=size,
        squeeze=False,
        layout=ConstrainedLayoutEngine(w_pad=0.02, h_pad=0.02, wspace=0, hspace=0),
    )
    for number, (row, line) in enumerate(zip(axes, lines, strict=True)):
        for axis, picture, title in zip(row, line, titles, strict=True):
            axis.imshow(picture, aspect="auto")
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set_visible(False)
            axis.set_title(title if number == 0 else "", fontsize=9)
        row[0].set_ylabel(names[number], fontsize=7, rotation=0, ha="right", va="center")
    with atomic_file(path) as temporary:
        # No software name or date inside: the same heat gives the same bytes.
        figure.savefig(temporary, format="png", dpi=110, metadata={"Software": None})
    plt.close(figure)


# Pictures of an evaluation: what was found and what was missed, and where the network's heat falls there.


def draw_examples(network: TwoBranch, views: Views, result: Evaluation, rows: int, out: Path) -> None:
    """Write strips.png and heatmaps.png into `out`: half from the queries found first, half from those missed most."""
    order = np.argsort(result.rank, kind="stable")
    chosen = np.concatenate([order[: rows - rows // 2], order[len(order) - rows // 2 :]])
    figures.strips(views.ground, views.aerial, chosen, result.top, out / "strips.png")
    columns = []
    for branch, pixels in ((network.ground, views.ground[chosen]), (network.aerial, views.aerial[chosen])):
        heat = activation(branch, pixels)
        columns += [list(pixels), [overlay(view, one) for view, one in zip(pixels, heat, strict=True)]]
    figures.grid(list(zip(*columns, strict=True)), ("ground", "heat", "polar view", "heat"), out / "heatmaps.png")
