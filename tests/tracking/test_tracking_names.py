"""A journal that came with a copied project sends nothing but its own files, and removes nothing else."""

import json
import os
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from aenet.io.errors import CorruptArtifact
from aenet.tracking import located, registry, send
from aenet.tracking.events import EVENTS, content_digest

WORDS = "a secret of this machine"


class _Client:
    """Stands for MLflow's client; keeps what it is called with."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[Any, ...]]] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments: self.calls.append((name, arguments))


@pytest.fixture
def sender(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A sender of a journal, without MLflow; the registry takes every model."""
    (tmp_path / "journal" / "pending").mkdir(parents=True)
    (tmp_path / "secret").write_text(WORDS)
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "work").write_text("years of work")
    made: Any = object.__new__(send.Sender)
    made.folder, made.run_id, made.store = tmp_path / "journal", "run", SimpleNamespace(client=_Client(), uri="")
    made.refused, made._left = [], []
    monkeypatch.setattr(registry, "register", lambda store, run, folder, event: {"version": 1})
    return made


@pytest.mark.timeout(30)
@pytest.mark.parametrize("kind", ["artifact", "register"])
@pytest.mark.parametrize(
    "name", ["../secret", "/dev/zero", "pending/link", "pending/pipe", "pending/tree", "../precious"]
)
def test_a_journal_names_files_of_its_own(sender: Any, kind: str, name: str) -> None:
    held = sender.folder / "pending"
    (held / "link").symlink_to("../../secret")
    (held / "tree").mkdir()
    (held / "tree" / "inner").symlink_to("../../../secret")
    os.mkfifo(held / "pipe")
    event = {"event": kind, "file": name, "folder": "", "name": "x", "id": "0" * 32, "parent": False}
    sender._send({**event, "digest": sha256(WORDS.encode()).hexdigest()}, 0)
    (call,) = sender.store.client.calls
    assert call[0] == "set_tag" and call[1][1] == "aenet.not_sent" and WORDS not in str(call)
    root = sender.folder.parent
    assert (root / "secret").exists() and (root / "precious" / "work").exists()


def test_an_answer_is_written_into_the_journal_alone(sender: Any) -> None:
    (sender.folder / "pending" / "model").mkdir()
    sender._send({"event": "register", "file": "pending/model", "id": "../../precious/work", "digest": ""}, 0)
    assert sender.store.client.calls[0][1][1] == "aenet.not_sent"
    assert not (sender.folder.parent / "precious" / "work.json").exists()


def test_its_own_files_are_sent_and_then_removed(sender: Any) -> None:
    file = sender.folder / "pending" / "one" / "report.md"
    file.parent.mkdir()
    file.write_text("ours")
    event = {"event": "artifact", "file": "pending/one/report.md", "folder": "", "parent": False}
    sender._send({**event, "digest": content_digest(file)}, 0)
    assert sender.store.client.calls == [("log_artifact", ("run", str(file), None))]
    assert not file.parent.exists() and not (sender.folder / EVENTS).exists()


@pytest.mark.parametrize(
    "place", ["secret", "project/link", "project/linked/secret", "project/../secret", "project/in"]
)
def test_only_a_plain_file_of_the_project_is_where_it_came_from(tmp_path: Path, place: str) -> None:
    """Nor is a store made, or a server's driver needed, because a journal's cursor names one."""
    folder = tmp_path / "project" / ".aenet" / "journal" / "train-0"
    folder.mkdir(parents=True)
    for file in (tmp_path / "secret", tmp_path / "project" / "in"):
        file.write_text(WORDS)
    (tmp_path / "project" / "link").symlink_to(tmp_path / "secret")
    (tmp_path / "project" / "linked").symlink_to(tmp_path)
    absent = tmp_path / "absent.db"
    stores = (f"sqlite:///{absent}", "nonsense://x", "oracle://x/y")
    (folder / "cursor.json").write_text(json.dumps({store: {"run_id": "r"} for store in stores}))
    digest = sha256(WORDS.encode()).hexdigest()
    event = {"file": "pending/x", "origin": f"{tmp_path}/{place}", "digest": digest, "folder": "", "name": "x"}
    if place == "project/in":
        with located.artifact(folder, "", event) as path:
            assert path == tmp_path / "project" / "in"
    else:
        with pytest.raises(CorruptArtifact, match="nor where it came from"), located.artifact(folder, "", event):
            pass
    assert not absent.exists()
