"""Where the images of a data set lie: the directory named, or an archive unpacked once below `.aenet/datasets`."""

import os
import shutil
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from aenet.ingest.archive.archiveconfig import NotedProgress, SourceConfig
from aenet.ingest.archive.request import Part
from aenet.ingest.archive.transfer import complete_part
from aenet.ingest.archive.unpack import unpack
from aenet.io.artifacts import sha256_file
from aenet.io.errors import AenetError
from aenet.io.locks import wait_for

__all__ = ["NotedProgress", "SourceConfig", "fetch_archive", "local_path"]

# The archive of a data set, verified: the local file itself, or one fetched over HTTP and kept.


def fetch_archive(config: SourceConfig, cache: Path, progress: NotedProgress | None = None) -> Path:
    """Return the verified archive (the local file itself, or `cache/<sha256>` after downloading).

    An archive already in the cache is verified and costs no request.

    Raises:
        AenetError: not found, refused, unreachable after all retries, larger than `max_bytes`, or of another digest
            (a downloaded file is then deleted); a URL without digest.
    """
    if not config.is_remote:
        return _local(config)
    if config.sha256 is None:
        raise AenetError(f"{config.shown} is fetched over a network: set download.sha256 to the archive's digest")
    digest = config.sha256.lower()
    final, part = cache / digest, Part(cache / f"{digest}.part")
    with wait_for(cache / ".lock"):  # a second run then finds the file
        if final.exists() and sha256_file(final) == digest:
            return final
        complete_part(config, part, progress)
        if (found := sha256_file(part.path)) != digest:
            page = _is_page(part.path)
            part.delete()
            hint = ": it is a web page, perhaps one that asks to log in or to agree" if page else ""
            raise AenetError(_mismatch(config.shown, found, digest) + hint)
        part.path.replace(final)
        part.delete()
    return final


def local_path(config: SourceConfig) -> Path:
    """Return the path that a source on this machine names, from a file URL too.

    Raises:
        AenetError: a file URL that names another host.
    """
    parts = urlsplit(config.source)
    if parts.scheme == "file" and parts.netloc not in ("", "localhost"):
        raise AenetError(f"{config.source} names the host '{parts.netloc}': a file URL has three slashes, file:///path")
    return Path(urllib.request.url2pathname(parts.path) if parts.scheme else config.source).expanduser()


def _local(config: SourceConfig) -> Path:
    path = local_path(config)
    if not path.is_file():
        raise AenetError(f"{path} does not exist: set download.source to the data set's directory or archive")
    if (size := path.stat().st_size) > config.max_bytes:
        raise AenetError(f"{path} has {size} bytes, max_bytes is {config.max_bytes}: refused")
    if config.sha256 is not None and (found := sha256_file(path)) != config.sha256.lower():
        raise AenetError(_mismatch(str(path), found, config.sha256.lower()))
    return path


def _is_page(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(256).lstrip().lower().startswith((b"<!doctype html", b"<html"))


def _mismatch(name: str, found: str, expected: str) -> str:
    return f"{name} has SHA-256 {found}, expected {expected}: correct the setting, or ask who publishes the file"


_KEY = 16  # hexadecimal digits of the archive's digest that name its folder


def open_dataset(
    config: SourceConfig, state: Path, progress: NotedProgress | None = None
) -> tuple[Path, dict[str, Any]]:
    """Return the absolute directory that holds the data set, and what the manifest says of where it came from.

    A directory is used where it lies, nothing is copied. An archive is verified and unpacked once into
    `state/datasets/<key>`; a download stays in `state/downloads`.

    Raises:
        AenetError: what `fetch_archive` and `unpack` refuse; a digest given for a directory.
    """
    if not config.is_remote and (path := local_path(config)).is_dir():
        if config.sha256 is not None:
            raise AenetError(f"{path} is a directory, download.sha256 is the digest of an archive: remove it")
        return path.resolve(), {"directory": str(path.resolve())}
    archive = fetch_archive(config, state / "downloads", progress)
    digest = sha256_file(archive) if config.sha256 is None else config.sha256.lower()
    folder = _unpacked(archive, digest, state / "datasets", config, progress)
    return folder.resolve(), {"archive": config.shown.rsplit("/", 1)[-1], "sha256": digest}


def _unpacked(archive: Path, digest: str, folder: Path, config: SourceConfig, progress: NotedProgress | None) -> Path:
    final = folder / digest[:_KEY]
    with wait_for(folder / ".lock"):  # a second run then finds the folder
        if final.is_dir():
            return final
        partial = folder / f"{digest[:_KEY]}.partial"
        shutil.rmtree(partial, ignore_errors=True)  # of a killed run
        partial.mkdir(parents=True)
        unpack(archive, partial, config, progress)
        os.sync()  # one call: a hundred thousand of fsync take minutes
        partial.rename(final)
    return final
