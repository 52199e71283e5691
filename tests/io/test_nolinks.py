"""Names in manifests, cards and journals: plain files below the folder; and no file is made through a link."""

import hashlib
import json
import os
import stat
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from aenet.data.card import CARD, read_card
from aenet.io.artifacts import MANIFEST, atomic_folder, verify_file, verify_folder
from aenet.io.atomic import write_bytes, write_json
from aenet.io.errors import AenetError, CorruptArtifact
from aenet.io.locks import hold, wait_for
from aenet.io.nolinks import read_listed
from aenet.tracking.events import EventLog, keep
from tests.support.world import make_model

SECRET = b"a secret of this machine"
DIGEST = hashlib.sha256(SECRET).hexdigest()


def _absolute(folder: Path, secret: Path) -> str:
    return str(secret)


def _leading_out(folder: Path, secret: Path) -> str:
    return f"../{secret.name}"


def _leading_out_on_the_way(folder: Path, secret: Path) -> str:
    (folder / "inner").mkdir()
    return f"inner/../../{secret.name}"


def _link(folder: Path, secret: Path) -> str:
    (folder / "named").symlink_to(secret)
    return "named"


def _linked_folder(folder: Path, secret: Path) -> str:
    (folder / "inner").symlink_to(secret.parent)
    return f"inner/{secret.name}"


def _pipe(folder: Path, secret: Path) -> str:
    os.mkfifo(folder / "named")
    return "named"


def _endless(folder: Path, secret: Path) -> str:
    return "/dev/zero"


def _link_to_the_endless(folder: Path, secret: Path) -> str:
    (folder / "named").symlink_to("/dev/zero")
    return "named"


def _folder(folder: Path, secret: Path) -> str:
    (folder / "named").mkdir()
    return "named"


def _nul(folder: Path, secret: Path) -> str:
    return "a\0b"


def _nothing(folder: Path, secret: Path) -> str:
    return ""


def _long(folder: Path, secret: Path) -> str:
    return "x" * 9000


Evil = Callable[[Path, Path], str]
KINDS = [_absolute, _leading_out, _leading_out_on_the_way, _link, _linked_folder, _pipe, _endless]
KINDS += [_link_to_the_endless, _folder, _nul, _nothing, _long]
each_kind = pytest.mark.parametrize("evil", KINDS, ids=lambda kind: kind.__name__.strip("_"))


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_bytes(SECRET)
    return path


@pytest.mark.timeout(30)
@each_kind
def test_a_manifest_names_plain_files_below_its_folder(tmp_path: Path, secret: Path, evil: Evil) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    name = evil(folder, secret)
    files = {name: {"sha256": DIGEST, "bytes": len(SECRET)}}
    write_json(folder / MANIFEST, {"files": files, "meta": {}})
    for check in (verify_folder, lambda folder: verify_file(folder, name)):
        with pytest.raises(CorruptArtifact) as said:
            check(folder)
        assert str(folder) in str(said.value) and SECRET.decode() not in str(said.value)


@pytest.mark.timeout(30)
@each_kind
def test_a_card_names_plain_files_below_its_folder(tmp_path: Path, secret: Path, evil: Evil) -> None:
    folder = make_model(tmp_path / "model")
    card = json.loads((folder / CARD).read_bytes())
    card["sha256"][evil(folder, secret)] = DIGEST
    write_json(folder / CARD, card)
    with pytest.raises(CorruptArtifact) as said:
        read_card(folder)
    assert str(folder) in str(said.value)


@pytest.mark.timeout(30)
@pytest.mark.parametrize("name", [MANIFEST, CARD])
@pytest.mark.parametrize("kind", ["link", "pipe", "endless", "folder"])
def test_the_list_itself_is_a_plain_file(tmp_path: Path, secret: Path, name: str, kind: str) -> None:
    path = tmp_path / "folder" / name
    path.parent.mkdir()
    match kind:
        case "link":
            path.symlink_to(secret)
        case "pipe":
            os.mkfifo(path)
        case "endless":
            path.symlink_to("/dev/zero")
        case "folder":
            path.mkdir()
    with pytest.raises(CorruptArtifact, match="a regular file is needed there"):
        (verify_folder if name == MANIFEST else read_card)(path.parent)


