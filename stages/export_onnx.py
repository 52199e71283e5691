"""Stage `export_onnx`: both branches as ONNX, compressed as chosen, proven equal to torch, registered in MLflow."""

from pathlib import Path
from typing import Any

from aenet.data.card import CARD, HALF, Compression, ModelCard
from aenet.data.views import Views, open_views
from aenet.evaluation.embed import embed_pairs, map_shape
from aenet.export.calibration import calibrate
from aenet.export.compression import compress_network, plan_compression
from aenet.export.graphs import VIEWS, ExportConfig, descriptor_dim, export_branch, parity
from aenet.export.halfprecision import half_parity, write_half
from aenet.export.ladder import draw_sample, ladder, ladder_lines
from aenet.io.artifacts import atomic_folder, folder_digest, sha256_file
from aenet.io.atomic import write_json
from aenet.io.errors import AenetError
from aenet.io.params import read_section
from aenet.nn.branches import TwoBranch
from aenet.nn.model import TrainedCard, load_network
from aenet.retrieval.recall import EvaluateConfig, score
from aenet.tracking.events import CHAMPION_METRIC
from aenet.view.spec import Unseen, check_view
from stages.project import Paths
from stages.running import as_program, console, tracked


def main(paths: Paths = Paths()) -> None:
    """Write models/onnx, or nothing where the exported model does not agree with torch."""
    config = read_section(paths.params, "export_onnx", ExportConfig)
    trained_network, trained = load_network(paths.model)
    views = open_views(paths.views, "test")
    check_view(trained.view, views.spec, str(paths.views))
    report_file = paths.reports / "export_onnx" / "parity.json"
    with tracked(paths, "export_onnx", config.model_dump(mode="json")) as active:
        with atomic_folder(paths.onnx, {"fingerprint": trained.fingerprint}) as folder:
            network, compression, costs = _compressed(trained_network, views, paths, config)
            for line in ladder_lines(costs):
                console.print(line, soft_wrap=True)
            report = _exported(network, trained, folder, views, config) | {"compression": costs}
            write_json(report_file, report)
            _refuse_failures(report, config)
            write_json(folder / "parity.json", report)
            recall = _recall(network, views, paths)
            shape = compression.shape if compression is not None else map_shape(network.ground, views.spec)
            card = _card(trained, recall, folder, shape, _unseen(trained, network)).model_copy(
                update={"compression": compression}
            )
            card = _calibrated(card, folder, paths, config)
            write_json(folder / CARD, card.model_dump(mode="json"))
        active.artifact(paths.onnx, folder="onnx")
        difference = float(report["max_abs_difference"])
        active.metrics({"parity/max_abs_difference": difference, "parity/top1_changed": float(report["top1_changed"])})
        active.metrics({f"compression/{name}": value for name, value in _chosen(costs).items()})
        # Test recall is told; the champion is chosen by validation recall, of what is served.
        chosen_by = _recall(network, open_views(paths.views, "val"), paths)
        numbers = {"recall_at_1": recall, CHAMPION_METRIC: chosen_by, "parity_max_abs_difference": difference}
        active.register(paths.onnx, name="aenet", metrics=numbers, passed=True, measured_on=folder_digest(paths.views))
    console.print(f"ONNX equals torch within {difference:.1e} on {report['places']} places; model in {paths.onnx}")


def _compressed(
    network: TwoBranch, views: Views, paths: Paths, config: ExportConfig
) -> tuple[TwoBranch, Compression | None, dict[str, Any]]:
    """Return the network to be exported, how its descriptors are compressed, and what every choice costs."""
    shape = map_shape(network.ground, views.spec)
    compression = plan_compression(config.compress, shape)
    sample = draw_sample(network, shape, open_views(paths.views, "val"), open_views(paths.views, "train"), config)
    return compress_network(network, compression, sample.matrix(compression)), compression, ladder(sample, compression)


def _chosen(costs: dict[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in costs["choices"][f"{costs['chosen']} float32"].items()}


def _recall(network: TwoBranch, views: Views, paths: Paths) -> float:
    """Return R@1 in percent of the descriptors as they are served, measured as the evaluate stage measures."""
    config = read_section(paths.params, "evaluate", EvaluateConfig)
    pair = embed_pairs(network, views, config.batch_size, paths.state)
    return score(*pair, views, config.positives_within_m).values["recall_at_1"]


def _exported(
    network: TwoBranch, trained: TrainedCard, folder: Path, views: Views, config: ExportConfig
) -> dict[str, Any]:
    """Write the ONNX files; return how well they agree with torch, and in half precision with themselves."""
    for view in VIEWS:
        export_branch(network.branch(view), trained.view.of(view), folder / f"{view}.onnx")
    report = parity(network, folder, views, config)
    if "fp16" in config.precisions:
        for view in VIEWS:
            write_half(folder / f"{view}.onnx", folder / f"{view}{HALF}")
        report["fp16"] = half_parity(folder, views, config)
    return report


def _refuse_failures(report: dict[str, Any], config: ExportConfig) -> None:
    if not report["passed"]:
        raise AenetError(_failure(report, config))
    if "fp16" in report and not report["fp16"]["passed"]:
        raise AenetError(_half_failure(report["fp16"], config))


def _failure(report: dict[str, Any], config: ExportConfig) -> str:
    difference, changed = report["max_abs_difference"], report["top1_changed"]
    return (
        f"ONNX differs from torch by {difference:.2e} (allowed {config.tolerance:.0e}) and changes "
        f"{changed} of {report['places']} answers: see reports/export_onnx/parity.json"
    )


def _half_failure(report: dict[str, Any], config: ExportConfig) -> str:
    cosine, changed = min(report["cosine"].values()), max(report["top1_changed"], report["top1_changed_mixed"])
    return (
        f"half precision would hold {max(report['largest_activation'].values()):,.0f} (its end is 65,504), has a cosine"
        f" of {cosine:.4f} with float32 (at least {config.fp16_cosine} is needed) and changes {changed} of "
        f"{report['places']} answers (at most {config.fp16_top1_changed:.1%} may): see "
        "reports/export_onnx/parity.json, or export fp32 alone"
    )


def _calibrated(card: ModelCard, folder: Path, paths: Paths, config: ExportConfig) -> ModelCard:
    """Fit what the model's scores are worth; a model that knows nothing of the validation split goes without."""
    val, train = (open_views(paths.views, split) for split in ("val", "train"))
    try:
        calibration = calibrate(folder, card, val, train, config)
    except AenetError as error:
        console.print(f"{error}; photos placed with this model will have no confidence")
        calibration = None
    return card.model_copy(update={"calibration": calibration})


def _unseen(trained: TrainedCard, network: TwoBranch) -> Unseen | None:
    if trained.unseen is None:
        return None
    return Unseen(rule=trained.unseen, colour=network.ground.zero_colour)


def _card(
    trained: TrainedCard, recall: float, folder: Path, shape: tuple[int, int, int], unseen: Unseen | None
) -> ModelCard:
    return ModelCard(
        view=trained.view,
        descriptor_dim=descriptor_dim(folder / "ground.onnx"),
        backbone=trained.model.backbone.name,
        attention=trained.model.attention.kind,
        head=trained.model.head.kind,
        trained_on=trained.trained_on,
        fingerprint=trained.fingerprint,
        recall_at_1=recall,
        map_shape=shape if shape[2] > 1 else None,
        unseen=unseen,
        initial=trained.initial,
        sha256={file.name: sha256_file(file) for file in sorted(folder.glob("*.onnx"))},
    )


if __name__ == "__main__":
    as_program(main)
