"""Digests of all that decides a stage's outcome, taken from what dvc.yaml says it depends on.

The fingerprint names a stage's MLflow run, and the code part of it keys checkpoints, so that neither outlives a change
of command, parameters, code or data.
"""

import hashlib
import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

from aenet.artifacts import MANIFEST, sha256_file
from aenet.card import InitialWeights
from aenet.errors import AenetError
from aenet.params import read_yaml

# These write down what a training came to; editing them must not cost another one.
_AFTER_TRAINING = ("aenet/figures.py", "aenet/model.py")


def fingerprint(root: Path, stage: str, variant: str | None = None) -> str:
    """Return the digest of a stage's command, parameters and dependencies as they are now."""
    spec, item = _spec(root, stage), variant or ""
    params = read_yaml(root / "params.yaml")
    deps = [_fill(dep, item) for dep in spec.get("deps", [])]
    parts: dict[str, Any] = {
        "cmd": _fill(spec["cmd"], item),
        "params": {key: _look_up(params, _fill(key, item)) for key in spec.get("params", [])},
        "deps": {dep: _digest(root / dep) for dep in deps},
        "versions": versions() if "aenet/nn" in deps else {},
    }
    return _sha256(parts)


def versions() -> dict[str, str]:
    """Return the versions of the libraries that a network's numbers come from."""
    return {name: version(name) for name in ("torch", "timm")}


def training_key(root: Path, config: Any, views: Path, initial: InitialWeights) -> str:
    """Return the checkpoint key of one training: all that decides its outcome.

    That is its configuration, its views, the bytes it begins with, the code `train` depends on, torch and timm.

    Args:
        config: a configuration that may name, as `SAFEKEEPING`, keys that do not change the outcome.
    """
    settings = config.model_dump(mode="json", exclude=set(getattr(config, "SAFEKEEPING", ())))
    deps = [dep for dep in _spec(root, "train")["deps"] if dep.startswith("aenet/") and dep not in _AFTER_TRAINING]
    code = {dep: _digest(root / dep) for dep in deps}
    begun = {"initial": initial.model_dump(mode="json", exclude={"licence"}), "versions": versions()}
    return _sha256({"config": settings, "views": _digest(views), "code": code, **begun})


def _spec(root: Path, stage: str) -> dict[str, Any]:
    stages = read_yaml(root / "dvc.yaml")["stages"]
    if stage not in stages:
        raise AenetError(f"dvc.yaml has no stage '{stage}' (known: {', '.join(stages)})")
    spec: dict[str, Any] = stages[stage].get("do", stages[stage])
    return spec


def _fill(text: str, item: str) -> str:
    return text.replace("${key}", item)


def _look_up(params: dict[str, Any], dotted: str) -> Any:
    value: Any = params
    for part in dotted.split("."):
        value = value[part]
    return value


def _digest(path: Path) -> str:
    if path.is_dir():
        if not (path / MANIFEST).exists():
            files = sorted(p for p in path.rglob("*") if p.is_file() and "__pycache__" not in p.parts)
            return _sha256({p.relative_to(path).as_posix(): sha256_file(p) for p in files})
        path = path / MANIFEST
    if not path.exists():
        raise AenetError(f"{path} does not exist: run the stage that makes it first (`dvc repro`)")
    return sha256_file(path)


def _sha256(parts: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
