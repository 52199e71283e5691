"""A finished artefact or none: write beside, fsync, rename; verify digests on read.

A killed process leaves at most a temporary sibling (`.name.PID.XXXX.tmp`), which the next write of the
same artefact sweeps away.
"""

import glob
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aenet.errors import AenetError, CorruptArtifact
from aenet.params import Config

if TYPE_CHECKING:
    import pandas as pd

MANIFEST = "manifest.json"


class FileEntry(Config):
    """Digest and size of one file of an artefact."""

    sha256: str
    bytes: int


class Manifest(Config):
    """What a finished artefact folder holds; `meta` is the writer's own record."""

    files: dict[str, FileEntry]
    meta: dict[str, Any]


def sha256_file(path: Path) -> str:
    """Return the hexadecimal SHA-256 of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it is synced and renamed onto `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _sweep(path)
    handle, name = tempfile.mkstemp(prefix=_prefix(path), suffix=".tmp", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        _sync(temporary)
        temporary.replace(path)
        _sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path`, wholly or not at all."""
    with atomic_file(path) as temporary:
        temporary.write_bytes(content)


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON; NaN is refused, for it is not JSON."""
    write_bytes(path, (json.dumps(value, indent=2, allow_nan=False) + "\n").encode())


def write_parquet(path: Path, frame: "pd.DataFrame") -> None:
    """Write a data frame as Parquet, wholly or not at all."""
    with atomic_file(path) as temporary:
        frame.to_parquet(temporary, index=False)


@contextmanager
def atomic_folder(path: Path, meta: Mapping[str, Any] | None = None) -> Iterator[Path]:
    """Yield a temporary folder; on success add its manifest, sync it and rename it onto `path`.

    An older folder at `path` is replaced only once the new one is complete.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _sweep(path)
    temporary = Path(tempfile.mkdtemp(prefix=_prefix(path), suffix=".tmp", dir=path.parent))
    try:
        yield temporary
        temporary.chmod(0o755)
        write_manifest(temporary, meta or {})
        if path.exists():
            retired = temporary.with_suffix(".old.tmp")
            path.replace(retired)
            temporary.replace(path)
            shutil.rmtree(retired)
        else:
            temporary.replace(path)
        _sync(path.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_manifest(folder: Path, meta: Mapping[str, Any]) -> None:
    """Record and sync every file below `folder` in its manifest."""
    files = {}
    for file in sorted(p for p in folder.rglob("*") if p.is_file() and p != folder / MANIFEST):
        _sync(file)
        files[file.relative_to(folder).as_posix()] = FileEntry(sha256=sha256_file(file), bytes=file.stat().st_size)
    manifest = Manifest(files=files, meta=dict(meta))
    write_json(folder / MANIFEST, manifest.model_dump())


def read_manifest(folder: Path) -> Manifest:
    """Return the manifest of a finished folder.

    Raises:
        AenetError: the folder or its manifest does not exist (the stage before has not run).
        CorruptArtifact: the manifest is not readable.
    """
    path = folder / MANIFEST
    if not path.exists():
        raise AenetError(f"{folder} is not a finished artefact ({MANIFEST} is missing): run the stage before it")
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except ValueError as error:
        raise CorruptArtifact(f"{path} is damaged: delete {folder} and make it again") from error


def verify_folder(folder: Path, full: bool = True) -> Manifest:
    """Return the manifest after checking every file's size and, if `full`, its SHA-256.

    Raises:
        CorruptArtifact: a file is missing, or its size or digest differs.
    """
    manifest = read_manifest(folder)
    for name, entry in manifest.files.items():
        _verify_file(folder / name, entry, full)
    return manifest


def verify_file(folder: Path, name: str) -> Path:
    """Return the path of one listed file after checking its digest."""
    entry = read_manifest(folder).files.get(name)
    if entry is None:
        raise CorruptArtifact(f"{folder}/{MANIFEST} does not list {name}: make {folder} again")
    _verify_file(folder / name, entry, full=True)
    return folder / name


def folder_digest(folder: Path) -> str:
    """Return one digest for a finished folder: that of its manifest."""
    read_manifest(folder)
    return sha256_file(folder / MANIFEST)


def _verify_file(path: Path, entry: FileEntry, full: bool) -> None:
    if not path.exists():
        raise CorruptArtifact(f"{path} is missing although its manifest lists it: make {path.parent} again")
    size = path.stat().st_size
    if size != entry.bytes:
        raise CorruptArtifact(f"{path} has {size} bytes, its manifest says {entry.bytes}: make it again")
    if full and (digest := sha256_file(path)) != entry.sha256:
        raise CorruptArtifact(f"{path} has SHA-256 {digest[:12]}, its manifest says {entry.sha256[:12]}: make it again")


def _prefix(path: Path) -> str:
    return f".{path.name}.{os.getpid()}."


def _sweep(path: Path) -> None:
    """Remove what dead writers of `path` left behind."""
    for orphan in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        writer = orphan.name.removeprefix(f".{path.name}.").split(".")[0]
        # No number: a neighbour, as `.town.png.PID...` is of `town`.
        if not writer.isdigit() or _alive(int(writer)):
            continue
        if orphan.is_dir():
            shutil.rmtree(orphan, ignore_errors=True)
        else:
            orphan.unlink(missing_ok=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
