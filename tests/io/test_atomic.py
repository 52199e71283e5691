"""One file, whole or not at all: what is asked of the disk, and in which order."""

import os
import secrets
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet
import pytest

from aenet.io import atomic
from aenet.io.atomic import atomic_file, sweep, sync_to_disk, temporary_sibling, write_bytes, write_json, write_parquet

NOBODY = 2**22 + 1  # above Linux's largest process id


class Disk:
    """Notes what is asked of the kernel: which file or folder is synced, what is renamed."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.asked: list[tuple[str, str]] = []
        fsync, rename = os.fsync, os.replace

        def noted_fsync(handle: int) -> None:
            path = Path(f"/proc/self/fd/{handle}").resolve()
            kind = "folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file"
            self.asked.append((f"sync_to_disk {kind}", path.name))
            fsync(handle)

        def noted_rename(old: Any, new: Any, **options: Any) -> None:
            self.asked.append(("rename", Path(new).name))
            rename(old, new, **options)

        patch.setattr(os, "fsync", noted_fsync)
        patch.setattr(os, "replace", noted_rename)


def test_the_bytes_are_on_the_disk_before_the_name_and_the_name_before_it_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the first a loss of power leaves a finished name over nothing; without the last, no name."""
    disk = Disk(monkeypatch)
    with atomic_file(tmp_path / "places.csv") as temporary:
        temporary.write_bytes(b"x")
    assert disk.asked == [
        ("sync_to_disk file", temporary.name),
        ("rename", "places.csv"),
        ("sync_to_disk folder", tmp_path.name),
    ]


def test_a_link_under_the_temporary_name_is_never_written_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(secrets, "token_hex", lambda _: "guessed")
    other, link = tmp_path / "other", tmp_path / f".x.{os.getpid()}.guessed.tmp"
    other.write_bytes(b"kept")
    link.symlink_to(other)
    with pytest.raises(FileExistsError):
        write_bytes(tmp_path / "x", b"new")
    assert other.read_bytes() == b"kept"
    assert not (tmp_path / "x").exists()


def handles() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_no_handle_is_left_open(tmp_path: Path) -> None:
    before = handles()
    for number in range(3):
        write_bytes(tmp_path / "x", bytes([number]))
        sync_to_disk(tmp_path / "x")
    assert handles() == before


def test_nothing_is_left_of_a_writer_that_fails(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), atomic_file(tmp_path / "deep" / "er" / "x") as temporary:
        temporary.write_bytes(b"x")
        raise RuntimeError
    assert list((tmp_path / "deep" / "er").iterdir()) == []
    with pytest.raises(FileNotFoundError, match=r"\.tmp"), atomic_file(tmp_path / "x") as temporary:
        temporary.unlink()  # a writer whose library cleans up after its own failure


@pytest.mark.parametrize(
    ("write", "value", "content"),
    [
        (write_bytes, b"\x00\xff", b"\x00\xff"),
        (write_json, {"a": [1, 2.5]}, b'{\n  "a": [\n    1,\n    2.5\n  ]\n}\n'),
    ],
)
def test_what_is_given_is_what_is_written(
    tmp_path: Path, write: Callable[[Path, Any], None], value: Any, content: bytes
) -> None:
    path = tmp_path / "new" / "file"
    for _ in range(2):  # over the first, too
        write(path, value)
        assert path.read_bytes() == content
    assert [file.name for file in path.parent.iterdir()] == ["file"]


def test_a_table_has_no_column_of_its_row_numbers(tmp_path: Path) -> None:
    write_parquet(tmp_path / "t", pd.DataFrame({"a": [1, 2]}, index=[7, 9]))
    assert pyarrow.parquet.read_table(tmp_path / "t").to_pydict() == {"a": [1, 2]}


def test_json_refuses_what_json_has_not(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "x", float("inf"))
    assert list(tmp_path.iterdir()) == []


def orphans(folder: Path, writer: object) -> tuple[Path, Path]:
    """A temporary file and a temporary folder, not empty, of one writer of `town`."""
    file, whole = (folder / f".town.{writer}.{end}.tmp" for end in ("file", "folder"))
    file.touch()
    whole.mkdir()
    (whole / "x").touch()
    return file, whole


def test_what_a_dead_writer_left_is_swept_and_nothing_else(tmp_path: Path) -> None:
    town = tmp_path / "town"
    dead = orphans(tmp_path, NOBODY)
    neighbours = [tmp_path / f".town.{name}.{NOBODY}.x.tmp" for name in ("png", "x1")]
    neighbours += [tmp_path / f".city.{NOBODY}.x.tmp", tmp_path / f"town.{NOBODY}.x.tmp", tmp_path / ".town.tmp"]
    for file in neighbours:
        file.touch()
    sweep(town)
    assert [file.exists() for file in dead] == [False, False]
    assert all(file.exists() for file in neighbours)


def test_two_sweepers_may_meet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another sweeps the same orphans between this one's look and its deed."""
    orphans(tmp_path, NOBODY)
    look = atomic._alive

    def look_late(pid: int) -> bool:
        alive = look(pid)
        for file in tmp_path.glob(".town.*"):
            subprocess.run(["rm", "-r", file], check=True)
        return alive

    monkeypatch.setattr(atomic, "_alive", look_late)
    sweep(tmp_path / "town")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_swept_does_not_stop_the_next_writer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, folder = orphans(tmp_path, NOBODY)
    unlink = os.unlink

    def refuse(path: Any, *rest: Any, **options: Any) -> None:
        if str(path) in {"x", str(folder / "x")}:
            raise PermissionError(path)
        unlink(path, *rest, **options)

    monkeypatch.setattr(os, "unlink", refuse)
    write_bytes(tmp_path / "town", b"x")
    assert (tmp_path / "town").read_bytes() == b"x"


def test_a_living_writer_is_asked_nothing_and_keeps_its_file(tmp_path: Path) -> None:
    """Signal 0 only asks whether there is such a process; any other would end it, or be heard by it."""
    with subprocess.Popen(["sleep", "60"]) as writer:
        file, folder = orphans(tmp_path, writer.pid)
        sweep(tmp_path / "town")
        assert file.exists()
        assert folder.exists()
        assert writer.poll() is None
        with pytest.raises(subprocess.TimeoutExpired):
            writer.wait(0.2)
        writer.kill()
        writer.wait()
        sweep(tmp_path / "town")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("error", "alive"), [(PermissionError, True), (ProcessLookupError, False)])
def test_another_users_writer_lives(monkeypatch: pytest.MonkeyPatch, error: type[OSError], alive: bool) -> None:
    def kill(pid: int, number: int) -> None:
        assert (pid, number) == (77, 0)
        raise error

    monkeypatch.setattr(os, "kill", kill)
    assert atomic._alive(77) == alive


def test_a_temporary_name_says_whose_it_is_and_is_never_the_same(tmp_path: Path) -> None:
    with atomic_file(tmp_path / "x") as temporary:
        others = [temporary_sibling(tmp_path / "x") for _ in range(3)]
        assert len({temporary, *others}) == 4
        for name in (temporary, *others):
            assert name.parent == tmp_path
            assert name.name.split(".")[:3] == ["", "x", str(os.getpid())]
            assert name.suffix == ".tmp"
