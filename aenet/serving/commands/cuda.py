"""Flags of `aenet locate` and `aenet gallery`: in which precision the network computes, and how on CUDA."""

from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from aenet.serving.sessions.cudaoptions import CudaOptions

_PANEL = "Network and CUDA"

NetworkPrecision = Annotated[
    Literal["auto", "fp32", "fp16"],
    typer.Option(help="of the network; auto: fp16 on CUDA if the model has it, else fp32", rich_help_panel=_PANEL),
]
Device = Annotated[int, typer.Option(min=0, help="number of the CUDA device", rich_help_panel=_PANEL)]
Memory = Annotated[
    int | None,
    typer.Option("--gpu-memory", min=64, help="MiB onnxruntime may take of the device", rich_help_panel=_PANEL),
]
Tf32 = Annotated[
    bool, typer.Option("--tf32", help="multiply fp32 networks in TF32: faster, less exact", rich_help_panel=_PANEL)
]
Graphs = Annotated[
    bool, typer.Option("--cuda-graphs", help="replay the network as one CUDA graph", rich_help_panel=_PANEL)
]
TensorRt = Annotated[
    bool, typer.Option("--tensorrt", help="run through TensorRT; builds engines first", rich_help_panel=_PANEL)
]


def cuda_options(device: int, memory_mib: int | None, tf32: bool, graphs: bool, tensorrt: bool) -> "CudaOptions":
    """Return what the flags say."""
    from aenet.serving.sessions.cudaoptions import CudaOptions

    return CudaOptions(device=device, memory_mib=memory_mib, tf32=tf32, graphs=graphs, tensorrt=tensorrt)
