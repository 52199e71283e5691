"""A finished artefact or none: a folder written beside, synced, renamed; digests verified on read."""

import hashlib
import json
import shutil
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aenet.io.atomic import sweep, sync_to_disk, temporary_sibling, write_json
from aenet.io.errors import AenetError, CorruptArtifact
from aenet.io.nolinks import listed_path, read_listed
from aenet.io.params import Config

MANIFEST = "manifest.json"
WRITERS = 16  # files synced at a time: a disk finishes syncs that wait together in one go


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
def atomic_folder(path: Path, meta: Mapping[str, Any] | None = None) -> Iterator[Path]:
    """Yield a temporary folder; on success add its manifest, sync it and rename it onto `path`.

    An older folder at `path` is replaced only once the new one is complete.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    sweep(path)
    temporary = temporary_sibling(path)
    temporary.mkdir()
    try:
        yield temporary
        write_manifest(temporary, meta or {})
        if path.exists():
            retired = temporary.with_suffix(".old.tmp")
            path.replace(retired)
            temporary.replace(path)
            shutil.rmtree(retired)
        else:
            temporary.replace(path)
        sync_to_disk(path.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_manifest(folder: Path, meta: Mapping[str, Any]) -> None:
    """Record every file below `folder` in its manifest, and sync them all and the folders they lie in."""
    below = sorted(path for path in folder.rglob("*") if path != folder / MANIFEST)
    files = [path for path in below if path.is_file()]
    with ThreadPoolExecutor(WRITERS) as pool:
        entries = list(pool.map(_seal, files))
    for inner in (path for path in below if path.is_dir()):
        sync_to_disk(inner)
    names = (path.relative_to(folder).as_posix() for path in files)
    manifest = Manifest(files=dict(zip(names, entries, strict=True)), meta=dict(meta))
    write_json(folder / MANIFEST, manifest.model_dump())


def _seal(file: Path) -> FileEntry:
    sync_to_disk(file)
    return FileEntry(sha256=sha256_file(file), bytes=file.stat().st_size)


def read_object(path: Path, way_out: str) -> dict[str, Any]:
    """Return the JSON object in a small file that a command left for its next run.

    Args:
        way_out: what to do where it is damaged, for the sentence.

    Raises:
        CorruptArtifact: it is no JSON object.
    """
    try:
        content = json.loads(read_listed(path))
    except CorruptArtifact:
        raise
    except (AenetError, OSError, ValueError, RecursionError) as error:
        raise CorruptArtifact(f"{path} is damaged: {way_out}") from error
    if not isinstance(content, dict):
        raise CorruptArtifact(f"{path} is damaged: {way_out}")
    return content


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
        return Manifest.model_validate_json(read_listed(path))
    except AenetError:
        raise
    except (OSError, ValueError) as error:
        raise CorruptArtifact(f"{path} is damaged: delete {folder} and make it again") from error


def verify_folder(folder: Path, full: bool = True, needed: Collection[str] = ()) -> Manifest:
    """Return the manifest after checking every file's size and, if `full`, its SHA-256.

    Args:
        folder: a finished one.
        full: check digests, too.
        needed: names of files that the caller will open, and that must therefore be listed.

    Raises:
        CorruptArtifact: a file is missing, none of `io.nolinks.listed_path`, its size or digest differs, or one of
            those needed is not listed.
    """
    manifest = read_manifest(folder)
    for name in needed:
        _entry(folder, manifest, name)
    for name, entry in manifest.files.items():
        _verify_file(folder, name, entry, full)
    return manifest


def verify_file(folder: Path, name: str) -> Path:
    """Return the path of one listed file after checking its digest."""
    return _verify_file(folder, name, _entry(folder, read_manifest(folder), name), full=True)


def folder_digest(folder: Path) -> str:
    """Return one digest for a finished folder: that of its manifest."""
    read_manifest(folder)
    return sha256_file(folder / MANIFEST)


def _entry(folder: Path, manifest: Manifest, name: str) -> FileEntry:
    if name not in manifest.files:
        raise CorruptArtifact(f"{folder}/{MANIFEST} does not list {name}: make {folder} again")
    return manifest.files[name]


def _verify_file(folder: Path, name: str, entry: FileEntry, full: bool) -> Path:
    path = listed_path(folder, name, MANIFEST, entry.bytes)
    if full and (digest := sha256_file(path)) != entry.sha256:
        raise CorruptArtifact(f"{path} has SHA-256 {digest[:12]}, its manifest says {entry.sha256[:12]}: make it again")
    return path
