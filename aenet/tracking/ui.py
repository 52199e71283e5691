"""`aenet ui`: MLflow's pages over the project's store, on this machine only."""

import os
import sys
from pathlib import Path
from typing import NoReturn

from aenet.tracking.address import ARTIFACTS, store_uri
from aenet.tracking.events import project_root
from aenet.tracking.store import repair_locations

HOST, PORT = "127.0.0.1", 5000


def command(root: Path, port: int = PORT) -> list[str]:
    """Return the server's command line; it listens on the loopback address and nowhere else."""
    store = ["--artifacts-destination", str(root / ARTIFACTS)]
    return [sys.executable, "-m", "mlflow", "server", *store, "--host", HOST, "--port", str(port), "--workers", "1"]


def serve(port: int = PORT) -> NoReturn:
    """Replace this process by the server."""
    # Without it MLflow keeps ten processes instead of two.
    os.environ.setdefault("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")
    # Not a word of its command line: everybody on the machine can read those, and it may hold a password.
    root = project_root().absolute()
    os.environ["MLFLOW_BACKEND_STORE_URI"] = store_uri(root)
    repair_locations(root)
    sys.stdout.write(f"MLflow: http://{HOST}:{port} (Ctrl-C ends it)\n")
    sys.stdout.flush()
    os.execv(sys.executable, command(root, port))  # noqa: S606 (no shell is wanted)
