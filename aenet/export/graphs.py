"""Export both branches to ONNX: one self-contained file each, with a report of how well it agrees with torch.

Graph: input `image`, uint8 [N, H, W, 3] RGB; output `descriptor`, float32 [N, D], unit length. Normalisation is
inside. N is dynamic.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
import onnxruntime
import torch
from jaxtyping import Float, UInt8
from pydantic import Field, field_validator

from aenet.data.views import Views
from aenet.evaluation.embed import embed
from aenet.export.compression import CompressConfig, Uncompressed
from aenet.io.errors import AenetError
from aenet.io.params import Config
from aenet.nn.branches import Branch, TwoBranch, View
from aenet.retrieval import recall
from aenet.view.spec import AerialView, GroundView

VIEWS: tuple[View, View] = ("ground", "aerial")
_OPSET = 20


class ExportConfig(Config):
    """What the exported model must prove.

    Attributes:
        tolerance: largest absolute difference of a descriptor's element from torch's.
        batches: batch sizes compared.
        places: test places compared (all, if there are fewer).
        threads: CPU threads of both runtimes.
        compress: what makes descriptors smaller inside the graphs (see `compression`); `none` leaves them as trained.
        compression_pairs: at most so many training pairs fit projections, and so many validation photos measure what
            every choice costs (`aenet.export.ladder`).
        precisions: files written: `fp32`, which the others are proven against, and `fp16` (see `halfprecision`).
        calibration_queries, calibration_references: at most so many validation photos and tiles, from which is
            fitted what scores are worth (`aenet.export.calibration`); no queries leave the model without.
        fp16_cosine: lowest cosine of a half-precision descriptor with its float32 twin.
        fp16_top1_changed: largest share of places whose best match may differ in half precision.
    """

    tolerance: float = Field(default=1e-4, gt=0)
    batches: tuple[int, ...] = Field(default=(1, 3, 8), min_length=1)
    places: int = Field(default=512, ge=1)
    threads: int = Field(ge=1)
    compress: CompressConfig = Uncompressed()
    compression_pairs: int = Field(default=512, ge=1)
    precisions: tuple[Literal["fp32", "fp16"], ...] = ("fp32",)
    calibration_queries: int = Field(default=512, ge=0)
    calibration_references: int = Field(default=2048, ge=2)
    fp16_cosine: float = Field(default=0.999, ge=0, le=1)
    fp16_top1_changed: float = Field(default=0.01, ge=0, le=1)

    @field_validator("precisions")
    @classmethod
    def _proven_against_fp32(cls, precisions: tuple[str, ...]) -> tuple[str, ...]:
        if "fp32" not in precisions:
            raise ValueError("precisions must contain fp32: fp16 is made from it and proven against it")
        return precisions


def export_branch(branch: Branch, view: GroundView | AerialView, path: Path) -> None:
    """Write one branch as a self-contained ONNX file with a dynamic batch."""
    example = torch.zeros(2, view.height, view.width, 3, dtype=torch.uint8)
    program = torch.onnx.export(
        branch.eval(),
        (example,),
        dynamo=True,
        opset_version=_OPSET,
        input_names=["image"],
        output_names=["descriptor"],
        dynamic_shapes={"pixels": {0: torch.export.Dim("batch")}},
        verbose=False,
    )
    if program is None:
        raise AenetError(f"torch.onnx.export returned nothing for {path.name}")
    proto = program.model_proto
    _forget_origin(proto.graph)
    onnx.save(proto, path)
    onnx.checker.check_model(path)


def _forget_origin(graph: onnx.GraphProto) -> None:
    """Drop the exporter's notes on source files and lines.

    They would carry the builder's folders into the world, and give equal models different digests.
    """
    for part in (graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        del part.metadata_props[:]


def parity(network: TwoBranch, folder: Path, views: Views, config: ExportConfig) -> dict[str, Any]:
    """Compare the exported branches with torch on real views.

    Returns:
        Per view and batch size the largest absolute difference, the number of queries whose best match differs,
        and `passed`.
    """
    torch.set_num_threads(config.threads)
    n = min(config.places, len(views))
    expected: dict[str, np.ndarray] = {
        view: embed(network.branch(view), getattr(views, view)[:n], 64) for view in VIEWS
    }
    best = recall.best_match(expected["ground"], expected["aerial"], 1)[:, 0]
    report: dict[str, Any] = {"places": n, "tolerance": config.tolerance, "batches": {}}
    for batch in config.batches:
        got = {
            view: run_onnx(folder / f"{view}.onnx", getattr(views, view)[:n], batch, config.threads) for view in VIEWS
        }
        differences: dict[str, float] = {view: float(np.abs(got[view] - expected[view]).max()) for view in VIEWS}
        top1 = recall.best_match(got["ground"], got["aerial"], 1)[:, 0]
        report["batches"][str(batch)] = {**differences, "top1_changed": int((top1 != best).sum())}
    rows = report["batches"].values()
    report["max_abs_difference"] = float(np.max([row[view] for row in rows for view in VIEWS]))  # NaN stays NaN
    report["top1_changed"] = max(row["top1_changed"] for row in rows)
    report["passed"] = report["max_abs_difference"] <= config.tolerance and report["top1_changed"] == 0
    return report


def run_onnx(
    path: Path, views: UInt8[np.ndarray, "n h w 3"], batch_size: int, threads: int
) -> Float[np.ndarray, "n d"]:
    """Embed views with onnxruntime on the CPU, in batches of exactly `batch_size` but for the last."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    starts: Sequence[int] = range(0, len(views), batch_size)
    parts = [session.run(["descriptor"], {"image": np.ascontiguousarray(views[s : s + batch_size])})[0] for s in starts]
    return np.concatenate(parts)


def descriptor_dim(path: Path) -> int:
    """Return D of an exported branch, as its graph states it."""
    return int(onnx.load(path).graph.output[0].type.tensor_type.shape.dim[1].dim_value)
