"""Stage `evaluate`: the trained model on the test split, beside the colour-histogram floor and chance."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch

from aenet import figures, heatmaps
from aenet.artifacts import atomic_file, folder_digest, write_json
from aenet.card import check_view
from aenet.data.histogram import colour_histograms
from aenet.data.views import Views, open_views
from aenet.embed import embed_pairs
from aenet.evaluation import EvaluateConfig, Evaluation, curve, score
from aenet.model import load_model
from aenet.nn.branches import TwoBranch
from aenet.params import read_section
from stages.paths import Paths
from stages.running import console, run, tracked

SECTORS = 16  # slices of azimuth: a colour histogram that knows which way it looks


def main(paths: Paths = Paths()) -> None:
    """Write reports/evaluate: metrics of the best and the last weights, recall curve, strips, heat maps."""
    config = read_section(paths.params, "evaluate", EvaluateConfig)
    torch.set_num_threads(config.threads)
    views, out = open_views(paths.views, "test"), paths.reports / "evaluate"
    with tracked(paths, "evaluate", config.model_dump(mode="json")) as active:
        network, card = load_model(paths.model)
        check_view(card.view, views.spec, str(paths.views))
        best = score(*embed_pairs(network, views, config.batch_size), views)
        last = score(*embed_pairs(load_model(paths.model, "last")[0], views, config.batch_size), views)
        floor, sectors = (
            score(colour_histograms(views.ground, cuts), colour_histograms(views.aerial, cuts), views)
            for cuts in (1, SECTORS)
        )
        values = {"aenet": best.values, "aenet_last": last.values, "colour_histogram": floor.values}
        values["colour_histogram_by_azimuth"] = sectors.values
        write_json(out / "metrics.json", values)
        curves = {
            "AENet": curve(best.rank),
            f"colour histogram, {SECTORS} sectors": curve(sectors.rank),
            "colour histogram": curve(floor.rank),
        }
        with atomic_file(out / "recall.csv") as temporary:
            pd.concat(frame.assign(model=name) for name, frame in curves.items()).to_csv(temporary, index=False)
        figures.recall_curve(curves, best.values["chance_at_1"], out / "recall.png")
        _pictures(network, views, best, config.figures, out)
        active.dataset("views/test", folder_digest(paths.views), str(paths.views), len(views), context="evaluation")
        active.metrics({f"{model}/{name}": value for model, row in values.items() for name, value in row.items()})
        for name in ("recall.png", "strips.png", "heatmaps.png"):
            active.figure(name, out / name)
    console.print(
        f"R@1 {best.values['recall_at_1']:.1f} % of {len(views)} test places "
        f"(colour histogram {floor.values['recall_at_1']:.1f} %, chance {best.values['chance_at_1']:.1f} %); see {out}"
    )


def _pictures(network: TwoBranch, views: Views, result: Evaluation, rows: int, out: Path) -> None:
    """Draw half of the strips from the queries found first, half from those missed the furthest."""
    order = np.argsort(result.rank, kind="stable")
    chosen = np.concatenate([order[: rows - rows // 2], order[len(order) - rows // 2 :]])
    figures.strips(views.ground, views.aerial, chosen, result.top, out / "strips.png")
    columns = []
    for branch, pixels in ((network.ground, views.ground[chosen]), (network.aerial, views.aerial[chosen])):
        heat = heatmaps.activation(branch, pixels)
        columns += [list(pixels), [heatmaps.overlay(view, one) for view, one in zip(pixels, heat, strict=True)]]
    figures.grid(list(zip(*columns, strict=True)), ("ground", "heat", "polar view", "heat"), out / "heatmaps.png")


if __name__ == "__main__":
    run(main)
