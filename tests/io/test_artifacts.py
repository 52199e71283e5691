"""A finished artefact or none: killed writers, damaged files, and writers still at work."""

import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pandas as pd
import pytest

from aenet.io import artifacts
from aenet.io.artifacts import (
    MANIFEST,
    atomic_folder,
    folder_digest,
    read_manifest,
    sha256_file,
    verify_file,
    verify_folder,
)
from aenet.io.atomic import atomic_file, write_json, write_parquet
from aenet.io.errors import AenetError, CorruptArtifact


def finished(path: Path) -> Path:
    with atomic_folder(path, {"made": "by hand"}) as folder:
        (folder / "sub").mkdir()
        (folder / "sub" / "a.txt").write_bytes(b"hello")
        (folder / "b.bin").write_bytes(bytes(100))
    return path


def run(code: str, path: Path) -> int:
    """Run a writer in a process of its own and return how it ended; `die()` is kill -9."""
    head = "import os, sys; from pathlib import Path; from aenet.io.artifacts import *; from aenet.io.atomic import *\n"
    names = "die = lambda: os.kill(os.getpid(), 9)\npath = Path(sys.argv[1])\n"
    source = head + names + textwrap.dedent(code)
    return subprocess.run([sys.executable, "-c", source, str(path)], check=False).returncode


