"""What is installed, what would run, what is broken, and how to fix it."""

import os
import platform
import sys
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from urllib.parse import urlsplit

from aenet.doctor import gpu
from aenet.doctor.gpu import INSTALL, Finding, installed
from aenet.io.machine import install, usable_cores
from aenet.io.redaction import without_secrets

# What would run: onnxruntime, OpenCV, cores.


def check_onnxruntime() -> Iterator[Finding]:
    """Which onnxruntime is there, and only one?"""
    import onnxruntime

    both = [name for name in ("onnxruntime", "onnxruntime-gpu") if installed(name)]
    if len(both) > 1:
        fix = "pip uninstall -y onnxruntime onnxruntime-gpu, then " + INSTALL
        yield Finding("broken", "onnxruntime", "onnxruntime and onnxruntime-gpu overwrite each other's files", fix)
    providers = [name.removesuffix("ExecutionProvider") for name in onnxruntime.get_available_providers()]
    listed = ", ".join(providers)
    yield Finding("ok", "onnxruntime", f"{onnxruntime.__version__}, built for {listed} (built for is not runs on)")


def check_opencv() -> Iterator[Finding]:
    """Does OpenCV make the pixels the models know?"""
    import cv2

    major = int(cv2.__version__.split(".")[0])
    if major >= 5:
        yield Finding("broken", "opencv", f"{cv2.__version__} makes other view pixels than 4.x", INSTALL)
    elif sum(installed(f"opencv-{kind}") for kind in ("python", "python-headless", "contrib-python")) > 1:
        fix = "pip uninstall -y opencv-python opencv-contrib-python opencv-python-headless, then " + INSTALL
        yield Finding("warn", "opencv", "two OpenCV packages overwrite each other's files", fix)
    else:
        yield Finding("ok", "opencv", cv2.__version__)


def check_cores() -> Iterator[Finding]:
    """Are no more threads asked for than there are cores?"""
    cores = usable_cores()
    asked = os.environ.get("OMP_NUM_THREADS", "")
    detail = f"{cores} usable" + (f", OMP_NUM_THREADS={asked}" if asked else "")
    if asked.isdigit() and int(asked) > cores:
        fix = f"unset OMP_NUM_THREADS or set it to at most {cores}"
        yield Finding("warn", "cores", detail + ": more threads than cores are many times slower", fix)
    else:
        yield Finding("ok", "cores", detail)


# What is installed and where the project keeps its records: Python, packages, MLflow's store, DVC's cache.

_PIPELINE = ("torch", "timm", "accelerate", "onnx", "dvc", "mlflow", "prefect")


def check_python() -> Iterator[Finding]:
    """Is the interpreter new enough?"""
    found = platform.python_version()
    if sys.version_info < (3, 11):  # noqa: UP036  run from an older interpreter this is the finding
        yield Finding("broken", "python", f"{found}, 3.11 or newer is needed", "make the environment with a newer one")
    else:
        yield Finding("ok", "python", f"{found} at {sys.executable}")


def check_packages() -> Iterator[Finding]:
    """Hold every requirement of the base install against what is there."""
    from packaging.requirements import Requirement

    wanted = [Requirement(line) for line in metadata.requires("aenet") or []]
    base = [line for line in wanted if line.marker is None or line.marker.evaluate({"extra": ""})]
    fine = []
    for requirement in base:
        try:
            found = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            yield Finding("broken", requirement.name, "not installed", INSTALL)
            continue
        if requirement.specifier.contains(found, prereleases=True):
            fine.append(requirement.name)
        else:
            yield Finding("broken", requirement.name, f"{found} installed, {requirement.specifier} needed", INSTALL)
    yield Finding("ok", "packages", f"{len(fine)} of {len(base)} of the base install fit")


def check_pipeline() -> Iterator[Finding]:
    """Is the pipeline's extra there, wholly or not at all?"""
    missing = [name for name in _PIPELINE if not installed(name)]
    if len(missing) == len(_PIPELINE):
        yield Finding("ok", "pipeline", "extra not installed: localizing works, training does not")
    elif missing:
        yield Finding("warn", "pipeline", f"extra is incomplete: {', '.join(missing)} missing", install())
    else:
        versions = ", ".join(f"{name} {metadata.version(name)}" for name in _PIPELINE)
        yield Finding("ok", "pipeline", versions)


def check_stores(root: Path) -> Iterator[Finding]:
    """Can MLflow's store and DVC's cache be written?"""
    if not (root / "dvc.yaml").exists():
        yield Finding("ok", "project", "no dvc.yaml here: localizing needs none")
        return
    uri = os.environ.get("MLFLOW_TRACKING_URI", "")
    if uri.startswith(("http://", "https://")):
        yield _server(uri)
    else:
        writable = os.access(root, os.W_OK)
        fix = "" if writable else "run as a user who may write here"
        where = without_secrets(uri) or str(root.absolute() / "mlflow.db")
        yield Finding("ok" if writable else "broken", "mlflow", f"store {where}", fix)
    cache = root / ".dvc"
    if cache.is_dir() and os.access(cache, os.W_OK):
        yield Finding("ok", "dvc", f"{cache.absolute()} is writable")
    else:
        yield Finding("broken", "dvc", f"{cache.absolute()} is missing or not writable", "dvc init, or fix its rights")


def _server(uri: str) -> Finding:
    import socket

    parts = urlsplit(uri)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    where = f"{parts.hostname}:{port}"  # without the password that a URI may hold
    try:
        with socket.create_connection((parts.hostname or "", port), timeout=2):
            return Finding("ok", "mlflow", f"server {where} answers")
    except OSError as error:
        fix = "start it, or unset MLFLOW_TRACKING_URI; runs go on and are sent later with `aenet sync`"
        return Finding("warn", "mlflow", f"server {where} does not answer ({error})", fix)


def diagnose(root: Path = Path()) -> list[Finding]:
    """Look at everything localization and the pipeline need; `root` is the project's folder. Never raises."""
    checks = (
        check_python,
        check_packages,
        check_onnxruntime,
        gpu.check_device,
        check_opencv,
        check_cores,
        check_pipeline,
        lambda: check_stores(root),
    )
    return [finding for check in checks for finding in _safely(check)]


def _safely(check: Callable[[], Iterator[Finding]]) -> list[Finding]:
    try:
        return list(check())
    except Exception as error:  # noqa: BLE001  a doctor that falls over helps nobody: what failed is a finding
        return [Finding("broken", "doctor", f"a check failed: {type(error).__name__}: {error}", "report this")]
