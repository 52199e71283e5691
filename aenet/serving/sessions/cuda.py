"""Is there an NVIDIA device that answers? Asked of the driver itself, before any library is asked to use it.

onnxruntime-gpu lists its CUDA provider on every machine and falls back to the CPU with red lines on stderr;
asking the driver first keeps a machine without a GPU quiet.
"""

import ctypes
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

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
