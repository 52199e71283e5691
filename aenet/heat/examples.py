"""Pictures of an evaluation: what was found and what was missed, and where the network's heat falls there."""

from pathlib import Path

import numpy as np

from aenet import figures
from aenet.data.views import Views
from aenet.heat import heatmaps
from aenet.nn.branches import TwoBranch
from aenet.retrieval.evaluation import Evaluation


def draw_examples(network: TwoBranch, views: Views, result: Evaluation, rows: int, out: Path) -> None:
    """Write strips.png and heatmaps.png into `out`: half from the queries found first, half from those missed most."""
    order = np.argsort(result.rank, kind="stable")
    chosen = np.concatenate([order[: rows - rows // 2], order[len(order) - rows // 2 :]])
    figures.strips(views.ground, views.aerial, chosen, result.top, out / "strips.png")
    columns = []
    for branch, pixels in ((network.ground, views.ground[chosen]), (network.aerial, views.aerial[chosen])):
        heat = heatmaps.activation(branch, pixels)
        columns += [list(pixels), [heatmaps.overlay(view, one) for view, one in zip(pixels, heat, strict=True)]]
    figures.grid(list(zip(*columns, strict=True)), ("ground", "heat", "polar view", "heat"), out / "heatmaps.png")
