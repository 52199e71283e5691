"""The doctor on GPUs: a device that is not used is explained, with the way out.

Where there is no device the driver's answers are made up; libraries, the trial and its red lines are real.
"""

import re
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from aenet.doctor import gpu as cuda
from aenet.doctor.doctor import diagnose
from aenet.serving.sessions.cuda import CudaDevice, cuda_device

ABSENT = CudaDevice(reason="no NVIDIA device file (/dev/nvidiactl)")
H100 = CudaDevice("NVIDIA H100", "CUDA 12.8", version=12080)
without_device = pytest.mark.skipif(bool(cuda_device()), reason="this machine has a CUDA device")


def _card(bus: Path, name: str, vendor: str, kind: str) -> None:
    (bus / name).mkdir(parents=True)
    (bus / name / "vendor").write_text(vendor + "\n")
    (bus / name / "class").write_text(kind + "\n")


@without_device
def test_a_machine_without_a_card_is_well(tmp_path: Path) -> None:
    findings = {finding.subject: finding for finding in diagnose(tmp_path)}
    assert findings["provider"].state in ("ok", "warn")
    assert findings["provider"].detail.startswith("CPU would run: ") and cuda_device().reason in str(findings)


def test_a_card_without_a_driver_is_seen_on_the_bus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    _card(tmp_path, "0000:01:00.0", "0x10de", "0x030200")  # 3D controller
    _card(tmp_path, "0000:01:00.1", "0x10de", "0x040300")  # its sound
    _card(tmp_path, "0000:02:00.0", "0x8086", "0x030000")  # Intel's
    assert cuda.cards(tmp_path) == 1 and cuda.cards(tmp_path / "none") == 0
    finding = cuda.absent(ABSENT, 1)
    assert finding.state == "warn" and "1 NVIDIA card on the bus, but no NVIDIA device file" in finding.detail
    assert "version 580 or newer" in finding.fix and "nvidia-smi" in finding.fix
    assert cuda.absent(ABSENT, 0).state == "ok"


def test_a_hidden_device_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    finding = cuda.absent(CudaDevice(reason="cuInit says 100"), 2)
    assert "CUDA_VISIBLE_DEVICES='-1' hides every device" in finding.detail and finding.fix.startswith("unset")


def test_a_container_without_devices_says_how_to_pass_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    reason = "the NVIDIA driver runs, but its device files are not passed into this container"
    assert "--gpus all" in cuda.absent(CudaDevice(reason=reason), 0).fix


def test_an_old_driver_is_told_with_both_versions() -> None:
    finding = cuda.too_old(H100, 13)
    assert finding is not None and finding.state == "broken"
    assert "CUDA up to 12.8, onnxruntime needs CUDA 13" in finding.detail and "580" in finding.fix
    assert cuda.too_old(H100, 12) is None and cuda.too_old(H100, None) is None


def test_missing_libraries_are_named_with_their_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    """The table is made up, the loader is real."""
    assert cuda.missing({"libc.so.6": "libc", "libnosuch.so.1": "nvidia-nosuch"}) == {"libnosuch.so.1": "nvidia-nosuch"}
    monkeypatch.setattr(cuda, "cuda_device", lambda: CudaDevice("NVIDIA H100", "CUDA 13.2", version=13020))
    monkeypatch.setattr(cuda, "libraries", lambda major: {"libnosuch.so.1": "nvidia-nosuch"})
    gpu, finding = cuda.check_device()
    assert gpu.state == "ok" and finding.state == "broken"
    assert "libnosuch.so.1" in finding.detail and ".[cuda]" in finding.fix
    assert "nvidia-nosuch" in finding.fix


def test_the_libraries_named_are_those_the_provider_loads() -> None:
    provider = Path(onnxruntime.__file__).parent / "capi" / "libonnxruntime_providers_cuda.so"
    if not provider.exists():
        pytest.skip("this onnxruntime is built without CUDA")
    content = provider.read_bytes()
    names = cuda.libraries(int(onnxruntime.cuda_version.split(".")[0]))
    # cuDNN is loaded by name at run time.
    assert [name for name in names if name.encode() not in content and "cudnn" not in name] == []


@without_device
def test_the_trial_tells_the_first_red_line() -> None:
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime is built without CUDA")
    says = cuda.trial()
    # The driver's library, or without the extra `cuda` one of CUDA's own.
    assert re.match(r"lib\w+\.so\.\d+: cannot open shared object file", says) or "CUDA" in says


def test_the_trials_network_is_a_convolution() -> None:
    model = onnx.load_from_string(bytes.fromhex(cuda._MODEL))
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(bytes.fromhex(cuda._MODEL), providers=["CPUExecutionProvider"])
    assert session.run(None, {"x": np.ones((1, 1, 2, 2), np.float32)})[0].item() == 4


@pytest.mark.parametrize(
    ("line", "says", "fix"),
    [
        (
            "\x1b[1;31m2026-01-01 10:00:00.1 [E:onnxruntime:Default, provider_bridge_ort.cc:2458 operator()] /src/x.cc "
            "Get() [ONNXRuntimeError] : 1 : FAIL : Failed to load library /a/b.so with error: libcublasLt.so.13: "
            "cannot open shared object file: No such file or directory\x1b[m",
            "libcublasLt.so.13: cannot open shared object file: No such file or directory",
            ".[cuda]",
        ),
        (
            "onnxruntime.Fail: [ONNXRuntimeError] : 1 : FAIL : CUDA failure 2: out of memory",
            "CUDA failure 2",
            "memory is",
        ),
        ("Fail: CUDA failure 46: CUDA-capable device(s) is/are busy or unavailable", "Fail: CUDA", "another process"),
        ("Fail: CUDA failure 209: no kernel image is available for execution", "Fail: CUDA", "too old"),
        ("Fail: something never seen", "Fail: something never seen", "report this line"),
    ],
)
def test_red_lines_lead_to_ways_out(line: str, says: str, fix: str) -> None:
    assert cuda.first_error(f"Traceback (most recent call last):\n{line}\n").startswith(says)
    assert fix in cuda.way_out(cuda.first_error(line))
