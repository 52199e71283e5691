"""NVIDIA devices: whether one answers, asked of the driver itself, and the options of sessions on it.

onnxruntime-gpu lists its CUDA provider on every machine and falls back to the CPU with red lines on stderr;
asking the driver first keeps a machine without a GPU quiet.
"""

import ctypes
import importlib
import os
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnxruntime
from jaxtyping import Float32, UInt8
from pydantic import Field

from aenet.io.errors import AenetError
from aenet.io.params import Config

_DEVICE_FILES = ("/dev/nvidiactl", "/dev/dxg")  # Linux driver; Windows Subsystem for Linux


_PROC = Path("/proc/driver/nvidia/version")


@dataclass(frozen=True)
class CudaDevice:
    """What the driver says. `name` is empty where there is no usable device, and `reason` says why.

    Attributes:
        name: of the device.
        driver: newest CUDA the driver serves, in words: `CUDA 13.2`.
        reason: why there is no device.
        version: the same as a number: 1000 major + 10 minor.
    """

    name: str = ""
    driver: str = ""
    reason: str = ""
    version: int = 0

    def __bool__(self) -> bool:
        return bool(self.name)


@lru_cache(maxsize=8)
def cuda_device(index: int = 0) -> CudaDevice:
    """Return the CUDA device of that number, as CUDA_VISIBLE_DEVICES leaves them; never raises and prints nothing."""
    if not any(Path(file).exists() for file in _DEVICE_FILES):
        if _PROC.exists():
            return CudaDevice(reason="the NVIDIA driver runs, but its device files are not passed into this container")
        return CudaDevice(reason="no NVIDIA device file (/dev/nvidiactl)")
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return CudaDevice(reason="the NVIDIA driver library libcuda.so.1 is not installed")
    if code := driver.cuInit(0):
        return CudaDevice(reason=f"the NVIDIA driver does not start (cuInit says {code}{_in_words(driver, code)})")
    return _asked(driver, index)


def _asked(driver: ctypes.CDLL, index: int) -> CudaDevice:
    count, version = ctypes.c_int(0), ctypes.c_int(0)
    driver.cuDriverGetVersion(ctypes.byref(version))
    if driver.cuDeviceGetCount(ctypes.byref(count)) or count.value == 0:
        return CudaDevice(reason="the NVIDIA driver shows no device (is CUDA_VISIBLE_DEVICES empty?)")
    if index >= count.value:
        return CudaDevice(reason=f"device {index} was asked for, the NVIDIA driver shows {count.value}, counted from 0")
    handle, name = ctypes.c_int(0), ctypes.create_string_buffer(128)
    driver.cuDeviceGet(ctypes.byref(handle), index)
    driver.cuDeviceGetName(name, len(name), handle)
    cuda = f"CUDA {version.value // 1000}.{version.value % 1000 // 10}"
    return CudaDevice(name.value.decode(errors="replace") or "NVIDIA device", cuda, version=version.value)


def _in_words(driver: ctypes.CDLL, code: int) -> str:
    words = ctypes.c_char_p()
    driver.cuGetErrorString(code, ctypes.byref(words))
    return f": {words.value.decode(errors='replace')}" if words.value else ""


# Sessions on CUDA: provider options, TensorRT, CUDA graphs.
#
# The batch is fixed: the last one is padded (`session.OnnxBranch`). cuDNN searches its convolutions once per shape,
# CUDA graphs and TensorRT engines are of one shape, and with a number in the place of the graph's `batch` onnxruntime
# folds the shape arithmetic away, which it would otherwise leave to the CPU.
#
# Options are those of https://onnxruntime.ai/docs/execution-providers/CUDA-ExecutionProvider.html and
# TensorRT-ExecutionProvider.html, as onnxruntime 1.31 knows them.

CUDA, TENSORRT, CPU = (f"{name}ExecutionProvider" for name in ("CUDA", "Tensorrt", "CPU"))
BATCH_DIMENSION = "batch"  # what `aenet.export.graphs` names it
SILENT = 4  # onnxruntime's severity "fatal": what goes wrong is raised, and said by us
Providers = list[str | tuple[str, dict[str, str]]]


