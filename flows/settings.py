"""Prefect's environment; import this before `prefect`, which reads it once.

A run started by hand needs no server: Prefect starts one inside, keeps its state under `.aenet/prefect` and
talks to nobody. Whatever is set already stands.
"""

import os
from pathlib import Path

from aenet.tracking.events import project_root  # nothing is told to anybody: aenet.quiet, imported with it

_HOME = project_root() / ".aenet" / "prefect"

_SETTINGS = {
    "PREFECT_HOME": str(_HOME),
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",  # it needs 17 to 35 s; its own limit is 20
    "PREFECT_SERVER_LOGGING_LEVEL": "CRITICAL",  # its shutdown prints tracebacks otherwise
    "PREFECT_RESULTS_PERSIST_BY_DEFAULT": "false",  # DVC and the shard files are the only caches
}
for _name, _value in _SETTINGS.items():
    os.environ.setdefault(_name, _value)
# Prefect makes its home but not the folders above it, and without a home its server never starts.
Path(os.environ["PREFECT_HOME"]).expanduser().parent.mkdir(parents=True, exist_ok=True)
