"""Ingest a data set somebody else packed: fetch, verify, unpack safely, check that nothing is missing."""

import shutil
import tempfile
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

import pandas as pd

from aenet import images
from aenet.artifacts import MANIFEST, atomic_folder, sha256_file
from aenet.data.archive.config import ArchiveConfig, Progress
from aenet.data.archive.download import download
from aenet.data.archive.part import Part
from aenet.data.archive.unpack import unpack
from aenet.data.pairs import read_pairs
from aenet.errors import AenetError, UnreadableImage
from aenet.locks import wait_for

__all__ = ["ArchiveConfig", "Progress", "fetch", "ingest", "check_files"]

PAIRS = "pairs.parquet"
_NAMED = 3  # how many bad files an error names


def ingest(config: ArchiveConfig, out: Path, cache: Path, progress: Progress | None = None) -> None:
    """Make the finished artefact folder `out` from an archive that holds `pairs.parquet` and the images it names.

    The table may lie at the archive's root or in its single top folder.

    Raises:
        AenetError: what `fetch`, `unpack`, `read_pairs` and `check_files` refuse; `out` is then left as it was.
    """
    archive = fetch(config, cache, progress)
    meta = {"archive": Path(urlsplit(config.url).path).name, "sha256": config.sha256.lower()}
    with atomic_folder(out, meta) as folder:
        unpacked = Path(tempfile.mkdtemp(prefix=".unpacked.", dir=folder))
        unpack(archive, unpacked, config, progress)
        for child in _root(unpacked, archive).iterdir():
            child.rename(folder / child.name)
        shutil.rmtree(unpacked)
        if (folder / MANIFEST).is_dir():
            raise AenetError(f"{archive.name} holds a folder named {MANIFEST}: rename it, the manifest takes its place")
        check_files(folder, read_pairs(folder / PAIRS), progress)


def fetch(config: ArchiveConfig, cache: Path, progress: Progress | None = None) -> Path:
    """Return the path of the verified archive: the local file itself, or `cache/<sha256>` after downloading.

    An archive already in the cache is verified and costs no request.

    Raises:
        AenetError: not found, refused, unreachable after all retries, larger than `max_bytes`, or of another digest
            (a downloaded file is then deleted).
    """
    if urlsplit(config.url).scheme not in ("http", "https"):
        return _local(config)
    digest = config.sha256.lower()
    final, part = cache / digest, Part(cache / f"{digest}.part")
    with wait_for(cache / ".lock"):  # a second run then finds the file
        if final.exists() and sha256_file(final) == digest:
            return final
        download(config, part, progress)
        if (found := sha256_file(part.path)) != digest:
            part.delete()
            raise AenetError(_mismatch(config.url, found, digest))
        part.path.replace(final)
        part.delete()
    return final


def check_files(root: Path, pairs: pd.DataFrame, progress: Progress | None = None) -> None:
    """Check that every `ground` and `aerial` file of a pair table lies below `root` and begins like an image.

    Only headers are read: a digest has vouched for the rest.

    Raises:
        AenetError: how many are missing or unreadable, with the first few named.
    """
    missing, unreadable = [], []
    names = [*pairs["ground"], *pairs["aerial"]]
    inside = root.resolve()
    for done, name in enumerate(names, start=1):
        path = root / name
        if not path.resolve().is_relative_to(inside):
            raise AenetError(f"{PAIRS} names {name!r}, which lies outside the data set: refused")
        if not path.is_file():
            missing.append(name)
        else:
            try:
                images.probe(path)
            except UnreadableImage as error:
                unreadable.append(str(error).removeprefix(f"{root}/"))
        if progress is not None:
            progress(done, len(names), "check")
    if missing or unreadable:
        raise AenetError(f"of {len(names)} images {_count(missing, 'missing')} and {_count(unreadable, 'unreadable')}")


def _count(problems: list[str], what: str) -> str:
    if not problems:
        return f"0 are {what}"
    more = ", ..." if len(problems) > _NAMED else ""
    return f"{len(problems)} are {what} ({', '.join(problems[:_NAMED])}{more})"


def _root(unpacked: Path, archive: Path) -> Path:
    """The folder with the pair table; what systems add (`.DS_Store`, `__MACOSX`) does not count as content."""
    tops = [child for child in unpacked.iterdir() if not child.name.startswith((".", "__MACOSX"))]
    candidates = [unpacked, *(tops if len(tops) == 1 else [])]
    for candidate in candidates:
        if (candidate / PAIRS).is_file():
            return candidate
    found = ", ".join(sorted(top.name for top in tops)[:5])
    raise AenetError(f"{archive.name} has no {PAIRS} at its root or in a single top folder (found: {found})")


def _local(config: ArchiveConfig) -> Path:
    parts = urlsplit(config.url)
    if parts.scheme == "file" and parts.netloc not in ("", "localhost"):
        raise AenetError(f"{config.url} names the host '{parts.netloc}': a file URL has three slashes, file:///path")
    path = Path(urllib.request.url2pathname(parts.path) if parts.scheme else config.url)
    if not path.is_file():
        raise AenetError(f"{path} does not exist or is not a file: set url to the data set's archive")
    if (size := path.stat().st_size) > config.max_bytes:
        raise AenetError(f"{path} has {size} bytes, max_bytes is {config.max_bytes}: refused")
    if (found := sha256_file(path)) != config.sha256.lower():
        raise AenetError(_mismatch(str(path), found, config.sha256.lower()))
    return path


def _mismatch(name: str, found: str, expected: str) -> str:
    return f"{name} has SHA-256 {found}, expected {expected}: correct the setting, or ask who publishes the file"
