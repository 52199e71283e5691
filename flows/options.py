"""Options as words of a command line: `--set top_k=10 --set area=[8.9,47.8,9.0,47.9]`."""

from collections.abc import Iterable
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from aenet.errors import AenetError
from aenet.params import yaml_fault
from aenet.redaction import excerpt


def from_words(words: Iterable[str]) -> dict[str, Any]:
    """Return `KEY=VALUE` words as a mapping; values are read as in params.yaml.

    Raises:
        AenetError: a word is not of that form, or its value is not YAML.
    """
    found: dict[str, Any] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise AenetError(f"--set {excerpt(word)}: expected KEY=VALUE, for example --set top_k=10")
        try:
            found[key] = YAML(typ="safe", pure=True).load(value)
        except YAMLError as error:
            raise AenetError(f"--set {key}: the value is not valid YAML: {yaml_fault(error)}") from error
    return found
