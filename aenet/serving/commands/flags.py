"""Lengths as people write them: `70m`, `70 m`, `0.07km`, `70`."""

import math
import re
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from aenet.io.errors import AenetError

if TYPE_CHECKING:
    from aenet.serving.sessions.cuda import CudaOptions

_METRES = {"": 1.0, "m": 1.0, "km": 1000.0, "ft": 0.3048}
_PATTERN = re.compile(r"\s*([0-9]*\.?[0-9]+)\s*([a-zA-Z]*)\s*")


def parse_area(text: str | None, option: str) -> tuple[float, float, float, float] | None:
    """Return west, south, east, north in degrees from `W,S,E,N`; None for None.

    An area from the eastern to the western hemisphere goes across 180 degrees; other areas whose west is above their
    east are a mistake.

    Raises:
        AenetError: not four numbers, or they enclose nothing.
    """
    if text is None:
        return None
    try:
        west, south, east, north = (float(part) for part in text.split(","))
    except ValueError as error:
        raise AenetError(f"{option} {text!r} is not west,south,east,north in degrees") from error
    onwards = west < east or west > 0 > east
    if not (-180 <= west <= 180 and -180 <= east <= 180 and onwards and -90 <= south < north <= 90):
        raise AenetError(f"{option} {text!r} encloses nothing: west < east and south < north, in degrees")
    return west, south, east, north


def parse_metres(text: str, option: str) -> float:
    """Return the metres in `text`; `option` names where it was given.

    Raises:
        AenetError: not a positive length in m, km or ft.
    """
    match = _PATTERN.fullmatch(text)
    factor = _METRES.get(match[2].lower()) if match else None
    metres = float(match[1]) * factor if match and factor else math.nan
    if not metres > 0:
        raise AenetError(f"{option} {text!r} is not a length: write for example 70m, 0.07km or 230ft")
    return metres


# Flags of `aenet locate` and `aenet gallery`: in which precision the network computes, and how on CUDA.

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
    from aenet.serving.sessions.cuda import CudaOptions

    return CudaOptions(device=device, memory_mib=memory_mib, tf32=tf32, graphs=graphs, tensorrt=tensorrt)
