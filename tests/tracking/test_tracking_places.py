"""Where a store is: a server behind a password, and a project that was moved."""

import sqlite3
import threading
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from aenet.tracking.address import store_answers
from aenet.tracking.store import repair_locations


@pytest.mark.parametrize("user", ["", "me:pa55word@", "me:p@ss@", "token@"])
def test_a_server_answers_whatever_its_address_holds(user: str) -> None:
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:  # it answers 501
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        assert store_answers(f"http://{user}127.0.0.1:{server.server_port}/mlflow")
        thread.join()
    assert not store_answers(f"http://{user}127.0.0.1:9") and not store_answers(f"http://{user}127.0.0.1:port")


@pytest.mark.parametrize("before", ["aenet-demo", "Aenet_demo", "aenet_demo"])
def test_a_project_moved_beside_itself_is_mended(tmp_path: Path, before: str) -> None:
    """In SQL `_` stands for any character, and letters for large and small ones."""
    root = tmp_path / "aenet_demo"
    (root / "mlartifacts" / "1").mkdir(parents=True)
    with closing(sqlite3.connect(root / "mlflow.db")) as connection, connection:
        connection.execute("CREATE TABLE runs (artifact_uri TEXT)")
        connection.execute("INSERT INTO runs VALUES (?)", ((tmp_path / before / "mlartifacts" / "1").as_uri(),))
    assert repair_locations(root) == (before != root.name)
    with closing(sqlite3.connect(root / "mlflow.db")) as connection:
        assert connection.execute("SELECT * FROM runs").fetchall() == [((root / "mlartifacts" / "1").as_uri(),)]
