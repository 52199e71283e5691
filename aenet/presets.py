"""Presets: named sets of sections that replace those of params.yaml, comments and other sections kept.

presets/NAME.yaml holds whole sections. With `base: OTHER` it holds what differs from preset OTHER, by dotted key:
`train.model.attention: {kind: bam}` replaces that mapping, whatever the base has there. So "all else as in OTHER" is
true by construction, and a preset leaves the same sections whatever was in params.yaml before.
"""

import io
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from aenet.io.atomic import write_bytes
from aenet.io.errors import AenetError
from aenet.io.params import PARAMS_FILE, nearest, read_yaml, read_yaml_text, say_renamed

FOLDER = Path("presets")


BASE = "base"
# Presets of 0.1 under other names.
_RENAMED = {"city": "town", "city-study": "town-study", "large-city": "large-town", "strong-city": "strong-town"}


def use_preset(name: str, root: Path = Path()) -> list[str]:
    """Copy the sections of a preset into params.yaml and return their names.

    Raises:
        AenetError: as `read_preset`, or it has a section params.yaml does not know.
    """
    preset = read_preset(name, root)
    if unknown := set(preset) - set(read_yaml(root / PARAMS_FILE)):
        raise AenetError(f"preset '{name}' has sections that {PARAMS_FILE} lacks: {', '.join(sorted(unknown))}")
    with _edited(root / PARAMS_FILE) as target:
        target.update(preset)
    return list(preset)


def read_preset(name: str, root: Path = Path(), within: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return the sections of presets/NAME.yaml, those of its base included, comments kept.

    Args:
        name: of a preset, or the path of a file that ends in .yaml or .yml.
        within: presets that have this one for a base.

    Raises:
        AenetError: there is no such preset, a key below a mapping that its base lacks, or a circle of bases.
    """
    if name in _RENAMED:
        say_renamed(f"preset {name}", _RENAMED[name])
        name = _RENAMED[name]
    source = Path(name) if name.endswith((".yaml", ".yml")) else root / FOLDER / f"{name}.yaml"
    if not source.exists():
        known = ", ".join(list_presets(root)) or f"none in {(root / FOLDER).absolute()}"
        raise AenetError(f"there is no preset '{name}' (known: {known})")
    if name in within:
        raise AenetError(f"presets are each other's base: {' -> '.join([*within, name])}")
    read_yaml(source)  # which says what is wrong with it in a sentence
    preset: dict[str, Any] = YAML().load(read_yaml_text(source))
    if BASE not in preset:
        return preset
    sections = read_preset(str(preset.pop(BASE)), root, (*within, name))
    for key, value in preset.items():
        level, last = _level(sections, key, source)
        level[last] = value
        level.ca.items.pop(last, None)  # the base's comment is on the base's value
    return sections


def list_presets(root: Path = Path()) -> dict[str, str]:
    """Return the names of all presets, each with the first sentence of its file."""
    found = {}
    for path in sorted((root / FOLDER).glob("*.yaml")):
        head = [line[1:].strip() for line in read_yaml_text(path).splitlines() if line.startswith("#")]
        found[path.stem] = " ".join(head).partition(". ")[0].removesuffix(".")
    return found


def preset_text(name: str, root: Path = Path()) -> str:
    """Return a preset's sections as YAML, those of its base included; errors as `read_preset`."""
    text = io.StringIO()
    yaml = YAML()
    yaml.width = 120
    yaml.dump(read_preset(name, root), text)
    return text.getvalue()


def changed(sections: Mapping[str, Any], changes: Mapping[str, Any], section: str) -> dict[str, Any]:
    """Return plain sections with single values of one of them set, by dotted key.

    Raises:
        AenetError: a mapping on the way to a key is not there.
    """
    tree: dict[str, Any] = json.loads(json.dumps(dict(sections)))
    for key, value in changes.items():
        level, last = _level(tree, f"{section}.{key}", Path("the preset"))
        level[last] = value
    return tree


def set_values(values: Mapping[str, Any], root: Path = Path()) -> None:
    """Set single values of params.yaml, by dotted key.

    Raises:
        AenetError: a section or mapping on the way to a key is not there.
    """
    with _edited(root / PARAMS_FILE) as target:
        for key, value in values.items():
            level, last = _level(target, key, root / PARAMS_FILE)
            level[last] = value


def _level(tree: dict[str, Any], key: str, source: Path) -> tuple[Any, str]:
    """Return the mapping that holds a dotted key, and the key's last part; `source` names the tree in errors."""
    *above, last = key.split(".")
    level = tree
    for part in above:
        if not isinstance(level.get(part), dict):
            raise AenetError(f"cannot set {key}: {source} has no mapping '{part}' there{nearest(part, level)}")
        level = level[part]
    return level, last


@contextmanager
def _edited(path: Path) -> Iterator[Any]:
    """Yield the tree of a YAML file and write it back, comments kept, unless the block raises."""
    read_yaml(path)  # which says what is wrong with it in a sentence
    yaml = YAML()
    yaml.width = 120
    tree = yaml.load(read_yaml_text(path))
    yield tree
    text = io.StringIO()
    yaml.dump(tree, text)
    write_bytes(path, text.getvalue().encode())
