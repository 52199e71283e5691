"""Why a GPU is not used: card, driver, its version, libraries, and at last a trial; each with the way out."""

import ctypes
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from aenet.serving.sessions.cuda import CudaDevice, cuda_device

State = Literal["ok", "warn", "broken"]
INSTALL = "pip install -c constraints.txt -e ."


@dataclass(frozen=True)
class Finding:
    """One thing looked at: its state, what was found, and how to fix it (empty where nothing is wrong)."""

    state: State
    subject: str
    detail: str
    fix: str = ""


def installed(name: str) -> bool:
    """Return whether a distribution is installed."""
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


_PCI = Path("/sys/bus/pci/devices")
_NVIDIA, _DISPLAY = "0x10de", "0x03"  # PCI vendor; class of display controllers
_DRIVERS = {12: "525", 13: "580"}  # oldest driver of each CUDA, docs.nvidia.com/deploy/cuda-compatibility
_EXTRAS = "pip install -c constraints.txt -e '.[cuda]'"
_SECONDS = 120
# A convolution of x [1, 1, 2, 2] with itself: small, and cuDNN has to be there for it.
_MODEL = (
    "08093a4e0a0f0a01780a01781201792204436f6e761201675a1b0a017812160a14080112100a0208010a0208010a0208020a"
    "020802621b0a017912160a14080112100a0208010a0208010a0208010a02080142040a001014"
)
_TRIAL = """
import sys, numpy, onnxruntime
onnxruntime.preload_dlls()
options = onnxruntime.SessionOptions()
options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
providers = ["CUDAExecutionProvider"]
session = onnxruntime.InferenceSession(bytes.fromhex(sys.argv[1]), options, providers=providers, enable_fallback=0)
session.run(None, {"x": numpy.ones((1, 1, 2, 2), numpy.float32)})
"""
# What a line of onnxruntime, CUDA or cuDNN means: words in it, the way out.
_WAYS_OUT: tuple[tuple[tuple[str, ...], str], ...] = (
    (
        ("out of memory", "alloc_failed", "failed to allocate"),
        "the device's memory is full: `nvidia-smi` shows who has it; wait, or choose another device with "
        "CUDA_VISIBLE_DEVICES",
    ),
    (
        ("busy or unavailable", "devicesunavailable", "already in use"),
        "another process holds the device for itself: `nvidia-smi` shows which; end it, or `nvidia-smi -c DEFAULT`",
    ),
    (
        ("no kernel image", "not supported on this device", "arch_mismatch"),
        "the device is too old for this onnxruntime: use --provider cpu",
    ),
    (("insufficient", "older than", "system has unsupported"), "update NVIDIA's driver and restart"),
    (("cannot open shared object", "failed to load library", "cudnn_status_not_initialized"), _EXTRAS),
)


def check_device() -> Iterator[Finding]:
    """A graphics device is a comfort, unless it is there and cannot be used."""
    device = cuda_device()
    if not device:
        yield absent(device, cards())
        return
    yield Finding("ok", "gpu", f"{device.name}, driver for {device.driver}")
    if finding := too_old(device, _built_for()):
        yield finding
    elif lost := missing(libraries(_built_for() or 13)):
        detail = f"onnxruntime needs {', '.join(lost)}, which cannot be loaded: the CPU would run"
        yield Finding("broken", "cuda libraries", detail, f"{_EXTRAS} (or {', '.join(sorted(set(lost.values())))})")
    elif says := trial():
        yield Finding("broken", "provider", f"CUDA is there and does not start: {says}", way_out(says))
    else:
        yield Finding("ok", "provider", "CUDA runs")


