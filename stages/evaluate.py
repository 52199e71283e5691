"""Stage `evaluate`: the trained model on the test split, beside the colour-histogram floor and chance."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch

from aenet import figures
from aenet.artifacts import folder_digest
from aenet.atomic import atomic_file, write_json
from aenet.card import check_view
from aenet.data.histogram import colour_histograms
from aenet.data.views import Views, open_views
from aenet.heat import heatmaps
from aenet.inference.embed import embed_pairs
from aenet.inference.headings import named, table
from aenet.model import load_model
from aenet.nn.branches import TwoBranch
from aenet.params import read_section
from aenet.retrieval.evaluation import EvaluateConfig, Evaluation, curve, protocol, score
from stages.paths import Paths
from stages.running import console, run, tracked

SECTORS = 16  # slices of azimuth: a colour histogram that knows which way it looks
FIGURES = ("recall.png", "heading.png", "strips.png", "heatmaps.png")


def main(paths: Paths = Paths()) -> None:
    """Write reports/evaluate: metrics of the best and the last weights, curves, fields of view, strips, heat maps."""
    config = read_section(paths.params, "evaluate", EvaluateConfig)
    torch.set_num_threads(config.threads)
    views, out, within_m = open_views(paths.views, "test"), paths.reports / "evaluate", config.positives_within_m
    with tracked(paths, "evaluate", config.model_dump(mode="json")) as active:
        network, card = load_model(paths.model)
        check_view(card.view, views.spec, str(paths.views))
        last_pair = embed_pairs(load_model(paths.model, "last")[0], views, config.batch_size, paths.state)
        last = score(*last_pair, views, within_m)
        del last_pair  # GiB of it, perhaps, before as many more
        ground, aerial = embed_pairs(network, views, config.batch_size, paths.state)
        best = score(ground, aerial, views, within_m)
        headings = table(network, views, aerial, best, config)
        floor, sectors = (
            score(colour_histograms(views.ground, cuts), colour_histograms(views.aerial, cuts), views, within_m)
            for cuts in (1, SECTORS)
        )
        values = {"aenet": best.values | named(headings), "aenet_last": last.values}
        values |= {"colour_histogram": floor.values, "colour_histogram_by_azimuth": sectors.values}
        write_json(out / "metrics.json", {**values, "positives": protocol(within_m)})
        curves = {"AENet": best, f"colour histogram, {SECTORS} sectors": sectors, "colour histogram": floor}
        _tables({name: curve(result.rank) for name, result in curves.items()}, headings, best, out)
        _pictures(network, views, best, config.figures, out)
        active.dataset("views/test", folder_digest(paths.views), str(paths.views), len(views), context="evaluation")
        active.metrics({f"{model}/{name}": value for model, row in values.items() for name, value in row.items()})
        for name in FIGURES:
            active.figure(name, out / name)
    console.print(
        f"R@1 {best.values['recall_at_1']:.1f} % of {len(views)} test places (right: {protocol(within_m)}; colour "
        f"histogram {floor.values['recall_at_1']:.1f} %, chance {best.values['chance_at_1']:.1f} %); see {out}"
    )


def _tables(curves: dict[str, pd.DataFrame], headings: pd.DataFrame, best: Evaluation, out: Path) -> None:
    """Write recall over K and over fields of view, as figures and as pictures."""
    tables = {"recall": pd.concat(frame.assign(model=name) for name, frame in curves.items()), "heading": headings}
    for name, frame in tables.items():
        with atomic_file(out / f"{name}.csv") as temporary:
            frame.to_csv(temporary, index=False)
    figures.recall_curve(curves, best.values["chance_at_1"], out / "recall.png")
    figures.headings(headings, best.values["chance_at_1"], out / "heading.png")


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
