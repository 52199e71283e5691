"""Half precision of an exported branch: half the size, and what a GPU's tensor cores want.

Only the part between the first and the last convolution or matrix product becomes half precision, both included.
Before it pixels are normalised, after it the descriptor is pooled and brought to length one: there float32 stays, for
sums over 81,920 squares do not fit in 11 bits. Input and output keep their types, so both files serve alike.

On x86 onnxruntime's CPU provider computes half-precision nodes in float32 and rounds the weights, but not all results,
to half; on CUDA all is half. So the agreement measured here is not the whole proof: what the convolutions and products
of the float32 network give is held against half precision's range as well, and `tests/export/test_export.py` compares
on CUDA where there is a device.
"""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from jaxtyping import Float
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, helper
from onnxruntime.transformers.float16 import convert_float_to_float16
from onnxruntime.transformers.onnx_model import OnnxModel

from aenet.data.card import HALF
from aenet.data.views import Views
from aenet.export.graphs import VIEWS, ExportConfig, run_onnx
from aenet.io.errors import AenetError
from aenet.nn.branches import View
from aenet.retrieval import recall

_CONTRACTIONS = ("Conv", "Gemm", "MatMul")
_RANGE = float(np.finfo(np.float16).max)
_LOOKED_AT = 16  # places whose activations are looked at: a layer's maps are thousands of values each


def write_half(full: Path, half: Path) -> None:
    """Write the half-precision model `half` of the exported branch `full`.

    Raises:
        AenetError: the graph has no convolution or matrix product.
    """
    model = onnx.shape_inference.infer_shapes(onnx.load(full))
    head, middle, tail = _parts(list(model.graph.node), full)
    inputs, outputs = ({info.name for info in infos} for infos in (model.graph.input, model.graph.output))
    before, after = _made(head) | inputs, _read(tail) | outputs
    types = {info.name: info for info in (*model.graph.input, *model.graph.value_info, *model.graph.output)}
    real = {name for name, info in types.items() if info.type.tensor_type.elem_type == TensorProto.FLOAT}
    entering, leaving = sorted(before & _read(middle) & real), sorted(_made(middle) & after & real)

    converted = _converted(model, middle, types, entering, leaving)
    halved = {name: f"{name}_fp16" for name in (*entering, *leaving, *(t.name for t in converted.initializer))}
    for node in converted.node:
        node.input[:] = [halved.get(name, name) for name in node.input]
        node.output[:] = [halved.get(name, name) for name in node.output]
    for tensor in converted.initializer:
        tensor.name = halved[tensor.name]

    casts = [_cast(name, halved[name], TensorProto.FLOAT16) for name in entering]
    casts += [_cast(halved[name], name, TensorProto.FLOAT) for name in leaving]
    kept = [tensor for tensor in model.graph.initializer if tensor.name in _read([*head, *tail])]
    nodes, weights = [*head, *casts, *converted.node, *tail], [*kept, *converted.initializer]
    graph = helper.make_graph(nodes, model.graph.name, model.graph.input, model.graph.output, weights)
    OnnxModel.graph_topological_sort(graph, is_deterministic=True)
    model.graph.CopyFrom(graph)
    onnx.save(model, half)
    onnx.checker.check_model(half, full_check=True)


def _parts(nodes: list[NodeProto], path: Path) -> tuple[list[NodeProto], list[NodeProto], list[NodeProto]]:
    """Return the nodes before, from and after the part that becomes half precision; they are in topological order."""
    at = [number for number, node in enumerate(nodes) if node.op_type in _CONTRACTIONS]
    if not at:
        raise AenetError(f"{path} has no convolution or matrix product: there is nothing to put in half precision")
    first, last = at[0], at[-1] + 1
    convolved = max((number for number in at if nodes[number].op_type == "Conv"), default=first)
    powers = [number for number in range(convolved, last) if nodes[number].op_type == "Pow"]
    last = min([last, *powers])  # generalised mean pooling before a projection: cubes overflow half precision
    return nodes[:first], nodes[first:last], nodes[last:]


