"""Copies the journal keeps of what a stage hands it, so that late sending sends what was meant."""

import hashlib
import os
import shutil
from pathlib import Path

from aenet.artifacts import sha256_file
from aenet.errors import AenetError
from aenet.nolinks import check_tree

COPY_BELOW_BYTES = 1_000_000


def keep(source: Path, target: Path) -> str:
    """Copy a file or folder to `target` and return a digest of its content.

    Files of a megabyte or more are hard-linked where possible: finished artefacts are replaced, never
    edited in place, so the link keeps what was there without its disk space.

    Raises:
        AenetError: `source` does not exist.
        CorruptArtifact: it is a folder that holds a link, a pipe or a device.
    """
    if not source.exists():
        raise AenetError(f"{source} cannot be tracked because it does not exist")
    if target.exists():
        remove(target)
    if source.is_file():
        _keep_file(source, target)
        return content_digest(target)
    check_tree(source)  # what a link leads to is not the folder's to give away
    for file in _files(source):
        _keep_file(file, target / file.relative_to(source))
    return content_digest(target)


def content_digest(path: Path) -> str:
    """Return a digest of what a file, or a folder of plain files, holds."""
    if path.is_file():
        return sha256_file(path)
    lines = [f"{sha256_file(file)} {file.relative_to(path).as_posix()}" for file in _files(path)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def remove(path: Path) -> None:
    """Remove a kept file or folder."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _keep_file(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.stat().st_size >= COPY_BELOW_BYTES:
        try:
            os.link(source.resolve(), target)
        except OSError:  # another file system, or one without links
            pass
        else:
            return
    shutil.copyfile(source, target)
