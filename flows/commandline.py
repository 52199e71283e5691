"""A flow as a command: the flags that flows share, and the status it ends with."""

import argparse
import sys
from collections.abc import Callable, Iterable
from typing import Any

from prefect.client.schemas.objects import State
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

import flows.settings  # noqa: F401  (Prefect reads its environment when it is imported)
from aenet.io.errors import AenetError
from aenet.io.params import yaml_fault
from aenet.io.redaction import excerpt, without_secrets
from flows import endings  # noqa: F401  (a run that outlives the processes beside it)
from flows.models import CHAMPION

# Options as words of a command line: `--set top_k=10 --set within_box=[8.9,47.8,9.0,47.9]`.


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


# isort: off

# isort: on


def add_model_and_options(parser: argparse.ArgumentParser, example: str) -> None:
    """Add `--model` and `--set`."""
    parser.add_argument("--model", default=CHAMPION, help="folder, or models:/NAME@ALIAS (default %(default)s)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help=f"any option, e.g. {example}")


def run_flow(flow: Callable[..., State], given: dict[str, Any], **options: Any) -> int:
    """Run a flow and say what came of it: 0 completed, 1 failed, 2 a bad request, 3 a partial result.

    Args:
        flow: takes `options`, and `return_state` as Prefect's flows do.
        given: its other arguments, and the words of `--set`.
        options: that have a flag of their own.
    """
    try:
        chosen = {**options, **from_words(given["set"])}
    except AenetError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    arguments = {name: value for name, value in given.items() if name != "set"}
    state = flow(**arguments, options=chosen, return_state=True)
    if not state.is_completed():
        sys.stderr.write(f"error: {without_secrets(str(state.message))}\n")
        return 1
    sys.stdout.write(f"{state.message}\n")
    return 3 if state.name == "Partial" else 0
