"""What the base install leaves out, and how to get it."""

import sys
from importlib.util import find_spec

from aenet.errors import AenetError

INSTALL = "pip install -c constraints.txt -e '.[pipeline]'"
PIPELINE = ("torch", "timm", "accelerate", "onnx", "dvc", "mlflow", "prefect", "filelock", "psutil")


def need(what: str, *modules: str) -> None:
    """Refuse `what` where one of `modules`, all of the extra `pipeline`, is not installed.

    Raises:
        AenetError: names what is missing and the command that installs it.
    """
    if missing := [name for name in modules if find_spec(name) is None]:
        has = "which is" if len(missing) == 1 else "which are"
        raise AenetError(
            f"{what} needs {', '.join(missing)}, {has} not installed for {sys.executable}: run `{INSTALL}` "
            "in the project's folder"
        )
