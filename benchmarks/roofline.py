"""What a device can do at most, and what a network asks of it: the roofline of `benchmarks/serving.py`.

A network is counted from its ONNX file: operations are two for each multiply-accumulate of convolutions and matrix
products; bytes are what each of those reads and writes, weights once a batch. What lies between them is taken to be
fused away and costs nothing. A layer takes at least the longer of its arithmetic and its traffic (Williams et al.,
Roofline, CACM 2009); the network takes their sum.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import onnx
import torch

# Dense TFLOP/s in fp16, TF32 and fp32, TB/s of memory, by NVIDIA's data sheets; the first name found counts.
_CARDS: dict[str, tuple[float, float, float, float]] = {
    "H100 PCIe": (756, 378, 51, 2.0),
    "H100 NVL": (835, 417, 60, 3.9),
    "H100": (989, 495, 67, 3.35),
    "H200": (989, 495, 67, 4.8),
    "GH200": (989, 495, 67, 4.0),
    "A100-SXM4-80GB": (312, 156, 19.5, 2.04),
    "A100": (312, 156, 19.5, 1.55),
    "L40S": (362, 183, 91.6, 0.864),
    "L4": (121, 60, 30.3, 0.3),
    "T4": (65, 8.1, 8.1, 0.32),
}


@dataclass(frozen=True)
class Peak:
    """Operations a second and bytes a second, and where the figures come from."""

    flops: float
    bandwidth: float
    source: str


@dataclass(frozen=True)
class Layer:
    """Operations and bytes of activations of one image, bytes of weights of one batch."""

    operations: float
    activations: float
    weights: float


def layers(path: Path) -> list[Layer]:
    """Return the convolutions and matrix products of an exported branch."""
    model = onnx.load(path)
    for info in (*model.graph.input, *model.graph.output):
        info.type.tensor_type.shape.dim[0].dim_value = 1
    graph = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    shapes, width = {}, {}
    for info in (*graph.value_info, *graph.input, *graph.output):
        kind = info.type.tensor_type
        shapes[info.name] = [max(1, dim.dim_value) for dim in kind.shape.dim]
        width[info.name] = 2 if kind.elem_type == onnx.TensorProto.FLOAT16 else 4
    weights = {tensor.name for tensor in graph.initializer}
    for tensor in graph.initializer:
        shapes[tensor.name] = list(tensor.dims)
        width[tensor.name] = 2 if tensor.data_type == onnx.TensorProto.FLOAT16 else 4
    found = []
    for node in graph.node:
        if node.op_type not in ("Conv", "Gemm", "MatMul"):
            continue
        names = [name for name in (*node.input, *node.output) if name]
        size = {name: math.prod(shapes[name]) * width[name] for name in names}
        inner = math.prod(shapes[node.input[1]][1:]) if node.op_type == "Conv" else shapes[node.input[0]][-1]
        fixed = sum(size[name] for name in names if name in weights)
        operations = 2 * math.prod(shapes[node.output[0]]) * inner
        found.append(Layer(operations, sum(size.values()) - fixed, fixed))
    return found


def bound(network: list[Layer], peak: Peak, batch_size: int) -> float:
    """Return the images a second that the device cannot exceed."""
    seconds = 0.0
    for layer in network:
        traffic = batch_size * layer.activations + layer.weights
        seconds += max(batch_size * layer.operations / peak.flops, traffic / peak.bandwidth)
    return batch_size / seconds


def peak(device: str, hardware: str, precision: str, threads: int) -> Peak | None:
    """Return the device's peak: by its maker's data sheet for a known GPU, measured here for a CPU.

    Args:
        device: cpu or cuda.
        hardware: its name.
        precision: fp16, tf32 or fp32.
        threads: of the CPU.
    """
    if device == "cpu":
        return _measured(threads)
    card = next((figures for name, figures in _CARDS.items() if name in hardware), None)
    if card is None:
        return None
    return Peak(1e12 * card[("fp16", "tf32", "fp32").index(precision)], 1e12 * card[3], "data sheet")


def _measured(threads: int) -> Peak:
    """Per core by processor time, times the threads: other work on the machine does not count."""
    torch.set_num_threads(threads)
    left, right = torch.rand(1024, 1024), torch.rand(1024, 1024)
    maps, weights = (
        torch.rand(shape).to(memory_format=torch.channels_last) for shape in ((8, 256, 28, 28), (256, 256, 3, 3))
    )
    there, here = torch.empty(32 << 20), torch.rand(32 << 20)  # 128 MiB each: no cache holds them
    # The two come from libraries that do not know every processor equally well.
    product = 2 * 1024**3 / min(_busy(lambda: torch.mm(left, right)) for _ in range(20))
    operations = 2 * weights.numel() * maps.numel() // 256  # each of 8 x 28 x 28 places sees all weights
    convolution = operations / min(_busy(lambda: torch.conv2d(maps, weights, padding=1)) for _ in range(20))
    flops = max(product, convolution)
    bandwidth = 2 * 4 * len(here) / min(_busy(lambda: there.copy_(here)) for _ in range(5))
    source = (
        "the faster of a product of 1024 x 1024 matrices and a 3 x 3 convolution of 256 channels, and a copy of "
        "128 MiB, measured in this run, by processor time"
    )
    return Peak(threads * flops, threads * bandwidth, source)


def _busy(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began
