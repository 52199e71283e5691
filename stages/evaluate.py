"""Stage `evaluate`: the trained model on the test split, beside the colour-histogram baseline and chance."""

import torch

from aenet.data.views import open_views, unknown_metres
from aenet.evaluation.embed import embed_pairs
from aenet.evaluation.figures import write_curves
from aenet.evaluation.headings import heading_figures, heading_table
from aenet.heat.heatmaps import draw_examples
from aenet.io.artifacts import folder_digest
from aenet.io.atomic import write_json
from aenet.io.params import read_section
from aenet.nn.model import load_network
from aenet.retrieval.baseline import SECTORS, colour_baseline
from aenet.retrieval.recall import EvaluateConfig, protocol, score
from aenet.view.spec import check_view
from stages.project import Paths
from stages.running import as_program, console, tracked

FIGURES = ("recall.png", "heading.png", "strips.png", "heatmaps.png")


def main(paths: Paths = Paths()) -> None:
    """Write reports/evaluate: metrics of the best and the last weights, curves, fields of view, strips, heat maps."""
    config = read_section(paths.params, "evaluate", EvaluateConfig)
    torch.set_num_threads(config.threads)
    views, out, within_m = open_views(paths.views, "test"), paths.reports / "evaluate", config.positives_within_m
    with tracked(paths, "evaluate", config.model_dump(mode="json")) as active:
        network, card = load_network(paths.model)
        check_view(card.view, views.spec, str(paths.views))
        painted = config.unseen or card.painted
        last_pair = embed_pairs(load_network(paths.model, "last")[0], views, config.batch_size, paths.state)
        last = score(*last_pair, views, within_m)
        del last_pair  # GiB of it, perhaps, before as many more
        ground, aerial = embed_pairs(network, views, config.batch_size, paths.state)
        best = score(ground, aerial, views, within_m)
        headings = heading_table(network, views, aerial, best, config, card.painted)
        baseline, sectors = (colour_baseline(views, cuts, within_m) for cuts in (1, SECTORS))
        values = {"aenet": best.values | heading_figures(headings), "aenet_last": last.values}
        values |= {"colour_histogram": baseline.values, "colour_histogram_by_azimuth": sectors.values}
        write_json(out / "metrics.json", {**values, "positives": protocol(within_m), "unseen": painted})
        results = {"AENet": best, f"colour histogram, {SECTORS} sectors": sectors, "colour histogram": baseline}
        write_curves(results, headings, out)
        draw_examples(network, views, best, config.figures, out)
        active.dataset("views/test", folder_digest(paths.views), str(paths.views), len(views), context="evaluation")
        active.metrics({f"{model}/{name}": value for model, row in values.items() for name, value in row.items()})
        for name in FIGURES:
            active.figure(name, out / name)
    if note := unknown_metres(paths.views):
        console.print(f"note: {note}", soft_wrap=True)
    if painted != card.painted:
        console.print(
            f"fields of view were painted by `{painted}` (evaluate.unseen), photos are by `{card.painted}` (the "
            "model's card): take evaluate.unseen out of params.yaml to know what serving gives",
            soft_wrap=True,
        )
    console.print(
        f"R@1 {best.values['recall_at_1']:.1f} % of {len(views)} test places (right: {protocol(within_m)}; colour "
        f"histogram {baseline.values['recall_at_1']:.1f} %, chance {best.values['chance_at_1']:.1f} %); see {out}"
    )


if __name__ == "__main__":
    as_program(main)
