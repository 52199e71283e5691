"""Is there an NVIDIA device that answers? Asked of the driver itself, before any library is asked to use it.

onnxruntime-gpu lists its CUDA provider on every machine and falls back to the CPU with red lines on stderr;
asking the driver first keeps a machine without a GPU quiet.
"""

import ctypes
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

_DEVICE_FILES = ("/dev/nvidiactl", "/dev/dxg")  # Linux driver; Windows Subsystem for Linux


@dataclass(frozen=True)
class CudaDevice:
    """What the driver says. `name` is empty where there is no usable device, and `reason` says why."""

    name: str = ""
    driver: str = ""
    reason: str = ""

    def __bool__(self) -> bool:
        return bool(self.name)


@lru_cache(maxsize=1)
def cuda_device() -> CudaDevice:
    """Return the first CUDA device the driver offers; never raises and prints nothing."""
    if not any(Path(file).exists() for file in _DEVICE_FILES):
        return CudaDevice(reason="no NVIDIA device file (/dev/nvidiactl)")
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return CudaDevice(reason="the NVIDIA driver library libcuda.so.1 is not installed")
    count, version = ctypes.c_int(0), ctypes.c_int(0)
    if code := driver.cuInit(0):
        return CudaDevice(reason=f"the NVIDIA driver does not start (cuInit says {code})")
    driver.cuDriverGetVersion(ctypes.byref(version))
    if driver.cuDeviceGetCount(ctypes.byref(count)) or count.value == 0:
        return CudaDevice(reason="the NVIDIA driver shows no device (is CUDA_VISIBLE_DEVICES empty?)")
    name = ctypes.create_string_buffer(128)
    driver.cuDeviceGetName(name, len(name), 0)
    cuda = f"CUDA {version.value // 1000}.{version.value % 1000 // 10}"
    return CudaDevice(name=name.value.decode(errors="replace") or "NVIDIA device", driver=cuda)