class CudaOptions(Config):
    """How to run on CUDA.

    Attributes:
        device: number of the device, as CUDA_VISIBLE_DEVICES leaves them.
        memory_mib: largest arena of onnxruntime on the device, MiB; None takes what is needed. cuDNN's and the
            driver's own memory come on top.
        tf32: let float32 networks multiply with TF32's 10 bits of fraction. Off, so that float32 descriptors are the
            CPU's; where speed counts, fp16 is as exact as TF32 and twice as fast.
        search: how cuDNN chooses its convolutions: `exhaustive` tries them all on the first batch.
        graphs: replay the network as one CUDA graph; fewer launches, worth it for small batches and networks.
        tensorrt: run through TensorRT; its engines are built once, in minutes, and kept in the user's cache.
    """

    device: int = Field(default=0, ge=0)
    memory_mib: int | None = Field(default=None, ge=64)
    tf32: bool = False
    search: Literal["exhaustive", "heuristic", "default"] = "exhaustive"
    graphs: bool = False
    tensorrt: bool = False


def providers(options: CudaOptions, half: bool, engines: Path) -> Providers:
    """Return onnxruntime's list of providers, CPU not among them.

    Args:
        options: see CudaOptions.
        half: the model is half precision.
        engines: folder for TensorRT's engines.
    """
    cuda = {
        "device_id": str(options.device),
        "cudnn_conv_algo_search": options.search.upper(),
        "use_tf32": str(int(options.tf32)),
        "arena_extend_strategy": "kSameAsRequested",  # one batch size asks for the same blocks again and again
        "enable_cuda_graph": str(int(options.graphs and not options.tensorrt)),
    }
    if options.memory_mib is not None:
        cuda["gpu_mem_limit"] = str(options.memory_mib << 20)
    if not options.tensorrt:
        return [(CUDA, cuda)]
    tensorrt = {
        "device_id": str(options.device),
        "trt_fp16_enable": str(int(half)),
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": str(engines),
        "trt_timing_cache_enable": "1",
        "trt_timing_cache_path": str(engines),
        "trt_cuda_graph_enable": str(int(options.graphs)),
    }
    return [(TENSORRT, tensorrt), (CUDA, cuda)]


def open_cuda(content: bytes, options: CudaOptions, half: bool, batch_size: int, only: bool) -> Any:
    """Return a session on CUDA for batches of exactly `batch_size`; where it did not start, `get_providers` lacks CUDA.

    Args:
        content: the model.
        options: see CudaOptions.
        half: the model is half precision.
        batch_size: see above.
        only: let no node of the network run on the CPU.

    Raises:
        AenetError: TensorRT is wanted and not installed.
        Exception: whatever onnxruntime raises, also where `only` and a node is left to the CPU.
    """
    engines = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "aenet" / "tensorrt"
    if hasattr(onnxruntime, "preload_dlls"):
        onnxruntime.preload_dlls()
    if options.tensorrt:
        _load_tensorrt()
        engines.mkdir(parents=True, exist_ok=True)
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = SILENT
    settings.add_free_dimension_override_by_name(BATCH_DIMENSION, batch_size)
    wanted = providers(options, half, engines)
    if only:
        settings.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    else:
        wanted.append(CPU)
    # Without `enable_fallback=0` a failure is printed and everything runs on the CPU.
    return onnxruntime.InferenceSession(content, settings, providers=wanted, enable_fallback=0)


def _load_tensorrt() -> None:
    """Load TensorRT's libraries: its wheels keep them where no loader looks, importing it loads them."""
    if find_spec("tensorrt") is None:
        raise AenetError(
            "TensorRT was asked for and is not installed: pip install 'tensorrt-cu13<11', or leave tensorrt out"
        )
    importlib.import_module("tensorrt")


class Bound:
    """A session's input and output at fixed places in a device's memory, which CUDA graphs need.

    Without graphs it would save nothing: pixels come from the host and descriptors go back to it.
    """

    def __init__(self, session: Any, name: str, pixels: tuple[int, ...], dim: int, kind: str, device: int) -> None:
        """Bind input `name` of shape `pixels` and the output [pixels[0], dim] on device number `device` of `kind`."""
        self._session, self._binding = session, session.io_binding()
        value = onnxruntime.OrtValue
        self._pixels = value.ortvalue_from_numpy(np.zeros(pixels, np.uint8), kind, device)
        self._descriptors = value.ortvalue_from_shape_and_type((pixels[0], dim), np.float32, kind, device)
        self._binding.bind_ortvalue_input(name, self._pixels)
        self._binding.bind_ortvalue_output("descriptor", self._descriptors)

    def run(self, views: UInt8[np.ndarray, "b h w 3"]) -> Float32[np.ndarray, "b d"]:
        """Return descriptors of a whole batch."""
        self._pixels.update_inplace(np.ascontiguousarray(views))
        self._session.run_with_iobinding(self._binding)
        return np.array(self._descriptors.numpy())  # the next run writes to the same place
