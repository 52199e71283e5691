"""Where the stages read and write: the same places dvc.yaml names."""

import hashlib
import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aenet.data.card import InitialWeights
from aenet.io.artifacts import MANIFEST, sha256_file
from aenet.io.errors import AenetError
from aenet.io.machine import computing_versions
from aenet.io.params import read_yaml


@dataclass(frozen=True)
class Paths:
    """All paths of the pipeline below one project folder."""

    root: Path = Path()

    @property
    def params(self) -> Path:
        """The parameters of every stage."""
        return self.root / "params.yaml"

    @property
    def raw(self) -> Path:
        """The data set: pair table and images (out of `download`)."""
        return self.root / "data" / "raw"

    @property
    def views(self) -> Path:
        """Packed views (out of `polar_transform`)."""
        return self.root / "data" / "views"

    @property
    def weights(self) -> Path:
        """Files of weights a run may begin with (a dependency of `train` and `ablate`)."""
        return self.root / "weights"

    @property
    def model(self) -> Path:
        """Trained weights (out of `train`)."""
        return self.root / "models" / "aenet"

    @property
    def onnx(self) -> Path:
        """Exported branches (out of `export_onnx`)."""
        return self.root / "models" / "onnx"

    @property
    def reports(self) -> Path:
        """Metrics, tables and pictures."""
        return self.root / "reports"

    @property
    def state(self) -> Path:
        """Local state that is no artefact: checkpoints, downloads, the tracking journal."""
        return self.root / ".aenet"


# Digests of all that decides a stage's outcome, taken from what dvc.yaml says it depends on. The fingerprint names a
# stage's MLflow run, and the code part of it keys checkpoints: neither outlives a change of command, parameters, code
# or data.

# These write down what a run gave; editing them must not cost another one.
_AFTER_TRAINING = ("aenet/evaluation/figures.py", "aenet/nn/model.py", "aenet/training/keeping.py")


def fingerprint(root: Path, stage: str, variant: str | None = None) -> str:
    """Return the digest of a stage's command, parameters and dependencies as they are now."""
    spec, item = _spec(root, stage), variant or ""
    params = read_yaml(root / "params.yaml")
    deps = [_fill(dep, item) for dep in spec.get("deps", [])]
    parts: dict[str, Any] = {
        "cmd": _fill(spec["cmd"], item),
        "params": {key: _look_up(params, _fill(key, item)) for key in spec.get("params", [])},
        "deps": {dep: _digest(root / dep) for dep in deps},
        "versions": computing_versions() if "aenet/nn" in deps else {},
    }
    return _sha256(parts)


def training_key(root: Path, config: Any, views: Path, initial: InitialWeights) -> str:
    """Return the checkpoint key of one training run: all that decides its outcome.

    That is its configuration, its views, the bytes it begins with, the code `train` depends on, torch and timm.

    Args:
        config: a configuration that may name, as `SAFEKEEPING`, keys that do not change the outcome.
    """
    settings = config.model_dump(mode="json", exclude=set(getattr(config, "SAFEKEEPING", ())))
    deps = [dep for dep in _spec(root, "train")["deps"] if dep.startswith("aenet/")]
    after = {root / file for file in _AFTER_TRAINING}
    code = {dep: _digest(root / dep, after) for dep in deps}
    begun = {"initial": initial.model_dump(mode="json", exclude={"licence"}), "versions": computing_versions()}
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


def _digest(path: Path, without: Collection[Path] = ()) -> str:
    if path.is_dir():
        if not (path / MANIFEST).exists():
            inside = (p for p in path.rglob("*") if p.is_file() and "__pycache__" not in p.parts)
            files = sorted(p for p in inside if p not in without)
            return _sha256({p.relative_to(path).as_posix(): sha256_file(p) for p in files})
        path = path / MANIFEST
    if not path.exists():
        raise AenetError(f"{path} does not exist: run the stage that makes it first (`dvc repro`)")
    return sha256_file(path)


def _sha256(parts: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
