"""Stage `ablate`: one variant of the paper's Tables 5 and 6, trained once a seed, evaluated like the model itself."""

import argparse
from functools import partial
from typing import Any

import pandas as pd
import torch

from aenet.ablation.trials import AblateConfig, measure_trial
from aenet.data.masks import open_masks
from aenet.data.views import open_views
from aenet.io.atomic import atomic_file, write_json
from aenet.io.errors import AenetError
from aenet.io.params import read_section
from aenet.nn.complexity import complexity
from aenet.nn.model import load_network
from aenet.retrieval.recall import EvaluateConfig
from aenet.training.loop import TrainConfig
from stages.fitting import data_name, first_process, fit_tracked
from stages.project import Paths
from stages.running import as_program, console, tracked


def main(variant: str, paths: Paths = Paths()) -> None:
    """Write models/ablate/VARIANT/seed-N and reports/ablate/VARIANT."""
    section = read_section(paths.params, "ablate", AblateConfig)
    if variant not in section.variants:
        raise AenetError(f"{paths.params} has no ablate.variants.{variant} (known: {', '.join(section.variants)})")
    label = section.variants[variant].label
    config = section.training(variant, read_section(paths.params, "train", TrainConfig))
    values = {}
    for seed in section.seeds:
        values[str(seed)] = _one_seed(variant, label, config.model_copy(update={"seed": seed}), paths)
    if not first_process():
        return
    out = paths.reports / "ablate" / variant
    view = open_views(paths.views, "test").spec
    network = complexity(
        config.model, view.ground.height, view.ground.width, (view.aerial.height, view.aerial.width)
    ).row()
    content = {"data": data_name(paths), "epochs": config.epochs, "network": network, "seeds": values}
    write_json(out / "metrics.json", content)
    histories = [pd.read_csv(out / "seeds" / seed / "history.csv").assign(seed=seed) for seed in values]
    with atomic_file(out / "history.csv") as temporary:
        pd.concat(histories).to_csv(temporary, index=False)
    first = next(iter(values.values()))
    console.print(f"{label}: R@1 {first['recall_at_1']:.1f} % of {first['places']:.0f} test places")


def _one_seed(variant: str, label: str, config: TrainConfig, paths: Paths) -> dict[str, Any]:
    name = f"{variant}-seed-{config.seed}"
    settings = read_section(paths.params, "evaluate", EvaluateConfig)
    folder = paths.root / "models" / "ablate" / variant / f"seed-{config.seed}"
    report = paths.reports / "ablate" / variant / "seeds" / str(config.seed)
    tags = {"ablation": variant, "label": label, "seed": str(config.seed)}
    params = config.model_dump(mode="json")
    with tracked(
        paths, "ablate", params, variant=variant, name=f"ablate-{name}", parent="ablation", tags=tags
    ) as active:
        fit_tracked(paths, config, f"ablate {name}", active, folder, report)
        if not first_process():
            return {}
        torch.set_num_threads(settings.threads)
        views = open_views(paths.views, "test")
        network, masks = load_network(folder)[0], open_masks(paths.views, "test")
        values = measure_trial(network, config, views, masks, settings, paths.state)
        active.metrics({f"test/{key}": value for key, value in values.items()})
    return values


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--variant", required=True, help="key below ablate.variants in params.yaml")
    as_program(partial(main, parser.parse_args().variant))