def _converted(
    model: ModelProto, nodes: list[NodeProto], types: dict[str, ValueInfoProto], entering: list[str], leaving: list[str]
) -> GraphProto:
    """Return the graph of `nodes` in half precision, its tensors named as they were."""
    weights = [tensor for tensor in model.graph.initializer if tensor.name in _read(nodes)]
    own = _made(nodes) | {tensor.name for tensor in weights}
    others = sorted(_read(nodes) - own - set(entering))  # shapes and the like
    inside = [info for name, info in types.items() if name in own and name not in leaving]
    part = helper.make_graph(
        nodes,
        "half",
        [types[name] for name in (*entering, *others)],
        [types[name] for name in leaving],
        weights,
        value_info=inside,
    )
    alone = helper.make_model(part, opset_imports=model.opset_import, ir_version=model.ir_version)
    graph: GraphProto = convert_float_to_float16(alone, keep_io_types=False, disable_shape_infer=True).graph
    return graph


def _cast(source: str, target: str, to: int) -> NodeProto:
    return helper.make_node("Cast", [source], [target], f"{target}_cast", to=to)


def _made(nodes: list[NodeProto]) -> set[str]:
    return {name for node in nodes for name in node.output if name}


def _read(nodes: list[NodeProto]) -> set[str]:
    return {name for node in nodes for name in node.input if name}


def half_parity(folder: Path, views: Views, config: ExportConfig) -> dict[str, Any]:
    """Compare the half-precision branches of `folder` with its float32 ones on real views.

    Returns:
        The lowest cosine of any descriptor with its float32 twin, the lowest with the mean descriptor taken out
        (flattened maps share most of their length), how many queries find another best match when both branches are
        half and when only the gallery's is (`mixed`), the largest result of a convolution or product in float32 (65,504
        is half precision's end), and `passed`.
    """
    n = min(config.places, len(views))
    batch = config.batches[-1]
    full, half = (
        {view: run_onnx(folder / f"{view}{ending}", getattr(views, view)[:n], batch, config.threads) for view in VIEWS}
        for ending in (".onnx", HALF)
    )
    best = recall.best_match(full["ground"], full["aerial"], 1)[:, 0]
    both = recall.best_match(half["ground"], half["aerial"], 1)[:, 0]
    mixed = recall.best_match(full["ground"], half["aerial"], 1)[:, 0]
    report: dict[str, Any] = {"places": n, "cosine_at_least": config.fp16_cosine}
    report["cosine"] = {view: _lowest_cosine(full[view], half[view]) for view in VIEWS}
    if n > 1:
        means = {view: full[view].mean(axis=0) for view in VIEWS}
        centred = {view: _lowest_cosine(full[view] - means[view], half[view] - means[view]) for view in VIEWS}
        report["centred_cosine"] = centred
    report["top1_changed"], report["top1_changed_mixed"] = int((both != best).sum()), int((mixed != best).sum())
    changed = max(report["top1_changed"], report["top1_changed_mixed"])
    report["largest_activation"] = {view: _largest_activation(folder / f"{view}.onnx", views, view) for view in VIEWS}
    fits = max(report["largest_activation"].values()) < _RANGE
    near = fits and all(cosine >= config.fp16_cosine for cosine in report["cosine"].values())
    report["passed"] = near and changed <= config.fp16_top1_changed * n
    return report


def _lowest_cosine(left: Float[np.ndarray, "n d"], right: Float[np.ndarray, "n d"]) -> float:
    """Return the lowest cosine of two rows; -1 where one is not finite, as after an overflow."""
    left, right = left.astype(np.float64), right.astype(np.float64)
    cosines = (left * right).sum(axis=1) / (np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1))
    return float(np.nan_to_num(cosines, nan=-1.0).min())


def _largest_activation(path: Path, views: Views, view: View) -> float:
    """Return the largest magnitude that the part to become half precision hands on, over a few places."""
    model = onnx.load(path)
    _, middle, _ = _parts(list(model.graph.node), path)
    names = [node.output[0] for node in middle if node.op_type in _CONTRACTIONS]
    model.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    largest = 0.0
    for row in range(min(_LOOKED_AT, len(views))):
        pixels = np.ascontiguousarray(getattr(views, view)[row : row + 1])
        found = session.run(names, {"image": pixels})
        largest = max(largest, *(float(np.nan_to_num(np.abs(values), nan=np.inf).max()) for values in found))
    return min(largest, float(np.finfo(np.float32).max))  # JSON knows no infinity
