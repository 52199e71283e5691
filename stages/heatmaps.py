"""Stage `heatmaps`: where variants of the ablation look, side by side (paper, Figs. 10 and 11)."""

import numpy as np
from pydantic import Field

from aenet.data.views import open_views
from aenet.heat.heatmaps import compare_figure
from aenet.io.errors import AenetError
from aenet.io.params import Config, read_section
from aenet.nn.model import load_network
from stages.project import Paths
from stages.running import as_program, console, tracked


class HeatmapsConfig(Config):
    """What is drawn.

    Attributes:
        variants: of `ablate`, in the order of the columns; each by its first seed.
        places: test places drawn, evenly spread over the split.
    """

    variants: tuple[str, ...] = Field(min_length=1)
    places: int = Field(default=3, ge=1)


def main(paths: Paths = Paths()) -> None:
    """Write reports/heatmaps.png."""
    config = read_section(paths.params, "heatmaps", HeatmapsConfig)
    views, out = open_views(paths.views, "test"), paths.reports / "heatmaps.png"
    networks = {}
    for variant in config.variants:
        seeds = sorted((paths.root / "models" / "ablate" / variant).glob("seed-*"))
        if not seeds:
            raise AenetError(f"there is no trained variant '{variant}': run `dvc repro ablate@{variant}` first")
        networks[variant] = load_network(seeds[0])[0]
    rows = np.linspace(0, len(views) - 1, min(config.places, len(views))).astype(int)
    with tracked(paths, "heatmaps", config.model_dump(mode="json"), parent="ablation") as active:
        compare_figure(networks, views, [int(row) for row in rows], out)
        active.figure(out.name, out)
    console.print(f"heat maps of {', '.join(networks)} in {out}")


if __name__ == "__main__":
    as_program(main)