def test_sha256_is_the_standard_one(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")  # FIPS 180-2, example B.1
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256_file(tmp_path / "abc") == expected


def test_kill_while_writing_a_file_leaves_the_old_one_and_the_next_write_sweeps(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "table.json"
    write_json(path, {"version": 1})
    code = "with atomic_file(path) as t:\n    t.write_bytes(b'{\"vers'); die()"
    assert run(code, path) == -signal.SIGKILL
    assert path.read_text() == '{\n  "version": 1\n}\n'
    assert len(list(path.parent.iterdir())) == 2, "the dead writer left its temporary file"
    write_json(path, {"version": 2})
    assert [p.name for p in path.parent.iterdir()] == ["table.json"]
    assert path.read_text() == '{\n  "version": 2\n}\n'


@pytest.mark.parametrize("older", [False, True])
def test_kill_while_writing_a_folder_leaves_none_or_the_old_one(tmp_path: Path, older: bool) -> None:
    path = tmp_path / "data" / "town"
    if older:
        finished(path)
    code = "with atomic_folder(path) as f:\n    (f / 'new.bin').write_bytes(bytes(10)); die()"
    assert run(code, path) == -signal.SIGKILL
    assert path.exists() == older
    if older:
        assert set(verify_folder(path).files) == {"b.bin", "sub/a.txt"}
    finished(path)
    assert [p.name for p in path.parent.iterdir()] == ["town"]


@pytest.mark.parametrize("step", range(1, 4))
def test_kill_between_the_renames_that_replace_a_folder_loses_nothing(tmp_path: Path, step: int) -> None:
    """Replacing moves the old folder aside, the new one in, and deletes the old one: die before each."""
    path = finished(tmp_path / "town")
    code = f"""
    seen = [0]
    def die_before(event, arguments):  # Python reports each rename and rmtree just before it happens
        moves = event == "os.rename" and str(path) in map(str, arguments[:2])
        if moves or event == "shutil.rmtree":
            seen[0] += 1
            if seen[0] == {step}:
                die()
    with atomic_folder(path) as folder:
        (folder / "new.bin").write_bytes(bytes(10))
        sys.addaudithook(die_before)
    """
    assert run(code, path) == -signal.SIGKILL
    if path.exists():
        assert set(verify_folder(path).files) in ({"b.bin", "sub/a.txt"}, {"new.bin"})
    finished(path)  # the next run completes
    assert [p.name for p in tmp_path.iterdir()] == ["town"]
    assert set(verify_folder(path).files) == {"b.bin", "sub/a.txt"}


def test_exception_leaves_what_was_there(tmp_path: Path) -> None:
    path = finished(tmp_path / "town")
    digest = folder_digest(path)
    with pytest.raises(RuntimeError), atomic_folder(path) as folder:
        (folder / "x").write_bytes(b"x")
        raise RuntimeError
    with pytest.raises(RuntimeError), atomic_file(path / "b.bin") as file:
        file.write_bytes(b"x")
        raise RuntimeError
    verify_folder(path)
    assert folder_digest(path) == digest
    assert [p.name for p in tmp_path.iterdir()] == ["town"]


def test_a_live_writers_temporary_files_are_not_swept(tmp_path: Path) -> None:
    path = tmp_path / "town"
    with subprocess.Popen(["sleep", "60"]) as other:
        alive = tmp_path / f".town.{other.pid}.abcd.tmp"
        alive.mkdir()
        dead = tmp_path / f".town.{2**22 + 1}.abcd.tmp"  # above Linux's largest process id
        dead.mkdir()
        finished(path)
        assert alive.exists()
        assert not dead.exists()
        other.kill()
        other.wait()
        finished(path)
        assert not alive.exists()


def test_sweeping_one_artefact_spares_its_neighbours(tmp_path: Path) -> None:
    """`town` and `town.png` may be written at the same time, side by side."""
    with atomic_file(tmp_path / "town.png") as neighbour:
        finished(tmp_path / "town")
        assert neighbour.exists()


def test_names_with_glob_characters_sweep_alike(tmp_path: Path) -> None:
    path = tmp_path / "a[1]*.json"
    orphan = tmp_path / f".{path.name}.{2**22 + 1}.abcd.tmp"
    orphan.touch()
    write_json(path, 1)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_one_changed_byte_is_refused(tmp_path: Path) -> None:
    path = finished(tmp_path / "town")
    (path / "sub" / "a.txt").write_bytes(b"hellO")
    with pytest.raises(CorruptArtifact, match=r"a.txt has SHA-256 .*, its manifest says"):
        verify_folder(path)
    with pytest.raises(CorruptArtifact):
        verify_file(path, "sub/a.txt")
    verify_file(path, "b.bin")
    verify_folder(path, full=False)  # only a digest notices


@pytest.mark.parametrize("full", [True, False])
def test_truncated_and_missing_files_are_refused(tmp_path: Path, full: bool) -> None:
    path = finished(tmp_path / "town")
    (path / "b.bin").write_bytes(bytes(99))
    with pytest.raises(CorruptArtifact, match="99 bytes, its manifest says 100"):
        verify_folder(path, full)
    (path / "b.bin").unlink()
    with pytest.raises(CorruptArtifact, match=r"b.bin is missing"):
        verify_folder(path, full)


def test_unfinished_damaged_or_unlisted_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AenetError, match="run the stage before it"):
        read_manifest(tmp_path)
    path = finished(tmp_path / "town")
    with pytest.raises(CorruptArtifact, match="does not list other"):
        verify_file(path, "other")
    (path / MANIFEST).write_bytes((path / MANIFEST).read_bytes()[:50])
    with pytest.raises(CorruptArtifact, match="damaged"):
        verify_folder(path)


def test_digest_of_a_folder_follows_its_bytes_and_nothing_else(tmp_path: Path) -> None:
    first, second = finished(tmp_path / "a"), finished(tmp_path / "b")
    assert folder_digest(first) == folder_digest(second)
    with atomic_folder(second, {"made": "by hand"}) as folder:
        (folder / "b.bin").write_bytes(bytes(101))
    assert folder_digest(first) != folder_digest(second)


def test_nan_is_not_json(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "x.json", {"loss": float("nan")})
    assert list(tmp_path.iterdir()) == []


def test_parquet_round_trip(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", None]})
    write_parquet(tmp_path / "t.parquet", frame)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "t.parquet"), frame)


def test_a_manifest_further_down_is_a_file_like_any_other(tmp_path: Path) -> None:
    with atomic_folder(tmp_path / "all") as folder:
        (folder / "inner").mkdir()
        (folder / "inner" / MANIFEST).write_text("{}")
    assert set(read_manifest(tmp_path / "all").files) == {f"inner/{MANIFEST}"}
    (tmp_path / "all" / "inner" / MANIFEST).write_text("[]")
    with pytest.raises(CorruptArtifact, match=r"inner/manifest\.json"):
        verify_folder(tmp_path / "all")


def test_all_is_on_the_disk_before_the_folder_gets_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a loss of power the finished name must not stand over files, or names of files, that never arrived."""
    synced: list[str] = []
    monkeypatch.setattr(artifacts, "sync_to_disk", lambda path: synced.append(path.name))
    with atomic_folder(tmp_path / "town") as folder:
        (folder / "ground").mkdir()
        for index in range(40):
            (folder / "ground" / f"{index}.jpg").write_bytes(b"x")
    assert sorted(synced[:-1]) == sorted([*(f"{index}.jpg" for index in range(40)), "ground"])
    assert synced[-1] == tmp_path.name, "the new name itself"
