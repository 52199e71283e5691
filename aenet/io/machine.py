"""What this machine has: libraries that the base install leaves out, and cores."""

import os
import sys
from importlib.metadata import version
from importlib.util import find_spec

from aenet.io.errors import AenetError

PIPELINE = ("torch", "timm", "accelerate", "onnx", "dvc", "mlflow", "prefect", "filelock", "psutil", "scipy")


def install(extra: str = "pipeline") -> str:
    """Return the command that installs an extra."""
    return f"pip install -c constraints.txt -e '.[{extra}]'"


def need(what: str, *modules: str, extra: str = "pipeline") -> None:
    """Refuse `what` where one of `modules`, all of the extra `extra`, is not installed.

    Raises:
        AenetError: names what is missing and the command that installs it.
    """
    if missing := [name for name in modules if find_spec(name) is None]:
        has = "which is" if len(missing) == 1 else "which are"
        raise AenetError(
            f"{what} needs {', '.join(missing)}, {has} not installed for {sys.executable}: run "
            f"`{install(extra)}` in the project's folder"
        )


def computing_versions() -> dict[str, str]:
    """Return the versions of the libraries that a network's numbers come from."""
    return {name: version(name) for name in ("torch", "timm")}


# How many cores there are to work with.


def usable_cores() -> int:
    """Return how many cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):  # Linux; it knows of containers and taskset
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
