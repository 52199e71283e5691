"""Stage `ablate`: one variant of the paper's Tables 5 and 6, trained and evaluated like the model itself."""

import argparse
from functools import partial

import torch
from pydantic import Field

from aenet.artifacts import write_json
from aenet.data.views import open_views
from aenet.embed import embed_pairs
from aenet.errors import AenetError
from aenet.evaluation import EvaluateConfig, score
from aenet.model import load_model
from aenet.nn.attention import AttentionConfig
from aenet.nn.losses import LossConfig
from aenet.params import Config, read_section
from aenet.training import TrainConfig
from stages.fitting import fit
from stages.paths import Paths
from stages.running import console, run, tracked


class Variant(Config):
    """What a row of the tables changes in the model of section `train`."""

    label: str
    attention: AttentionConfig
    loss: LossConfig


class AblateConfig(Config):
    """The rows of the comparison, in order, and the epochs each is trained for."""

    epochs: int = Field(ge=1)
    variants: dict[str, Variant] = Field(min_length=1)


def main(variant: str, paths: Paths = Paths()) -> None:
    """Write models/ablate/VARIANT and reports/ablate/VARIANT."""
    section = read_section(paths.params, "ablate", AblateConfig)
    if variant not in section.variants:
        raise AenetError(f"{paths.params} has no ablate.variants.{variant} (known: {', '.join(section.variants)})")
    row = section.variants[variant]
    base = read_section(paths.params, "train", TrainConfig)
    model = base.model.model_copy(update={"attention": row.attention})
    config = base.model_copy(update={"model": model, "loss": row.loss, "epochs": section.epochs})
    settings = read_section(paths.params, "evaluate", EvaluateConfig)
    folder, report = paths.root / "models" / "ablate" / variant, paths.reports / "ablate" / variant
    tags = {"ablation": variant, "label": row.label}
    params = config.model_dump(mode="json")
    with tracked(paths, "ablate", params, variant=variant, parent="ablation", tags=tags) as active:
        fit(paths, config, f"ablate {variant}", active, folder, report)
        torch.set_num_threads(settings.threads)
        views = open_views(paths.views, "test")
        values = score(*embed_pairs(load_model(folder)[0], views, settings.batch_size), views).values
        write_json(report / "metrics.json", values)
        active.metrics({f"test/{name}": value for name, value in values.items()})
    console.print(f"{row.label}: R@1 {values['recall_at_1']:.1f} % of {len(views)} test places; see {report}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--variant", required=True, help="key below ablate.variants in params.yaml")
    run(partial(main, parser.parse_args().variant))
