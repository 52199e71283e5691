"""Read one section of params.yaml into a frozen, strict, typed configuration.

YAML is read as DVC reads it (YAML 1.2 through ruamel.yaml: `1e-4` is a number, `no` is a word).
"""

import difflib
import json
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from aenet.errors import AenetError

PARAMS_FILE = Path("params.yaml")


class Config(BaseModel):
    """Base of every configuration: immutable, refuses unknown keys and NaN, converts nothing silently."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


C = TypeVar("C", bound=BaseModel)


def read_section(path: Path, section: str, type_: type[C]) -> C:
    """Return the section `section` of the YAML file `path` as a `type_`.

    Raises:
        AenetError: the file is missing or not YAML, the section is missing, or a key is unknown,
            missing or of the wrong type; the sentence names the key and the nearest known one.
    """
    return parse(read_yaml(path), section, type_, source=str(path))


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the top-level mapping of a YAML 1.2 file."""
    if not path.exists():
        raise AenetError(f"{path} does not exist: run this from the project's folder, or name the file")
    try:
        tree = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except YAMLError as error:
        raise AenetError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(tree, dict):
        raise AenetError(f"{path} must hold a mapping of sections, found {type(tree).__name__}")
    return tree


def parse(tree: dict[str, Any], section: str, type_: type[C], source: str) -> C:
    """Validate `tree[section]` as a `type_`; `source` names the origin in errors."""
    if section not in tree:
        raise AenetError(f"{source} has no section '{section}'{_nearest(section, list(tree))}")
    try:
        # Through JSON, where strictness still lets a YAML list be a tuple.
        return type_.model_validate_json(json.dumps(tree[section]))
    except ValidationError as error:
        raise AenetError(_sentence(error, type_, section, source)) from error


def _sentence(error: ValidationError, type_: type[BaseModel], section: str, source: str) -> str:
    problems = []
    for detail in error.errors():
        where = ".".join([section, *(str(part) for part in detail["loc"])])
        if detail["type"] == "extra_forbidden":
            unknown = str(detail["loc"][-1])
            problems.append(f"unknown key '{where}'{_nearest(unknown, _known_keys(type_))}")
        elif detail["type"] == "missing":
            problems.append(f"missing key '{where}'")
        else:
            problems.append(f"'{where}': {detail['msg']} (found {detail['input']!r})")
    return f"{source}: " + "; ".join(problems)


def _known_keys(type_: type[BaseModel]) -> list[str]:
    """All keys below `type_`, nested models and unions included."""
    keys: list[str] = []
    for name, field in type_.model_fields.items():
        keys.append(name)
        for inner in _models_in(field.annotation):
            keys.extend(_known_keys(inner))
    return keys


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in getattr(annotation, "__args__", ()) for model in _models_in(part)]


def _nearest(word: str, known: list[str]) -> str:
    match = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f" (did you mean '{match[0]}'?)" if match else f" (known: {', '.join(sorted(set(known)))})"
