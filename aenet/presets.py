"""Presets: named sets of sections that replace those of params.yaml, comments and other sections kept."""

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from aenet.atomic import write_bytes
from aenet.errors import AenetError
from aenet.params import PARAMS_FILE, nearest, read_yaml

FOLDER = Path("presets")


def use_preset(name: str, root: Path = Path()) -> list[str]:
    """Copy the sections of presets/NAME.yaml into params.yaml and return their names.

    Raises:
        AenetError: there is no such preset, or it has a section params.yaml does not know.
    """
    source = root / FOLDER / f"{name}.yaml"
    if not source.exists():
        known = ", ".join(sorted(path.stem for path in (root / FOLDER).glob("*.yaml"))) or "none here"
        raise AenetError(f"there is no preset '{name}' (known: {known})")
    sections = list(read_yaml(source))
    if unknown := set(sections) - set(read_yaml(root / PARAMS_FILE)):
        raise AenetError(f"{source} has sections that {PARAMS_FILE} lacks: {', '.join(sorted(unknown))}")
    with _edited(root / PARAMS_FILE) as target:
        target.update(YAML().load(source.read_text(encoding="utf-8")))
    return sections


def set_values(values: Mapping[str, Any], root: Path = Path()) -> None:
    """Set single values of params.yaml, by dotted key.

    Raises:
        AenetError: a section or mapping on the way to a key is not there.
    """
    with _edited(root / PARAMS_FILE) as target:
        for key, value in values.items():
            *above, last = key.split(".")
            level = target
            for part in above:
                if not isinstance(level.get(part), dict):
                    raise AenetError(
                        f"cannot set {key}: {PARAMS_FILE} has no mapping '{part}' there{nearest(part, level)}"
                    )
                level = level[part]
            level[last] = value


@contextmanager
def _edited(path: Path) -> Iterator[Any]:
    """Yield the tree of a YAML file and write it back, comments kept, unless the block raises."""
    yaml = YAML()
    yaml.width = 120
    tree = yaml.load(path.read_text(encoding="utf-8"))
    yield tree
    text = io.StringIO()
    yaml.dump(tree, text)
    write_bytes(path, text.getvalue().encode())