def absent(device: CudaDevice, found: int) -> Finding:
    """Return what to say where the driver offers no device, on a machine with `found` cards of NVIDIA's."""
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
    if hidden is not None and hidden.strip() in ("", "-1"):
        detail = f"CPU would run: CUDA_VISIBLE_DEVICES={hidden!r} hides every device"
        return Finding("warn", "provider", detail, "unset CUDA_VISIBLE_DEVICES") if found else _quiet(device)
    if "container" in device.reason:
        return Finding("warn", "provider", f"CPU would run: {device.reason}", "start it with `docker run --gpus all`")
    if not found:
        return _quiet(device)
    driver = _DRIVERS.get(_built_for() or 0, "newest")
    fix = f"install NVIDIA's driver, version {driver} or newer, restart, and see that `nvidia-smi` lists the card"
    detail = f"CPU would run: {found} NVIDIA card{'s' if found > 1 else ''} on the bus, but {device.reason}"
    return Finding("warn", "provider", detail, fix)


def _quiet(device: CudaDevice) -> Finding:
    return Finding("ok", "provider", f"CPU would run: {device.reason}")


def cards(pci: Path = _PCI) -> int:
    """Return how many of NVIDIA's display and compute cards are on the PCI bus; 0 where it cannot be read."""
    count = 0
    for entry in pci.glob("*"):
        try:
            vendor, kind = ((entry / name).read_text().strip() for name in ("vendor", "class"))
        except OSError:
            continue
        count += vendor == _NVIDIA and kind.startswith(_DISPLAY)
    return count


def too_old(device: CudaDevice, built_for: int | None) -> Finding | None:
    """Return a finding if the driver serves only CUDAs older than the one onnxruntime is built for."""
    if built_for is None or device.version // 1000 >= built_for:
        return None
    detail = f"the driver serves CUDA up to {device.driver.removeprefix('CUDA ')}, onnxruntime needs CUDA {built_for}"
    driver = _DRIVERS.get(built_for, "newest")
    return Finding("broken", "gpu", f"{detail}: the CPU would run", f"update NVIDIA's driver to {driver} or newer")


def _built_for() -> int | None:
    """Return the major version of CUDA that onnxruntime is built for; None where it does not say."""
    import onnxruntime

    version = str(getattr(onnxruntime, "cuda_version", "") or "")
    return int(version.split(".", maxsplit=1)[0]) if version[:1].isdigit() else None


def libraries(major: int) -> dict[str, str]:
    """Return the libraries the CUDA provider loads, each with the package that brings it."""
    suffix = "" if major >= 13 else f"-cu{major}"
    return {
        f"libcudart.so.{major}": f"nvidia-cuda-runtime{suffix}",
        f"libcublas.so.{major}": f"nvidia-cublas{suffix}",
        f"libcublasLt.so.{major}": f"nvidia-cublas{suffix}",
        "libcurand.so.10": f"nvidia-curand{suffix}",
        "libcudnn.so.9": f"nvidia-cudnn-cu{major}",
    }


def missing(table: Mapping[str, str]) -> dict[str, str]:
    """Return those of `table` that cannot be loaded, once onnxruntime has loaded what it finds."""
    import onnxruntime

    if hasattr(onnxruntime, "preload_dlls"):
        onnxruntime.preload_dlls()
    return {name: package for name, package in table.items() if not _loads(name)}


def _loads(name: str) -> bool:
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True


def trial() -> str:
    """Run a network of one node on CUDA in a process of its own; return what went wrong first, empty if nothing."""
    command = [sys.executable, "-c", _TRIAL, _MODEL]
    try:
        ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_SECONDS)
    except subprocess.TimeoutExpired:
        return f"no answer within {_SECONDS} s"
    if ran.returncode == 0:
        return ""
    return first_error(ran.stderr) or f"the trial ended with status {ran.returncode} and said nothing"


def first_error(stderr: str) -> str:
    """Return the first error onnxruntime printed, without colours, times and source lines; else the last line."""
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line).strip() for line in stderr.splitlines()]
    lines = [line for line in lines if line]
    red = next((line for line in lines if "[E:onnxruntime" in line), lines[-1] if lines else "")
    for mark in (" with error: ", " : FAIL : ", "operator()] "):
        red = red.rpartition(mark)[2]
    return red[:300]


def way_out(says: str) -> str:
    """Return what to do about a line of onnxruntime's."""
    low = says.lower()
    known = (way for words, way in _WAYS_OUT if any(word in low for word in words))
    return next(known, "restart and try `nvidia-smi`; if that works, report this line")
