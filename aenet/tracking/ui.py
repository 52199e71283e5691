"""`python -m aenet.tracking.ui`: MLflow's pages over the project's store, on this machine only."""

import os
import sys
from pathlib import Path

from aenet.tracking.address import ARTIFACTS, store_uri
from aenet.tracking.events import project_root

HOST, PORT = "127.0.0.1", "5000"


def command(root: Path, port: str = PORT) -> list[str]:
    """Return the server's command line; it listens on the loopback address and nowhere else."""
    store = ["--backend-store-uri", store_uri(root), "--artifacts-destination", str(root / ARTIFACTS)]
    return [sys.executable, "-m", "mlflow", "server", *store, "--host", HOST, "--port", port, "--workers", "1"]


def main() -> None:
    """Replace this process by the server."""
    # Without it MLflow keeps ten processes instead of two.
    os.environ.setdefault("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")
    sys.stdout.write(f"MLflow: http://{HOST}:{PORT} (Ctrl-C ends it)\n")
    sys.stdout.flush()
    os.execv(sys.executable, command(project_root().absolute(), *sys.argv[1:2]))  # noqa: S606 (no shell is wanted)


if __name__ == "__main__":
    main()
