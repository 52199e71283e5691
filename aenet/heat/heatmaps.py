"""Heat drawn over the views (paper, Figs. 10 and 11); what the heat is: `attribution`, how much of it: `heatshares`."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8

from aenet.atomic import atomic_file
from aenet.data.views import Views
from aenet.errors import AenetError
from aenet.heat.attribution import METHODS, Method, attribute
from aenet.nn.branches import Branch, TwoBranch

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

    Every place of `rows` has two lines for each method, the panorama and below it the polar aerial view.

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
        (method, view): [stretched(heat[method][view], (views.spec.height, views.spec.width)) for heat in found]
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
