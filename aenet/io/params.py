"""Read one section of params.yaml into a frozen, strict, typed configuration.

YAML is read as DVC reads it (YAML 1.2 through ruamel.yaml: `1e-4` is a number, `no` is a word).
"""

import difflib
import json
import logging
import re
from collections.abc import Collection, Iterator
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, RootModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from aenet.io.errors import AenetError
from aenet.io.plainfiles import read_plain
from aenet.io.redaction import excerpt

PARAMS_FILE = Path("params.yaml")
MAX_BYTES, MAX_VALUES, MAX_DEPTH = 1_000_000, 100_000, 64  # of a YAML file; ours has some hundred values


class Config(BaseModel):
    """Base of every configuration: immutable, refuses unknown keys and NaN, converts nothing silently."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


C = TypeVar("C", bound=BaseModel)


@cache
def say_renamed(old: str, new: str) -> None:
    """Say, once a process, that a name of an earlier version is taken for the present one."""
    logging.getLogger("aenet").warning(
        "%s is called %s now: write that, the old name goes with the next release", old, new
    )


def read_section(path: Path, section: str, type_: type[C]) -> C:
    """Return the section `section` of the YAML file `path` as a `type_`.

    Raises:
        AenetError: the file is missing or not YAML, the section is missing, or a key is unknown,
            missing or of the wrong type; the sentence names the key and the nearest known one.
    """
    return parse(read_yaml(path), section, type_, source=str(path))


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the top-level mapping of a YAML 1.2 file.

    Raises:
        AenetError: no such file, not UTF-8, not YAML, no mapping, or (by its anchors) too large or a circle.
    """
    text = read_yaml_text(path)
    try:
        tree = YAML(typ="safe", pure=True).load(text)
    except YAMLError as error:
        raise AenetError(f"{path} is not valid YAML: {yaml_fault(error)}") from error
    except Exception as error:  # what its own constructors raise for impossible dates, numbers and depths
        raise AenetError(f"{path} is not valid YAML: it holds a value that is none ({type(error).__name__})") from error
    if not isinstance(tree, dict):
        raise AenetError(f"{path} must hold a mapping of sections, found {type(tree).__name__}")
    _check_size(tree, path)
    return tree


def read_yaml_text(path: Path) -> str:
    """Return a YAML file's text.

    Raises:
        AenetError: no such file, of more than MAX_BYTES, or not UTF-8.
    """
    if not path.exists():
        raise AenetError(f"{path} does not exist: run this from the project's folder, or name the file")
    content = read_plain(path, MAX_BYTES)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise AenetError(
            f"{path}, line {line} is not UTF-8 (byte {content[error.start]:#04x}): save it as UTF-8, in which DVC "
            "reads it, too"
        ) from error


def _check_size(tree: dict[str, Any], path: Path) -> None:
    """Anchors let a short file stand for a tree without end; what is written out of it must be small."""
    waiting: list[tuple[Any, int]] = [(tree, 1)]
    met = 0
    while waiting:
        value, depth = waiting.pop()
        met += 1
        if met > MAX_VALUES or depth > MAX_DEPTH:
            raise AenetError(
                f"{path} holds more than {MAX_VALUES:,} values or is deeper than {MAX_DEPTH} levels, anchors written "
                "out: these are no settings"
            )
        if isinstance(value, dict):
            waiting += [(inner, depth + 1) for inner in value.values()]
        elif isinstance(value, list | tuple | set):
            waiting += [(inner, depth + 1) for inner in value]


def yaml_fault(error: YAMLError) -> str:
    """Return what is wrong and where, without the line or the value itself: they need not be for everybody's eyes."""
    problem = str(getattr(error, "problem", None) or "it holds a character that YAML does not know")
    mark = getattr(error, "problem_mark", None)
    where = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
    return re.sub(r" with value .*|(?<=alias) '.*'", "", " ".join(problem.split())) + where


def check_sections(path: Path, known: Collection[str]) -> None:
    """Refuse a file with a top-level section that nobody reads: most likely a mistyped name.

    Raises:
        AenetError: names the section and the nearest of `known`.
    """
    if unknown := [str(section) for section in read_yaml(path) if section not in known]:
        said = [f"unknown section '{section}'{nearest(section, known)}" for section in unknown]
        raise AenetError(f"{path}: " + "; ".join(said))


