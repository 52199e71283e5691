"""Stage `train`: the model of params.yaml, trained on the packed views."""

from aenet.io.atomic import write_json
from aenet.io.params import read_section
from aenet.training.keeping import choice
from aenet.training.loop import TrainConfig
from stages.fitting import first_process, fit_tracked
from stages.project import Paths
from stages.running import as_program, console, tracked


def main(paths: Paths = Paths()) -> None:
    """Write models/aenet and reports/train."""
    config = read_section(paths.params, "train", TrainConfig)
    report = paths.reports / "train"
    with tracked(paths, "train", config.model_dump(mode="json")) as active:
        trained = fit_tracked(paths, config, "train", active, paths.model, report)
        if not first_process():
            return
        best, last, by = trained.history[trained.best_epoch], trained.history[-1], choice(config, trained)
        values = {"best": best.numbers(), "last": last.numbers(), "negatives": dict(trained.negatives)}
        write_json(report / "metrics.json", values)
    console.print(
        f"epoch {trained.best_epoch + 1} of {config.epochs} chosen ({by.rule}): {by.criterion}, {by.value:.1f} % of "
        f"{by.places} validation places, standard error {by.standard_error:.1f} (last epoch: {last.val_mrr:.1f} %); "
        f"model in {paths.model}"
    )


if __name__ == "__main__":
    as_program(main)