def test_a_list_without_end_is_refused_before_it_fills_the_memory(tmp_path: Path) -> None:
    with (tmp_path / "list").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(AenetError, match=r"the limit is 0\.001 MB"):
        read_listed(tmp_path / "list", limit=1000)


def test_what_is_opened_must_be_listed(tmp_path: Path, secret: Path) -> None:
    """A file that no digest covers could be exchanged, or be a link, without a check that notices."""
    with atomic_folder(tmp_path / "a") as folder:
        (folder / "x").write_bytes(b"x")
    with pytest.raises(CorruptArtifact, match="does not list y"):
        verify_folder(tmp_path / "a", needed=("x", "y"))
    verify_folder(tmp_path / "a", needed=("x",))


def test_a_folder_that_a_person_names_may_be_a_link(tmp_path: Path) -> None:
    with atomic_folder(tmp_path / "a") as folder:
        (folder / "x").write_bytes(b"x")
    (tmp_path / "b").symlink_to("a")
    assert set(verify_folder(tmp_path / "b").files) == {"x"}


# --- Files that are made


@pytest.mark.parametrize("lock", [wait_for, lambda path: hold(path, "it")])
def test_a_lock_writes_through_no_link(tmp_path: Path, lock: Callable[[Path], AbstractContextManager[None]]) -> None:
    (tmp_path / "theirs").write_bytes(SECRET * 2)
    (tmp_path / ".lock").symlink_to("theirs")
    with pytest.raises(CorruptArtifact, match=r"\.lock is a link"), lock(tmp_path / ".lock"):
        pass
    assert (tmp_path / "theirs").read_bytes() == SECRET * 2


@pytest.mark.timeout(30)
def test_a_lock_that_is_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / ".lock")
    with pytest.raises(CorruptArtifact, match="is a pipe"), hold(tmp_path / ".lock", "it"):
        pass


def test_a_journal_writes_through_no_link(tmp_path: Path) -> None:
    (tmp_path / "theirs").write_bytes(SECRET)
    (tmp_path / "journal").mkdir()
    (tmp_path / "journal" / "events.jsonl").symlink_to("../theirs")
    with pytest.raises(CorruptArtifact, match="is a link"):
        EventLog(tmp_path / "journal")
    assert (tmp_path / "theirs").read_bytes() == SECRET


def test_a_journal_keeps_no_file_that_a_link_leads_to(tmp_path: Path, secret: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "weights").symlink_to(secret)
    with pytest.raises(CorruptArtifact, match="weights is a link"):
        keep(tmp_path / "model", tmp_path / "held")
    assert not (tmp_path / "held").exists()


def test_a_file_replaces_a_link_and_not_what_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "theirs").write_bytes(SECRET)
    (tmp_path / "table").symlink_to("theirs")
    write_bytes(tmp_path / "table", b"ours")
    assert (tmp_path / "theirs").read_bytes() == SECRET and not (tmp_path / "table").is_symlink()


@pytest.mark.parametrize(
    ("umask", "file", "folder"), [(0o022, 0o644, 0o755), (0o077, 0o600, 0o700), (0o002, 0o664, 0o775)]
)
def test_what_is_made_has_the_rights_that_the_umask_leaves(tmp_path: Path, umask: int, file: int, folder: int) -> None:
    before = os.umask(umask)
    try:
        write_bytes(tmp_path / "file", b"x")
        with atomic_folder(tmp_path / "folder"), hold(tmp_path / "lock", "it"):
            pass
        EventLog(tmp_path / "journal").close()
    finally:
        os.umask(before)
    made = ["file", "folder/manifest.json", "lock", "journal/events.jsonl"]
    assert {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in made} == {file}
    assert {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("folder", "journal")} == {folder}
