"""What is installed and where the project keeps its records: Python, packages, MLflow's store, DVC's cache."""

import os
import platform
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from urllib.parse import urlsplit

from aenet.checks.finding import INSTALL, Finding, installed
from aenet.extras import install
from aenet.redaction import without_secrets

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
        mend = "" if writable else "run as a user who may write here"
        where = without_secrets(uri) or str(root.absolute() / "mlflow.db")
        yield Finding("ok" if writable else "broken", "mlflow", f"store {where}", mend)
    cache = root / ".dvc"
    if cache.is_dir() and os.access(cache, os.W_OK):
        yield Finding("ok", "dvc", f"{cache.absolute()} is writable")
    else:
        yield Finding("broken", "dvc", f"{cache.absolute()} is missing or not writable", "dvc init, or mend its rights")


def _server(uri: str) -> Finding:
    import socket

    parts = urlsplit(uri)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    where = f"{parts.hostname}:{port}"  # without the password that a URI may hold
    try:
        with socket.create_connection((parts.hostname or "", port), timeout=2):
            return Finding("ok", "mlflow", f"server {where} answers")
    except OSError as error:
        mend = "start it, or unset MLFLOW_TRACKING_URI; runs go on and are sent later with `aenet sync`"
        return Finding("warn", "mlflow", f"server {where} does not answer ({error})", mend)
