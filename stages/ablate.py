"""Stage `ablate`: one variant of the paper's Tables 5 and 6, trained once a seed, evaluated like the model itself."""

import argparse
from functools import partial
from typing import Any

import pandas as pd
import torch
from pydantic import Field

from aenet.atomic import atomic_file, write_json
from aenet.cost.complexity import complexity
from aenet.data.masks import open_masks
from aenet.data.views import open_views
from aenet.errors import AenetError
from aenet.heat.shares import measure
from aenet.inference.embed import embed_pairs
from aenet.model import load_model, untrained
from aenet.nn.attention import AttentionConfig
from aenet.nn.losses import LossConfig
from aenet.params import Config, read_section
from aenet.retrieval.evaluation import EvaluateConfig, score
from aenet.training import TrainConfig
from stages.fitting import data_name, first_process, fit
from stages.paths import Paths
from stages.running import console, run, tracked


class Variant(Config):
    """What a row of the tables changes in the model of section `train`."""

    label: str
    attention: AttentionConfig
    loss: LossConfig


class AblateConfig(Config):
    """The rows of the comparison, in order.

    Attributes:
        epochs: of every training; None trains as long as section `train` does.
        seeds: one training each; their spread is what a difference between rows must exceed.
    """

    epochs: int | None = Field(default=None, ge=1)
    seeds: tuple[int, ...] = Field(default=(0,), min_length=1)
    variants: dict[str, Variant] = Field(min_length=1)


def main(variant: str, paths: Paths = Paths()) -> None:
    """Write models/ablate/VARIANT/seed-N and reports/ablate/VARIANT."""
    section = read_section(paths.params, "ablate", AblateConfig)
    if variant not in section.variants:
        raise AenetError(f"{paths.params} has no ablate.variants.{variant} (known: {', '.join(section.variants)})")
    row = section.variants[variant]
    base = read_section(paths.params, "train", TrainConfig)
    model = base.model.model_copy(update={"attention": row.attention})
    changed = {"model": model, "loss": row.loss, "epochs": section.epochs or base.epochs}
    values = {}
    for seed in section.seeds:
        config = base.model_copy(update={**changed, "seed": seed})
        values[str(seed)] = _one_seed(variant, row.label, config, paths)
    if not first_process():
        return
    out = paths.reports / "ablate" / variant
    view = open_views(paths.views, "test").spec
    network = complexity(model, view.height, view.width).row()
    content = {"data": data_name(paths), "epochs": changed["epochs"], "network": network, "seeds": values}
    write_json(out / "metrics.json", content)
    histories = [pd.read_csv(out / "seeds" / seed / "history.csv").assign(seed=seed) for seed in values]
    with atomic_file(out / "history.csv") as temporary:
        pd.concat(histories).to_csv(temporary, index=False)
    first = next(iter(values.values()))
    console.print(f"{row.label}: R@1 {first['recall_at_1']:.1f} % of {first['places']:.0f} test places")


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
        fit(paths, config, f"ablate {name}", active, folder, report)
        if not first_process():
            return {}
        torch.set_num_threads(settings.threads)
        views = open_views(paths.views, "test")
        network = load_model(folder)[0]
        pairs = embed_pairs(network, views, settings.batch_size, paths.state)
        values = score(*pairs, views, settings.positives_within_m).values
        if (masks := open_masks(paths.views, "test")) is not None:
            values |= measure(network, views, masks, settings.batch_size)
            # Borders and padding alone make a pattern: what training adds shows only beside a network without any.
            torch.manual_seed(config.seed)
            before = measure(untrained(config.model), views, masks, settings.batch_size)
            values |= {f"untrained_{key}": value for key, value in before.items()}
        active.metrics({f"test/{key}": value for key, value in values.items()})
    return values


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--variant", required=True, help="key below ablate.variants in params.yaml")
    run(partial(main, parser.parse_args().variant))