def parse(tree: dict[str, Any], section: str, type_: type[C], source: str) -> C:
    """Validate `tree[section]` as a `type_`; `source` names the origin in errors."""
    if section not in tree:
        raise AenetError(f"{source} has no section '{section}'{nearest(section, tree)}")
    if foreign := list(_foreign(tree[section], section)):
        raise AenetError(f"{source}: " + "; ".join(foreign))
    try:
        # Through JSON, where strictness still lets a YAML list be a tuple.
        return type_.model_validate_json(json.dumps(tree[section]))
    except ValidationError as error:
        raise AenetError(_sentence(error, type_, section, source)) from error


def _foreign(value: Any, where: str) -> Iterator[str]:
    """Name what YAML reads as more than text, numbers, lists and mappings: dates above all."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if not isinstance(key, str | int | float | None):
                yield f"the key {key} of '{where}' is read as a {type(key).__name__}: put it in quotes"
            yield from _foreign(inner, f"{where}.{key}")
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _foreign(inner, f"{where}.{number}")
    elif not isinstance(value, str | int | float | None):
        yield f"'{where}': {value} is read as a {type(value).__name__}: put it in quotes if it is text"


def first_fault(error: Exception) -> str:
    """Return on one line what is wrong with a file that is none of a configuration: its first fault, and where."""
    if not isinstance(error, ValidationError):
        return " ".join(str(error).split())[:200]
    first = error.errors(include_input=False, include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"])[:100]
    return f"{where}: {first['msg'][:200]}" if where else first["msg"][:200]


def _sentence(error: ValidationError, type_: type[BaseModel], section: str, source: str) -> str:
    problems = []
    for detail in error.errors():
        where = ".".join([section, *(str(part) for part in detail["loc"])])
        if detail["type"] == "extra_forbidden":
            problems.append(f"unknown key '{where}'{_meant(detail['loc'], type_, section)}")
        elif detail["type"] == "missing":
            problems.append(f"missing key '{where}'")
        else:
            # Of a whole mapping only the message: its values need not all be for everybody's eyes.
            found = "" if isinstance(detail["input"], dict) else f" (found {excerpt(detail['input'])})"
            problems.append(f"'{where}': {detail['msg']}{found}")
    return f"{source}: " + "; ".join(problems)


def _meant(loc: tuple[int | str, ...], type_: type[BaseModel], section: str) -> str:
    """Offer a key of the level the unknown one stands on, else the whole name of one of another level."""
    unknown = str(loc[-1])
    level = {name for model in _models_at(type_, loc[:-1]) for name in model.model_fields}
    if not _close(unknown, level):
        elsewhere = dict(_all_keys(type_, section))
        if near := _close(unknown, elsewhere, cutoff=0.8):
            return f" (did you mean '{elsewhere[near]}'?)"
    return nearest(unknown, level)


def _models_at(type_: type[BaseModel], loc: tuple[int | str, ...]) -> list[type[BaseModel]]:
    """Return the models whose keys may stand below `loc`, which names keys, entries and kinds of unions."""
    models = _models_in(type_)
    for part in loc:
        fields = [model.model_fields[str(part)] for model in models if part in model.model_fields]
        if fields:
            models = [inner for field in fields for inner in _models_in(field.annotation)]
        else:
            of_kind = [m for m in models if any(part in get_args(f.annotation) for f in m.model_fields.values())]
            models = of_kind or models
    return models


def _all_keys(type_: type[BaseModel], prefix: str) -> Iterator[tuple[str, str]]:
    """Yield every key below `type_` and its whole name; outer ones last, so that they win in a `dict`."""
    for model in _models_in(type_):
        for name, field in model.model_fields.items():
            for inner in _models_in(field.annotation):
                yield from _all_keys(inner, f"{prefix}.{name}")
    for model in _models_in(type_):
        yield from ((name, f"{prefix}.{name}") for name in model.model_fields)


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, RootModel):
        return _models_in(annotation.model_fields["root"].annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models_in(part)]


def _close(word: str, known: Collection[str], cutoff: float = 0.5) -> str | None:
    return next(iter(difflib.get_close_matches(word, known, n=1, cutoff=cutoff)), None)


def nearest(word: str, known: Collection[str]) -> str:
    """Return ` (did you mean ...?)` for a mistyped word, or what is known where nothing is near."""
    match = _close(word, known)
    return f" (did you mean '{match}'?)" if match else f" (known: {', '.join(sorted(known))})"
