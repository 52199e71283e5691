"""`python -m aenet.tracking.ui`: MLflow's pages for this project, on this machine only."""

import argparse
import os
import sys

from aenet.tracking.address import ARTIFACTS, store_uri
from aenet.tracking.events import project_root
from aenet.tracking.store import connect


def main() -> None:
    """Create the store if need be (concurrent creation fails), then become the MLflow server."""
    parser = argparse.ArgumentParser(prog="python -m aenet.tracking.ui", description=__doc__)
    parser.add_argument("--port", type=int, default=5000)
    port = parser.parse_args().port
    root = project_root()
    uri = store_uri(root)
    if uri.startswith(("http://", "https://")):
        raise SystemExit(f"the runs are on a server already: open {uri}")
    store = connect(root)
    environment = {
        **os.environ,
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # 2 processes instead of 10
    }
    command = [
        sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
        "--backend-store-uri", store.uri, "--artifacts-destination", (root / ARTIFACTS).as_uri(),
    ]  # fmt: skip
    os.execve(sys.executable, command, environment)  # noqa: S606 (no shell wanted)


if __name__ == "__main__":
    main()
