"""Presets: named sets of sections that replace those of params.yaml, comments and other sections kept."""

import io
from pathlib import Path

from ruamel.yaml import YAML

from aenet.artifacts import write_bytes
from aenet.errors import AenetError
from aenet.params import PARAMS_FILE, read_yaml

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
    yaml = YAML()
    yaml.width = 120
    target = yaml.load((root / PARAMS_FILE).read_text(encoding="utf-8"))
    target.update(yaml.load(source.read_text(encoding="utf-8")))
    text = io.StringIO()
    yaml.dump(target, text)
    write_bytes(root / PARAMS_FILE, text.getvalue().encode())
    return sections
