"""Stage `export_onnx`: both branches as ONNX, proven equal to torch, registered in MLflow."""

import json
from pathlib import Path
from typing import Any

from aenet.artifacts import atomic_folder, folder_digest, sha256_file, write_json
from aenet.card import CARD, HALF, ModelCard, check_view
from aenet.data.views import open_views
from aenet.errors import AenetError
from aenet.export.branches import VIEWS, ExportConfig, descriptor_dim, export_branch, parity
from aenet.export.calibration import calibrate
from aenet.export.halfprecision import half_parity, write_half
from aenet.inference.embed import map_shape
from aenet.model import TrainedCard, load_model
from aenet.params import read_section
from stages.paths import Paths
from stages.running import console, run, tracked


def main(paths: Paths = Paths()) -> None:
    """Write models/onnx, or nothing where the exported model does not agree with torch."""
    config = read_section(paths.params, "export_onnx", ExportConfig)
    metrics_file = paths.reports / "evaluate" / "metrics.json"
    if not metrics_file.exists():
        raise AenetError(f"{metrics_file} does not exist: run the evaluate stage first")
    recall = float(json.loads(metrics_file.read_bytes())["aenet"]["recall_at_1"])
    network, trained = load_model(paths.model)
    views = open_views(paths.views, "test")
    check_view(trained.view, views.spec, str(paths.views))
    report_file = paths.reports / "export_onnx" / "parity.json"
    with tracked(paths, "export_onnx", config.model_dump(mode="json")) as active:
        with atomic_folder(paths.onnx, {"fingerprint": trained.fingerprint}) as folder:
            for view in VIEWS:
                export_branch(network.branch(view), trained.view, folder / f"{view}.onnx")
            report = parity(network, folder, views, config)
            if half := "fp16" in config.precisions:
                for view in VIEWS:
                    write_half(folder / f"{view}.onnx", folder / f"{view}{HALF}")
                report["fp16"] = half_parity(folder, views, config)
            write_json(report_file, report)
            if not report["passed"]:
                raise AenetError(_failure(report, config))
            if half and not report["fp16"]["passed"]:
                raise AenetError(_half_failure(report["fp16"], config))
            write_json(folder / "parity.json", report)
            shape = map_shape(network.ground, views.ground[0])
            card = _calibrated(_card(trained, recall, folder, shape), folder, paths, config)
            write_json(folder / CARD, card.model_dump(mode="json"))
        active.artifact(paths.onnx, folder="onnx")
        difference = float(report["max_abs_difference"])
        active.metrics({"parity/max_abs_difference": difference, "parity/top1_changed": float(report["top1_changed"])})
        numbers = {"recall_at_1": recall, "parity_max_abs_difference": difference}
        active.register(paths.onnx, name="aenet", metrics=numbers, passed=True, measured_on=folder_digest(paths.views))
    console.print(f"ONNX equals torch within {difference:.1e} on {report['places']} places; model in {paths.onnx}")


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


def _card(trained: TrainedCard, recall: float, folder: Path, shape: tuple[int, int, int]) -> ModelCard:
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
        sha256={file.name: sha256_file(file) for file in sorted(folder.glob("*.onnx"))},
    )


if __name__ == "__main__":
    run(main)
